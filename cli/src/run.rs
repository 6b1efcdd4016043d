//! `serin run`: serves models on this machine, from the files that a cluster takes.
//!
//! The data plane is the one that runs in a pod; what differs is where its configuration comes
//! from and that it may read this machine's files.

mod announce;
mod plan;
mod reload;
mod request;
mod scratch;
mod served;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serin_core::types::ModelRef;
use serin_crds::manifest::load;
use serin_dataplane::config::Options;
use serin_dataplane::pipeline::Catalog;
use serin_dataplane::policy::{PolicyInput, PolicySource};
use serin_dataplane::server::shutdown::Shutdown;
use serin_dataplane::telemetry::logging::{self, InitError, LogFormat};
use serin_dataplane::{Running, serve};
use serin_engine::onnx::{Runtime, RuntimeError as EngineError};
use serin_wire::example;

use crate::args::{InstallArgs, RunArgs};
use crate::check::nothing_to_serve;
use crate::failure::Failure;
use crate::runtime;
use crate::terminal::{Tone, on_stderr, write_out};
use plan::Plan;
use reload::{ManifestSource, WatchedFiles};
use request::{Body, MAX_ELEMENTS, Request};
use scratch::Scratch;
use served::Served;

/// Serves until Ctrl-C.
///
/// # Errors
/// Manifests that a cluster would refuse, models that are not there, ports that are taken.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    // Until the end: what was logged is written before the last word of a failure.
    let _log = logging::init(&args.log, LogFormat::Auto).map_err(|error| match error {
        InitError::Filter(error) => Failure::Log(error.to_string()),
        InitError::Thread(error) => Failure::Threads(error),
    })?;
    // Before they are read: a change meanwhile is seen at the next look.
    let watched = WatchedFiles::new(&args.manifests.files);
    let manifest = load(&args.manifests.files)?;
    if manifest.services.is_empty() {
        return Err(nothing_to_serve(&manifest, &args.manifests.files).into());
    }
    let scratch = Scratch::new(&std::env::temp_dir()).map_err(Failure::Scratch)?;
    let plan = plan::plan(&manifest, scratch.path())?;
    for note in &plan.notes {
        eprintln!("{} {note}", on_stderr(Tone::Note, "note:"));
    }
    if plan.config.models.is_empty() {
        return Err(Failure::AllSuspended);
    }
    let served = Served::of(&manifest)?;
    let source = watched
        .map(|files| -> Box<dyn PolicySource> { Box::new(ManifestSource::new(files, served)) });
    let policy = PolicyInput {
        initial: plan.policy.clone().into(),
        source,
    };
    open_runtime(args)?;
    // One provider for the process; a second call would mean that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = options(args)?;
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Threads)?;
    let outcome = tokio.block_on(async {
        let shutdown = Shutdown::on_signals().map_err(Failure::Threads)?;
        let config = plan.config.clone();
        let announcing = |running: Running| {
            tokio::spawn(announce_once_settled(running, plan));
        };
        serve(options, config, policy, shutdown, announcing)
            .await
            .map_err(Failure::Serve)
    });
    // An engine in the middle of a run does not hear of the end.
    tokio.shutdown_background();
    outcome
}

/// Finds ONNX Runtime before anything else is started, and gets it where that was asked for.
fn open_runtime(args: &RunArgs) -> Result<(), Failure> {
    let named = args.runtime_library.as_deref();
    match Runtime::open(named) {
        Err(EngineError::NotFound { .. }) if args.install_runtime => {
            let library = runtime::install(&InstallArgs::default())?;
            Runtime::open(Some(&library))
                .map(drop)
                .map_err(Failure::Engine)
        }
        opened => opened.map(drop).map_err(Failure::Engine),
    }
}

fn options(args: &RunArgs) -> Result<Options, Failure> {
    Ok(Options {
        bind: args.bind,
        http_port: args.http_port,
        grpc_port: args.grpc_port,
        admin_port: args.admin_port,
        cache_dir: model_cache()?,
        runtime_library: args.runtime_library.clone(),
        local_mode: true,
        local_names: args.allow_host.clone(),
        // Nobody balances load over a laptop.
        lame_duck: Duration::ZERO,
        ..Options::default()
    })
}

/// `serin/models` in the user's cache folder, beside `serin/onnxruntime`.
fn model_cache() -> Result<PathBuf, Failure> {
    let library = runtime::destination()?;
    let serin = library.ancestors().nth(3).unwrap_or(Path::new("."));
    Ok(serin.join("models"))
}

async fn announce_once_settled(mut running: Running, plan: Plan) {
    // The sender goes when serving ends.
    if running.settled.wait_for(|settled| *settled).await.is_err() {
        return;
    }
    let requests: Vec<Option<Request>> = plan
        .config
        .models
        .iter()
        .zip(&plan.models)
        .map(|(model, origin)| {
            let beside = origin
                .alone
                .then(|| request::beside(Path::new(&origin.file)))
                .flatten()
                .map(Body::File);
            let named = ModelRef {
                name: model.name.clone(),
                version: None,
            };
            let description = running.pipeline.describe(&named).ok()?;
            if description.embedding.is_some() {
                return Some(Request::embed(&model.name, beside));
            }
            let body = beside.or_else(|| {
                let made = example::request(&description.signature, MAX_ELEMENTS)?;
                serde_json::to_string(&made).ok().map(Body::Json)
            });
            body.map(|body| Request::infer(&model.name, body))
        })
        .collect();
    let states = running.pipeline.models();
    write_out(&announce::announcement(
        running.http_addr,
        &plan,
        &states,
        &requests,
    ));
}
