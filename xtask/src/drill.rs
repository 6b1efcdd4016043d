//! `cargo xtask drill`: long runs under load that look for what a short test does not find.
use std::{process::Command, time::Duration};

use crate::{build, error::Result, process, report::Report, setup::runtime};

/// Time of a drill besides its minutes: preparing, ending and a busy machine.
const BESIDES: Duration = Duration::from_secs(300);

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    drill: Drill,
}

#[derive(clap::Subcommand, Debug)]
enum Drill {
    /// Load and unload versions of a model at random under constant traffic: no answer may be wrong, no request to what stays may fail, memory stays flat
    Loads(LoadsArgs),
}

#[derive(clap::Args, Debug)]
struct LoadsArgs {
    /// Minutes that it takes; memory is compared with that after the first one
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Versions that come and go
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    versions: u32,
}

/// Runs a drill and prints its figures. A wrong answer or a failed request is an error.
pub fn run(args: &Args) -> Result {
    match &args.drill {
        Drill::Loads(args) => loads(args),
    }
}

fn loads(args: &LoadsArgs) -> Result {
    let mut report = Report::default();
    report.begin("drill");
    report.step("build for release", || build::release(&[]))?;
    report.step("install ONNX Runtime", || {
        runtime::install(&build::released("serin"))
    })?;
    let program = report.step("build the drill", || {
        build::release_example("serin-dataplane", "loads")
    })?;
    report.step("load and unload under traffic", || {
        let time = Duration::from_secs(u64::from(args.minutes) * 60);
        let mut command = Command::new(program);
        command.args([args.minutes.to_string(), args.versions.to_string()]);
        process::stream(&mut command, time + BESIDES)
    })
}
