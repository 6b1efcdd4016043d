//! `cargo xtask try`: from nothing to a prediction.
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    error::{Error, Result},
    http, process, workspace,
};

const EXAMPLE: &str = "examples/iris";
const MODEL: &str = "iris";
/// From the start of `serin run` to a loaded model.
const READY: Duration = Duration::from_secs(60);
/// Predictions may differ by so much between processors.
const TOLERANCE: f64 = 1e-4;

/// Serves the example with this `serin`, sends its requests and prints what comes back. Ends at once with `exit`, else on Ctrl-C.
pub fn run(serin: &Path, wanted_port: u16, exit: bool) -> Result {
    let port = free_port(wanted_port)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut command = Command::new(serin);
    command
        .current_dir(workspace::root())
        .args(["run", "-f", EXAMPLE]);
    let http_port = port.to_string();
    for (flag, port) in [
        ("--http-port", http_port.as_str()),
        ("--grpc-port", "0"),
        ("--admin-port", "0"),
    ] {
        command.args([flag, port]);
    }
    println!("    $ {}", process::show(&command));
    let mut server = process::start(&mut command)?;
    let result = predict(&mut server, address).and_then(|()| {
        if exit {
            return Ok(());
        }
        println!("\nServing on http://{address} until Ctrl-C.");
        serve(&mut server)
    });
    let ended = process::stop(&mut server);
    result?;
    match ended {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Error::Wrong(format!(
            "the server was asked to end and ended with {status}"
        ))),
        None => Err(Error::Wrong(
            "the server did not end within 10 s of SIGTERM and was killed".into(),
        )),
    }
}

fn free_port(wanted: u16) -> Result<u16> {
    http::free_port(wanted).map_err(|error| Error::Missing {
        what: "a free port on 127.0.0.1".into(),
        cure: error.to_string(),
    })
}

fn serve(server: &mut Child) -> Result {
    while !process::interrupted() {
        still_runs(server)?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn still_runs(server: &mut Child) -> Result {
    match server.try_wait() {
        Ok(Some(status)) => Err(Error::Wrong(format!(
            "`serin run` ended by itself ({status}); it said why above"
        ))),
        _ => Ok(()),
    }
}

fn predict(server: &mut Child, address: SocketAddr) -> Result {
    wait_ready(server, address)?;
    let folder = workspace::root().join(EXAMPLE).join("requests");
    let requests = requests(&folder)?;
    if requests.is_empty() {
        return Err(Error::Wrong(format!(
            "{} holds no request",
            folder.display()
        )));
    }
    for request in requests {
        let body = workspace::read(&request)?;
        let path = format!("/v2/models/{MODEL}/infer");
        let answer = http::post_json(address, &path, &body)
            .map_err(|error| Error::Wrong(format!("POST http://{address}{path}: {error}")))?;
        println!("\nPOST http://{address}{path}\n{}", body.trim_end());
        println!("HTTP {}\n{}", answer.status, answer.body.trim_end());
        if answer.status != 200 {
            return Err(Error::Wrong(format!(
                "{}: the server answered {}",
                request.display(),
                answer.status
            )));
        }
        let expected = json(&workspace::read(&request.with_extension("expected.json"))?)?;
        let answer = json(&answer.body)?;
        compare(&answer, &expected)
            .map_err(|what| Error::Wrong(format!("{}: {what}", request.display())))?;
        for class in classes(&answer) {
            println!("prediction: {class}");
        }
    }
    Ok(())
}

fn wait_ready(server: &mut Child, address: SocketAddr) -> Result {
    let deadline = Instant::now() + READY;
    loop {
        still_runs(server)?;
        if process::interrupted() {
            return Err(Error::Interrupted);
        }
        if http::get(address, "/v2/health/ready").is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Wrong(format!(
                "the server was not ready within {} s",
                READY.as_secs()
            )));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The requests that have an expected answer beside them.
fn requests(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::file("read", folder))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
                && path.with_extension("expected.json").exists()
        })
        .collect();
    found.sort();
    Ok(found)
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::Wrong(format!("no JSON: {error}")))
}

/// Whether the outputs are those expected: the same names, shapes and classes, and numbers close to the expected ones.
fn compare(answer: &Value, expected: &Value) -> Result<(), String> {
    let outputs = |body: &Value| body["outputs"].as_array().cloned().unwrap_or_default();
    for wanted in outputs(expected) {
        let name = &wanted["name"];
        let Some(got) = outputs(answer)
            .into_iter()
            .find(|output| output["name"] == *name)
        else {
            return Err(format!("output {name} is missing"));
        };
        if got["shape"] != wanted["shape"]
            || got["datatype"] != wanted["datatype"]
            || !close(&got["data"], &wanted["data"])
        {
            return Err(format!("output {name} is {got}, expected {wanted}"));
        }
    }
    Ok(())
}

fn close(got: &Value, wanted: &Value) -> bool {
    match (got, wanted) {
        (Value::Array(got), Value::Array(wanted)) => {
            got.len() == wanted.len()
                && got
                    .iter()
                    .zip(wanted)
                    .all(|(got, wanted)| close(got, wanted))
        }
        (Value::Number(got), Value::Number(wanted)) => {
            matches!((got.as_f64(), wanted.as_f64()), (Some(got), Some(wanted)) if (got - wanted).abs() <= TOLERANCE)
        }
        (got, wanted) => got == wanted,
    }
}

/// The names of classes in an answer.
fn classes(answer: &Value) -> Vec<&str> {
    let outputs = answer["outputs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    outputs
        .iter()
        .filter(|output| output["name"] == "label")
        .filter_map(|output| output["data"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(label: &str, probability: f64) -> Value {
        json!({"outputs": [
            {"name": "label", "shape": [1], "datatype": "BYTES", "data": [label]},
            {"name": "probabilities", "shape": [1], "datatype": "FP32", "data": [probability]},
        ]})
    }

    #[test]
    fn a_wrong_class_or_a_distant_number_is_no_success() {
        let expected = answer("setosa", 0.9796);
        assert_eq!(compare(&answer("setosa", 0.97961), &expected), Ok(()));
        assert!(
            compare(&answer("virginica", 0.9796), &expected)
                .unwrap_err()
                .contains("label")
        );
        assert!(
            compare(&answer("setosa", 0.5), &expected)
                .unwrap_err()
                .contains("probabilities")
        );
        assert!(
            compare(&json!({}), &expected)
                .unwrap_err()
                .contains("missing")
        );
    }

    #[test]
    fn the_classes_are_read_from_the_label() {
        assert_eq!(classes(&answer("setosa", 0.9)), ["setosa"]);
    }
}
