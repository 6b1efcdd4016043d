//! `serin`: model serving from the command line.
#![forbid(unsafe_code)]

mod args;
mod check;
mod failure;
#[cfg(test)]
mod run;
mod runtime;
mod source;
mod terminal;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command, RuntimeCommand};
use failure::Failure;
use terminal::{Tone, on_stderr};

fn main() -> ExitCode {
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match perform(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        }
    }
}

/// One `error:` for each fault; of very many, the first ones.
fn report(failure: &Failure) {
    const SHOWN: usize = 50;
    let error = on_stderr(Tone::Error, "error:");
    let Failure::Manifest(problems) = failure else {
        eprintln!("{error} {failure}");
        return;
    };
    for problem in problems.0.iter().take(SHOWN) {
        eprintln!("{error} {problem}");
    }
    if problems.0.len() > SHOWN {
        eprintln!("{error} and {} more", problems.0.len() - SHOWN);
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
        Command::Check(args) => check::run(&args),
        Command::Crd => {
            let yaml = serin_crds::schema::shipped_crd_yaml()
                .map_err(|error| Failure::Definition(error.to_string()))?;
            write_out(yaml.as_bytes());
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
            write_out(&script);
            Ok(())
        }
    }
}

/// A reader that has seen enough (`serin crd | head`) is no failure.
fn write_out(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}
