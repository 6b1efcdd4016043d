//! What callers that mean well notice of those that do not.
use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use super::{
    servers::{self, LOAD_CORE, Server, pinned},
    table::{Table, median},
};
use crate::{
    build,
    error::{Error, Result},
    process,
    setup::packages,
};

/// The attacks, as `benches/src/attacks.rs` calls them.
const ATTACKS: [(&str, &str); 6] = [
    ("idle", "1,000 idle connections"),
    ("half-headers", "500 half-sent headers"),
    ("slow-bodies", "500 slow bodies"),
    ("rapid-reset", "HTTP/2 rapid reset"),
    ("pings", "HTTP/2 pings, answers not read"),
    ("continuation", "HTTP/2 header without end"),
];

/// Seconds from an attack's begin to the measurement: it is then in full swing.
const BEFORE: u64 = 2;

/// Normal traffic (200 requests a second on 4 connections) without and with each attack: each round measures the two one after the
/// other, so that what else the machine does meets both.
pub fn measure(rounds: u32, seconds: u32, folder: &Path) -> Result<Table> {
    packages::need("taskset", "util-linux")?;
    let body = folder.join("attacks.json");
    fs::write(&body, BODY).map_err(Error::file("write", &body))?;
    let server = servers::dataplane(&servers::config(folder, true)?)?.wait_ready()?;
    let mut rows = Vec::new();
    for (kind, name) in ATTACKS {
        let (mut alone, mut meanwhile) = (Vec::new(), Vec::new());
        let mut failed = 0.0;
        for _ in 0..rounds {
            alone.push(normal(&server, &body, seconds)?);
            let attacker = Attacker::start(&server, kind, u64::from(seconds) + 2 * BEFORE + 20)?;
            std::thread::sleep(Duration::from_secs(BEFORE));
            meanwhile.push(normal(&server, &body, seconds)?);
            drop(attacker);
        }
        failed += alone
            .iter()
            .chain(&meanwhile)
            .map(|round| round.failed)
            .sum::<f64>();
        let p99 =
            |rounds: &[Normal]| median(&rounds.iter().map(|round| round.p99).collect::<Vec<_>>());
        let (before, during) = (p99(&alone), p99(&meanwhile));
        rows.push((
            name.to_owned(),
            vec![
                Some(before),
                Some(during),
                Some(during / before),
                Some(failed),
                rss(server.id()),
            ],
        ));
    }
    Ok(Table {
        title: format!(
            "p99 of 200 requests a second, ms, without and with an attack: median of {rounds} rounds of {seconds} s"
        ),
        columns: vec![
            "attack",
            "without",
            "with",
            "ratio",
            "failed requests",
            "RSS after, MiB",
        ],
        rows,
    })
}

/// One row of the iris model's input.
const BODY: &str = r#"{"inputs":[{"name":"measurements","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}"#;

struct Normal {
    p99: f64,
    failed: f64,
}

fn normal(server: &Server, body: &Path, seconds: u32) -> Result<Normal> {
    let mut command = attacks(server, u64::from(seconds));
    command
        .arg("measure")
        .arg("/v2/models/iris/infer")
        .arg(body);
    let said = process::output(&mut command, Duration::from_secs(u64::from(seconds) + 60))?;
    read(&said).ok_or_else(|| Error::Wrong(format!("no figures in '{}'", said.trim())))
}

/// `p50 p99 answered failed`.
fn read(said: &str) -> Option<Normal> {
    let numbers: Vec<f64> = said
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    match numbers.as_slice() {
        [_, p99, answered, failed] if *answered > 0.0 => Some(Normal {
            p99: *p99,
            failed: *failed,
        }),
        _ => None,
    }
}

fn attacks(server: &Server, seconds: u64) -> Command {
    let mut command = pinned(LOAD_CORE, build::released("attacks"));
    command.args([
        "--port",
        &server.address.port().to_string(),
        "--seconds",
        &seconds.to_string(),
    ]);
    command
}

/// An attack that ends with this value.
struct Attacker(Child);

impl Attacker {
    fn start(server: &Server, kind: &str, seconds: u64) -> Result<Self> {
        let mut command = attacks(server, seconds);
        command.args(["attack", kind]);
        Ok(Self(process::start(&mut command)?))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        process::stop(&mut self.0);
    }
}

fn rss(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_their_absence_noticed() {
        let normal = read("0.512 1.250 1000 2\n").unwrap();
        assert_eq!((normal.p99, normal.failed), (1.25, 2.0));
        assert!(read("NaN NaN 0 1000\n").is_none());
        assert!(read("error: connection refused\n").is_none());
    }
}
