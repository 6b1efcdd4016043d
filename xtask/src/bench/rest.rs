//! The iris model over REST, beside a server that does nothing and beside what one would write in Python.
use std::{fs, path::Path};

use serde_json::Value;

use super::{
    Args, load,
    load::Round,
    servers::{self, Server},
    table::{Table, median},
};
use crate::{
    error::{Error, Result},
    http,
    setup::{packages, venv},
    workspace,
};

const PATH: &str = "/v2/models/iris/infer";
const NAMES: [&str; 4] = [
    "bare hyper, a constant of the same size",
    "serin-dataplane",
    "FastAPI + uvicorn + onnxruntime, made quick",
    "FastAPI + uvicorn + onnxruntime, as documented",
];

/// Interleaved rounds: what else the machine does hits all servers alike.
pub fn measure(args: &Args, folder: &Path) -> Result<Table> {
    packages::need("wrk", "wrk")?;
    packages::need("taskset", "util-linux")?;
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(Error::Missing {
            what: "a second core".into(),
            cure: "server and load generator need one each".into(),
        });
    }
    let python = venv::python("benches/fastapi/requirements.txt")?;
    let body = workspace::read(&workspace::root().join("examples/iris/requests/setosa.json"))?;
    let body = compact(&body)?;
    let script = load::script(folder, &body)?;

    let serin = servers::dataplane(&servers::config(folder, true)?)?.wait_ready()?;
    let answer = predicted(&serin, &body)?;
    let answer_file = folder.join("answer.json");
    fs::write(&answer_file, &answer).map_err(Error::file("write", &answer_file))?;
    let bare = servers::bare(&answer_file)?.wait_ready()?;
    let quick = servers::fastapi(&python, &[])?.wait_ready()?;
    predicted(&quick, &body)?;
    let plain = servers::fastapi(&python, &["--plain"])?.wait_ready()?;
    predicted(&plain, &body)?;

    let beside = match &args.beside {
        Some(program) => {
            let server = servers::dataplane_of(program, &servers::config(folder, true)?)?;
            let server = server.wait_ready()?;
            predicted(&server, &body)?;
            Some(server)
        }
        None => None,
    };

    let mut all = vec![&bare, &serin, &quick, &plain];
    let mut names: Vec<&str> = NAMES.to_vec();
    if let Some(server) = &beside {
        all.push(server);
        names.push("the serin-dataplane beside it");
    }
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); all.len()];
    for server in &all {
        load::round(server, PATH, &script, args.connections, 1)?;
    }
    for number in 1..=args.rounds {
        for (server, (name, seen)) in all.iter().zip(names.iter().zip(&mut rounds)) {
            let round = load::round(server, PATH, &script, args.connections, args.seconds)?;
            println!(
                "    round {number}: {name}: {:.0} requests/s, {:.1} us CPU each",
                round.requests_per_second, round.cpu_per_request
            );
            seen.push(round);
        }
    }
    Ok(table(args, (&body, &answer), &names, &rounds))
}

fn table(
    args: &Args,
    (body, answer): (&str, &str),
    names: &[&str],
    rounds: &[Vec<Round>],
) -> Table {
    let of = |server: usize, figure: fn(&Round) -> f64| {
        median(&rounds[server].iter().map(figure).collect::<Vec<_>>())
    };
    // A ratio of each round, so that a slow moment of the machine is on both sides.
    let ratio = |server: usize, figure: fn(&Round) -> f64| {
        let pairs = rounds[server].iter().zip(&rounds[0]);
        median(
            &pairs
                .map(|(round, bare)| figure(round) / figure(bare))
                .collect::<Vec<_>>(),
        )
    };
    let rate: fn(&Round) -> f64 = |round| round.requests_per_second;
    let cpu: fn(&Round) -> f64 = |round| round.cpu_per_request;
    let row = |server: usize| {
        let values = [
            of(server, rate),
            ratio(server, rate),
            of(server, cpu),
            ratio(server, cpu),
            of(server, |round| round.p50),
            of(server, |round| round.p99),
        ];
        (names[server].to_owned(), values.map(Some).to_vec())
    };
    Table {
        title: format!(
            "REST, iris, {} bytes in, {} bytes out, {} connections, server and load on a core each; medians of {} rounds of {} s",
            body.len(),
            answer.len(),
            args.connections,
            args.rounds,
            args.seconds
        ),
        columns: vec![
            "server",
            "requests/s",
            "of bare",
            "CPU us/request",
            "of bare",
            "p50 ms",
            "p99 ms",
        ],
        rows: (0..names.len()).map(row).collect(),
    }
}

/// One answer, which must be right before its like are counted.
fn predicted(server: &Server, body: &str) -> Result<String> {
    let answer = http::post_json(server.address, PATH, body)
        .map_err(|error| Error::Wrong(format!("http://{}{PATH}: {error}", server.address)))?;
    let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let right = json["outputs"]
        .as_array()
        .is_some_and(|outputs| outputs.iter().any(|output| output["data"][0] == "setosa"));
    if answer.status == 200 && right {
        Ok(answer.body)
    } else {
        Err(Error::Wrong(format!(
            "http://{}{PATH} answered {}: {}",
            server.address, answer.status, answer.body
        )))
    }
}

fn compact(body: &str) -> Result<String> {
    let json: Value = serde_json::from_str(body)
        .map_err(|error| Error::Wrong(format!("the example's request: {error}")))?;
    Ok(json.to_string())
}
