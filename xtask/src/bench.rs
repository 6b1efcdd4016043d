//! `cargo xtask bench`: figures for docs/benchmarks.md, each from one run on one machine.
mod attacks;
mod load;
mod memory;
mod rest;
mod servers;
mod start;
mod table;

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    build,
    error::{Error, Result},
    report::Report,
    setup::runtime,
    workspace,
};
use table::Table;

/// What can be measured.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to measure; all where none is named. rest: requests beside other servers; start: from exec to ready; memory: idle use; attacks: latency of others meanwhile
    #[arg(value_parser = ["rest", "start", "memory", "attacks"])]
    name: Vec<String>,
    /// Rounds of each server under load
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Seconds of load in each round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=120))]
    seconds: u32,
    /// Connections of the load generator
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// For rest: another serin-dataplane in the same rounds, such as the build of before a change
    #[arg(long, value_name = "PROGRAM")]
    beside: Option<PathBuf>,
    /// Starts to measure
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    starts: u32,
    /// Write the figures here as JSON too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures, prints a table for each part, and writes the JSON.
pub fn run(args: &Args) -> Result {
    let mut report = Report::default();
    report.begin("bench");
    report.step("build for release", || build::release(&["serin-bench"]))?;
    report.step("install ONNX Runtime", || {
        runtime::install(&build::released("serin"))
    })?;
    let folder = Scratch::new()?;
    let wanted = |name: &str| args.name.is_empty() || args.name.iter().any(|wanted| wanted == name);
    let mut tables = Vec::new();
    if wanted("rest") {
        tables.push(report.step("requests over REST", || rest::measure(args, &folder.0))?);
    }
    if wanted("start") {
        tables.push(report.step("start to ready", || start::measure(args.starts, &folder.0))?);
    }
    if wanted("memory") {
        tables.push(report.step("idle memory", || memory::measure(&folder.0))?);
    }
    if wanted("attacks") {
        tables.push(report.step("attacks", || {
            attacks::measure(args.rounds, args.seconds, &folder.0)
        })?);
    }
    let machine = machine();
    println!("\n{machine}");
    for table in &tables {
        println!("\n{table}");
    }
    if let Some(path) = &args.json {
        let all: Vec<Value> = tables.iter().map(Table::json).collect();
        let text = format!("{:#}\n", json!({"machine": machine, "tables": all}));
        fs::write(path, text).map_err(Error::file("write", path))?;
    }
    Ok(())
}

/// A folder for configurations and scripts, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = workspace::cache()?
            .join("bench")
            .join(std::process::id().to_string());
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is some kB in the cache.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Processor, cores and memory, in words.
fn machine() -> String {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory) = (text("/proc/cpuinfo"), text("/proc/meminfo"));
    let field = |text: &str, name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let memory = field(&memory, "MemTotal")
        .split(' ')
        .next()
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0);
    let load = text("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    format!(
        "{}, {cores} cores, {} GiB, load {load} at the end",
        field(&cpu, "model name"),
        memory >> 20
    )
}
