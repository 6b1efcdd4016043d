//! `serin`: model serving from the command line.
#![forbid(unsafe_code)]

mod args;
mod check;
mod failure;
mod run;
mod runtime;
mod source;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use serin_dataplane::model::enter_preflight;
use serin_engine::onnx::silence_runtime;

use args::{Cli, Command, RuntimeCommand};
use failure::Failure;
use terminal::write_out;

fn main() -> ExitCode {
    if let Err(error) = silence_runtime(&[]) {
        eprintln!("serin cannot start itself anew: {error}");
    }
    if let Some(tried) = enter_preflight() {
        return tried;
    }
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match perform(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::FAILURE
        }
    }
}

/// The command line, under the name it was called by.
fn command() -> clap::Command {
    let called = std::env::args_os().next().map(std::path::PathBuf::from);
    let plugin = called
        .as_deref()
        .and_then(std::path::Path::file_stem)
        .is_some_and(|name| name == "kubectl-serin");
    if plugin {
        Cli::command().bin_name("kubectl serin")
    } else {
        Cli::command()
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Crd => {
            let yaml = serin_crds::schema::shipped_crd_yaml()
                .map_err(|error| Failure::Definition(error.to_string()))?;
            write_out(&yaml);
            Ok(())
        }
        Command::Runtime(RuntimeCommand::Install(args)) => {
            runtime::install(&args)?;
            Ok(())
        }
        Command::Runtime(RuntimeCommand::Path) => Ok(runtime::print_path()?),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "serin", &mut script);
            write_out(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}
