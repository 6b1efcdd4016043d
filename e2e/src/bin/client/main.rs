//! What the tests run inside the cluster, in a pod of its own: sends requests to a Service as a
//! client in the same namespace would.
#![forbid(unsafe_code)]

mod connection;
mod grpc;
mod load;
mod pod;
mod send;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sends requests from inside the cluster.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Keeps the pod alive until SIGTERM; the other commands are started beside it.
    Idle,
    /// Sends one request and prints the answer as JSON. The body is read from standard input.
    Send(send::Arguments),
    /// Infers over gRPC and prints the answers as JSON, one a line.
    Grpc(grpc::Arguments),
    /// Sends requests on keep-alive connections until standard input is closed.
    Load(load::Arguments),
    /// SIGKILLs the processes of a pod of this node. Needs the node's process IDs and root.
    Kill(pod::Arguments),
    /// Prints what the processes of a pod of this node may do. Needs the same.
    Inspect(pod::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Idle => idle().await,
            Command::Send(arguments) => send::run(arguments).await,
            Command::Grpc(arguments) => grpc::run(arguments).await,
            Command::Load(arguments) => load::run(arguments).await,
            Command::Kill(arguments) => pod::kill(&arguments),
            Command::Inspect(arguments) => pod::inspect(&arguments),
        }
    });
    // A thread that waits for standard input must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn idle() -> Result<(), String> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| error.to_string())?;
    terminate.recv().await;
    Ok(())
}

fn failed(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}
