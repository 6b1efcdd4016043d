//! One round of load by wrk, and what the server's processor did meanwhile.
use std::{fs, path::Path, time::Duration};

use super::servers::{LOAD_CORE, Server, pinned};
use crate::{
    error::{Error, Result},
    process,
};

/// Clock ticks a second in /proc; the same on every Linux.
const TICKS: f64 = 100.0;

/// What came of one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    pub requests_per_second: f64,
    /// Of the server, in microseconds.
    pub cpu_per_request: f64,
    /// In milliseconds.
    pub p50: f64,
    pub p99: f64,
}

/// A wrk script that posts this body.
pub fn script(folder: &Path, body: &str) -> Result<std::path::PathBuf> {
    let path = folder.join("post.lua");
    let text = format!(
        "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = [==[{body}]==]\n"
    );
    fs::write(&path, text).map_err(Error::file("write", &path))?;
    Ok(path)
}

/// Loads the server for so many seconds.
pub fn round(
    server: &Server,
    path: &str,
    script: &Path,
    connections: u32,
    seconds: u32,
) -> Result<Round> {
    let before = cpu_seconds(server.id())?;
    let mut wrk = pinned(LOAD_CORE, "wrk");
    wrk.args([
        "--threads",
        "1",
        "--latency",
        "--connections",
        &connections.to_string(),
    ])
    .args(["--duration", &format!("{seconds}s"), "--script"])
    .arg(script)
    .arg(format!("http://{}{path}", server.address));
    let said = process::output(&mut wrk, Duration::from_secs(u64::from(seconds) + 30))?;
    let used = cpu_seconds(server.id())? - before;
    parse(&said, used)
        .ok_or_else(|| Error::Wrong(format!("wrk did not see answers alone:\n{said}")))
}

/// Processor time of a process and its threads so far.
fn cpu_seconds(id: u32) -> Result<f64> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    // After the name in brackets: state is field 3; user and system time are 14 and 15.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, after)| after.split_whitespace().collect())
        .unwrap_or_default();
    let ticks = |field: usize| {
        fields
            .get(field - 3)
            .and_then(|ticks| ticks.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok((ticks(14) + ticks(15)) / TICKS)
}

/// What wrk printed; nothing where an answer was no success or a connection broke.
fn parse(said: &str, cpu: f64) -> Option<Round> {
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    let line = |start: &str| {
        said.lines()
            .find_map(|line| line.trim().strip_prefix(start))
            .map(str::trim)
    };
    let requests: f64 = said
        .lines()
        .find_map(|line| line.split_once(" requests in "))?
        .0
        .trim()
        .parse()
        .ok()?;
    Some(Round {
        requests_per_second: line("Requests/sec:")?.parse().ok()?,
        cpu_per_request: cpu * 1e6 / requests,
        p50: milliseconds(line("50%")?)?,
        p99: milliseconds(line("99%")?)?,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    [("us", 1e-3), ("ms", 1.0), ("s", 1e3)]
        .iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 5s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
        Latency   523.00us  100.00us   5.00ms   90.00%\n  Latency Distribution\n     50%  500.00us\n     75%  600.00us\n     90%  700.00us\n     \
        99%    1.25ms\n  200000 requests in 5.00s, 30.00MB read\nRequests/sec:  40000.50\nTransfer/sec:      6.00MB\n";

    #[test]
    fn a_round_is_read_from_what_wrk_says() {
        let round = parse(SAID, 4.0).unwrap();
        assert_eq!(
            round,
            Round {
                requests_per_second: 40000.5,
                cpu_per_request: 20.0,
                p50: 0.5,
                p99: 1.25
            }
        );
    }

    #[test]
    fn a_round_with_an_error_is_no_round() {
        assert_eq!(
            parse(&format!("{SAID}  Non-2xx or 3xx responses: 3\n"), 4.0),
            None
        );
        assert_eq!(
            parse(
                &format!("{SAID}  Socket errors: connect 0, read 1, write 0, timeout 0\n"),
                4.0
            ),
            None
        );
    }
}
