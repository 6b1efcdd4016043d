//! `cargo xtask`: everything a contributor starts.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod cluster;
mod docs;
mod drill;
mod error;
mod fuzz;
mod generate;
mod http;
mod kinds;
mod layout;
mod process;
mod quickstart;
mod report;
mod setup;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand, builder::PossibleValuesParser};

use error::Result;

/// Builds, tries, tests and measures Serin.
///
/// Each task gets what it needs (system packages where it runs as root, ONNX Runtime, Python environments, a Kubernetes), says what
/// it runs, and keeps what can be kept in the user's cache.
#[derive(Parser, Debug)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Serve the iris example on this machine, send its requests and print the predictions
    Try(TryArgs),
    /// Run the tests: all kinds, or those named
    #[command(after_help = test_help())]
    Test(TestArgs),
    /// A real Kubernetes on this machine, for tests and for looking around
    Cluster(cluster::Args),
    /// Measure the data plane and the operator, beside other servers on the same core
    Bench(bench::Args),
    /// Look for inputs that a reader of requests, models or manifests does not bear
    Fuzz(fuzz::Args),
    /// Run for minutes under load, looking for what a short test does not find
    Drill(drill::Args),
    /// Write the generated files of the tree anew: the CRD, and the reviewed output of the operator
    Generate,
}

#[derive(clap::Args, Debug)]
struct TryArgs {
    /// End after the predictions instead of serving until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// Where to listen on 127.0.0.1; another free port is taken where somebody listens there
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

#[derive(clap::Args, Debug)]
struct TestArgs {
    /// Kinds of tests; all where none is named
    #[arg(value_parser = PossibleValuesParser::new(kinds::KINDS.iter().map(|kind| kind.name)), hide_possible_values = true)]
    name: Vec<String>,
    /// Say what kinds there are
    #[arg(long)]
    list: bool,
    /// End at the first kind that fails
    #[arg(long)]
    fail_fast: bool,
}

fn test_help() -> String {
    format!(
        "Kinds, in the order in which they run:\n{}\n\nFrom nothing all of it takes most of an hour on two cores.",
        list()
    )
}

fn list() -> String {
    let lines = kinds::KINDS.iter().map(|kind| {
        let needs = if kind.needs.is_empty() {
            String::new()
        } else {
            format!(" (needs {})", kind.needs)
        };
        format!("  {:<12} {}{needs}", kind.name, kind.about)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Try(args) => attempt(&args).map(|()| ExitCode::SUCCESS),
        Task::Test(args) if args.list => {
            println!("{}", list());
            Ok(ExitCode::SUCCESS)
        }
        Task::Test(args) => kinds::run(&args.name, args.fail_fast).map(|passed| {
            if passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }),
        Task::Cluster(args) => Ok(cluster::run(&args)?),
        Task::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Fuzz(args) => fuzz::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Drill(args) => drill::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Generate => generate::run(&mut report::Report::default()).map(|()| ExitCode::SUCCESS),
    }
}

fn attempt(args: &TryArgs) -> Result {
    let mut report = report::Report::default();
    report.begin("try");
    report.step("build for release", || build::release(&[]))?;
    let serin = build::released("serin");
    report.step("install ONNX Runtime", || setup::runtime::install(&serin))?;
    report.step("serve the iris example", || {
        quickstart::run(&serin, args.port, args.exit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_kind_of_test_is_in_the_help() {
        let help = Cli::command()
            .find_subcommand_mut("test")
            .unwrap()
            .render_long_help()
            .to_string();
        for kind in &kinds::KINDS {
            assert!(help.contains(kind.about), "{}", kind.name);
        }
    }

    #[test]
    fn a_kind_that_is_not_there_is_refused_with_those_that_are() {
        let error = Cli::try_parse_from(["xtask", "test", "units"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("units") && error.contains("unit"), "{error}");
    }
}
