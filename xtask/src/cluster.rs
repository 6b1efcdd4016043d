//! `cargo xtask cluster`: the Kubernetes that the tests run against.
use std::{ffi::OsString, os::unix::process::CommandExt, process::ExitCode};

use clap::Subcommand;
use serin_e2e_cluster::{
    Cluster, DEFAULT_NAME, Error, KUBECONFIG_VARIABLE, Result, down, status, up,
};

/// A real Kubernetes on this machine, in a network namespace of its own, built from package registries. Needs root, Go and cc.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which cluster. Several can run side by side.
    #[arg(long, global = true, default_value = DEFAULT_NAME)]
    name: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Starts the cluster, or finds it running. What it runs is built first: about ten minutes, once.
    Up,
    /// Ends the cluster and removes all of it but the cached programs.
    Down,
    /// Shows what runs. The exit code is 1 when the cluster is not up.
    Status,
    /// Runs a command in the cluster's network, with KUBECONFIG set and kubectl, helm and ctr on the PATH.
    Exec {
        /// The command, after `--`.
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CMD"
        )]
        command: Vec<OsString>,
    },
}

/// Does what was asked for. The exit code of `exec` is the command's.
///
/// # Errors
/// What the cluster says.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if std::env::var_os(KUBECONFIG_VARIABLE).is_some_and(|path| !path.is_empty()) {
        eprintln!(
            "note: {KUBECONFIG_VARIABLE} is set, so the tests use that cluster and not {}",
            args.name
        );
    }
    match &args.action {
        Action::Up => up(&args.name).map(|_| ExitCode::SUCCESS),
        Action::Down => down(&args.name).map(|()| ExitCode::SUCCESS),
        Action::Status => show(&args.name),
        Action::Exec { command } => exec(&args.name, command),
    }
}

fn show(name: &str) -> Result<ExitCode> {
    let status = status(name)?;
    for component in &status.components {
        let state = component.pid.map_or("does not run".to_owned(), |pid| {
            format!("runs, process {pid}")
        });
        println!("{:<24} {state}", component.name);
    }
    if let Some(cluster) = &status.cluster {
        println!("{:<24} {}", "kubeconfig", cluster.kubeconfig().display());
    }
    if status.is_up() {
        println!("{name} is up: the node, DNS and the metrics API are ready");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{name} is not up ({}); start it with `cargo xtask cluster up`",
        status.missing.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

/// Becomes the command, so that signals and the terminal are its own.
fn exec(name: &str, command: &[OsString]) -> Result<ExitCode> {
    let cluster = Cluster::running(name)?;
    let Some((program, arguments)) = command.split_first() else {
        return Ok(ExitCode::SUCCESS);
    };
    let source = cluster.command(program).args(arguments).exec();
    Err(Error::File {
        action: "run",
        path: program.into(),
        source,
    })
}
