//! `serin-dataplane`: what runs in a pod.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use mimalloc::MiMalloc;
use serin_crds::contract::policy::Policy;
use serin_dataplane::config::{Cli, read};
use serin_dataplane::model::enter_preflight;
use serin_dataplane::policy::PolicyInput;
use serin_dataplane::serve;
use serin_dataplane::server::shutdown::Shutdown;
use serin_dataplane::telemetry::logging::{self, InitError};
use serin_engine::onnx::silence_runtime;

/// A request takes and frees about fifty pieces of memory; this one is quicker at it than the system's.
/// ONNX Runtime keeps its own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The allocator gives memory back as it is freed. By default it keeps it until later allocations, and
/// what large requests took of a container's memory would stay taken: bounds on what is in use would
/// not bound what the container is charged for.
const ALLOCATOR_GIVES_BACK: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "0");

fn main() -> ExitCode {
    if let Err(error) = silence_runtime(&[ALLOCATOR_GIVES_BACK]) {
        let _ = writeln!(
            std::io::stderr(),
            "serin-dataplane: cannot start itself anew: {error}"
        );
    }
    if let Some(tried) = enter_preflight() {
        return tried;
    }
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("serin-dataplane: {error}");
            let _ = writeln!(std::io::stderr(), "{message}");
            // Where it cannot be written, standard error has said it.
            if let Some(path) = cli.termination_log() {
                let _ = std::fs::write(path, error.to_string());
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn std::error::Error>> {
    // Until the end: what was logged is written before the last word of a failure.
    let _log = logging::init(&cli.log, cli.log_format).map_err(|error| match error {
        InitError::Filter(error) => format!("--log '{}' cannot be read: {error}", cli.log),
        error => error.to_string(),
    })?;
    // One provider for the process; a second call would mean that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = read(&cli.config)?;
    let policy = match &cli.policy {
        Some(path) => PolicyInput::file(path)?,
        None => PolicyInput::fixed(Policy::default()),
    };
    let threads = cli.threads.map_or_else(
        || available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        serve(cli.options(), config, policy, shutdown, |_| {}).await?;
        Ok(())
    });
    // An engine in the middle of a run does not hear of the end.
    runtime.shutdown_background();
    outcome
}
