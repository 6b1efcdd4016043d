//! The operator's process.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use serin_operator::settings::Settings;
use serin_operator::{run, telemetry};

fn main() -> ExitCode {
    let settings = Settings::parse();
    telemetry::start(settings.log_format);
    // Before any TLS: with two providers in the build, rustls would not know which to use.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::warn!("a TLS provider was installed before ours");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime
            .block_on(run::run(settings))
            .map_err(|error| error.to_string()),
        Err(error) => Err(format!("cannot start: {error}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
