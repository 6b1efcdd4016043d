//! The program of `cargo xtask drill loads`: versions of a model come and go for minutes, at random
//! and under traffic. Prints what happened; fails where an answer was wrong, a request failed, or
//! memory kept growing.

#[path = "../tests/support/churn.rs"]
mod churn;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use churn::{Counts, End, Plan, read, run};
use mimalloc::MiMalloc;
use serin_dataplane::model::enter_preflight;
use serin_engine::onnx::silence_runtime;

/// As in the program that is shipped.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// When memory is looked at for the first time, and the most that it may have grown since.
const SETTLED: Duration = Duration::from_secs(60);
const MOST_GROWTH_MIB: f64 = 32.0;

fn main() -> ExitCode {
    if let Err(error) = silence_runtime(&[]) {
        eprintln!("loads: cannot start itself anew: {error}");
    }
    if let Some(tried) = enter_preflight() {
        return tried;
    }
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let (Some(Ok(minutes)), Some(Ok(versions)), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: loads MINUTES VERSIONS");
        return ExitCode::FAILURE;
    };
    let plan = Plan {
        versions,
        operators: 3,
        callers: 3,
        end: End::Time(Duration::from_secs(u64::from(minutes) * 60)),
        preflight: true,
    };
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(drill(plan)),
        Err(error) => {
            eprintln!("loads: no threads: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn drill(plan: Plan) -> ExitCode {
    let memory = Mutex::new(Vec::new());
    let counts = run(plan, |elapsed, counts| {
        let held = resident_mib();
        if let Ok(mut memory) = memory.lock() {
            memory.push((elapsed, held));
        }
        progress(elapsed, counts, held);
    })
    .await;
    let memory = memory.into_inner().unwrap_or_default();
    let end = resident_mib();
    let start = memory.first().map(|(_, held)| *held);
    let settled = memory.iter().find(|(elapsed, _)| *elapsed >= SETTLED);
    let settled = settled.map(|(_, held)| *held);
    print_table(&counts, [start, settled, Some(end)]);
    let grew = settled.is_some_and(|settled| end - settled > MOST_GROWTH_MIB);
    if grew {
        println!("memory grew by more than {MOST_GROWTH_MIB} MiB after the first minute");
    }
    if grew || read(&counts.wrong) + read(&counts.failed) > 0 {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn progress(elapsed: Duration, counts: &Counts, held: f64) {
    println!(
        "{:>5} s: {} requests, {} wrong, {} failed, {} loads, {} unloads, {held:.1} MiB",
        elapsed.as_secs(),
        read(&counts.staying) + read(&counts.changing),
        read(&counts.wrong),
        read(&counts.failed),
        read(&counts.loads),
        read(&counts.unloads),
    );
}

fn print_table(counts: &Counts, memory: [Option<f64>; 3]) {
    let row = |name: &str, value: String| println!("| {name} | {value} |");
    let count = |name: &str, value: u64| row(name, value.to_string());
    println!("\n| what | figure |\n|---|---:|");
    count("requests to the version that stays", read(&counts.staying));
    count(
        "requests to versions that come and go",
        read(&counts.changing),
    );
    count("of these, not there at that moment", read(&counts.absent));
    count("wrong answers", read(&counts.wrong));
    count("failed requests and loads", read(&counts.failed));
    count("loads", read(&counts.loads));
    count("unloads", read(&counts.unloads));
    let names = ["at the start", "after 1 min", "at the end"];
    for (name, held) in names.into_iter().zip(memory) {
        let held = held.map_or_else(|| "-".to_owned(), |held| format!("{held:.1}"));
        row(&format!("resident memory {name} (MiB)"), held);
    }
}

/// What the process holds in memory.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| {
        rest.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<f64>()
            .ok()
    });
    kib.unwrap_or(0.0) / 1024.0
}
