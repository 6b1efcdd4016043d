//! From options and a configuration to a process that serves, drains and ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;

use serin_crds::contract::pod_config::PodConfig;
use tokio::sync::watch;

use crate::access::OpenAccess;
use crate::backends;
use crate::config::Options;
use crate::model::{
    LoadBounds, LoadError, LoaderOptions, Registry, Repository, SourceOptions, load_all,
    memory_plan_here,
};
use crate::pipeline::Pipeline;
use crate::policy::{PolicyInput, PolicyStore, Reloader};
use crate::routing::LocalRouter;
use crate::runtime::Resources;
use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::lifecycle::{Lifecycle, Phase};
use crate::runtime::memory_plan::{MemoryFlags, MemoryPlan};
use crate::server::shutdown::{Shutdown, Stop};
use crate::server::{Parts, Server, StartError};
use crate::telemetry::traces::{Process, SettingsError, TraceSwitch};
use crate::telemetry::{Metrics, Monitoring};
use serin_core::types::ModelState;

/// A process that serves, as an embedding program sees it.
#[derive(Clone)]
pub struct Running {
    /// Where every protocol is served.
    pub http_addr: SocketAddr,
    /// Where gRPC alone is served.
    pub grpc_addr: SocketAddr,
    /// Where probes, status and metrics are served.
    pub admin_addr: SocketAddr,
    /// The stage of the process.
    pub phase: watch::Receiver<Phase>,
    /// Becomes true once every model either answers or never will.
    pub settled: watch::Receiver<bool>,
    /// The models.
    pub pipeline: Arc<Pipeline>,
}

/// Why a process ends without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port cannot be served.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Traces cannot be sent where they should be.
    #[error(transparent)]
    Traces(#[from] SettingsError),
    /// No model can be served, and trying again cannot help.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Serves until `shutdown`, then drains. `started` is called once the ports are bound; models
/// load after that. The policy is reloaded from its source until the drain is over.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    mut options: Options,
    config: PodConfig,
    policy: PolicyInput,
    mut shutdown: Shutdown,
    started: impl FnOnce(Running),
) -> Result<(), ServeError> {
    let named = config
        .models
        .iter()
        .map(|model| (model.name.clone(), model.version.clone()));
    let store = Arc::new(PolicyStore::from(policy.initial));
    let metrics = Arc::new(Metrics::new(named).with_policy(Arc::clone(&store)));
    let process = Process {
        service: config.service,
        revision: config.revision,
        local_mode: options.local_mode,
    };
    let traces = Arc::new(TraceSwitch::start(
        store.current().policy.telemetry.traces.as_ref(),
        process,
        Box::new(|name| std::env::var(name).ok()),
        Arc::clone(&metrics),
    )?);
    let lifecycle = Lifecycle::new();
    let registry = Arc::new(Registry::new(config.models, &metrics));
    let bounded = bound_memory(&mut options);
    let mut loader = LoaderOptions::from(&options);
    loader.bounds.memory = bounded.models;
    let cpu_pool = CpuPool::new();
    let repository = Repository::new(Arc::clone(&registry), loader.clone(), lifecycle.clone());
    let pipeline = Pipeline::new(Arc::clone(&registry), cpu_pool.clone());
    let pipeline = Arc::new(pipeline.with_repository_control(repository));
    let parts = Parts {
        service: Arc::clone(&pipeline),
        access: Arc::new(OpenAccess),
        router: Arc::new(LocalRouter),
        resources: Resources::new(options.limits.clone(), cpu_pool).planned(bounded),
        metrics: Arc::clone(&metrics),
        lifecycle: lifecycle.clone(),
        policy: Arc::clone(&store),
        monitoring: Monitoring {
            tracer: traces.handle(),
        },
    };
    let server = Server::start(&options, parts).await?;
    let (settle, settled) = watch::channel(false);
    started(Running {
        http_addr: server.http_addr,
        grpc_addr: server.grpc_addr,
        admin_addr: server.admin_addr,
        phase: lifecycle.subscribe(),
        settled,
        pipeline,
    });
    let follower = Arc::clone(&traces);
    let reloading = policy
        .source
        .map(|source| Reloader::new(store, source, follower).spawn());
    lifecycle.advance(Phase::Loading);
    let mut requested = shutdown.clone();
    let stop = tokio::select! {
        loaded = load_all(&registry, &loader, &lifecycle) => {
            loaded?;
            // One of several models may have failed for good: the others answer, and the process
            // as a whole is not ready.
            if !registry.states().iter().any(ModelState::blocks_readiness) {
                lifecycle.advance(Phase::Ready);
            }
            settle.send_replace(true);
            requested.reached(Stop::Gently).await;
            requested.current()
        }
        () = shutdown.reached(Stop::Gently) => shutdown.current(),
    };
    server.drain(stop, options.lame_duck, shutdown).await;
    drop(reloading);
    traces.finish().await;
    Ok(())
}

/// Derives the bounds that no flag gives from the container's memory, and says them.
fn bound_memory(options: &mut Options) -> MemoryPlan {
    let limits = &mut options.limits;
    let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    let plan = memory_plan_here(MemoryFlags {
        models: options.model_memory,
        requests: limits.body_bytes_in_flight.map(bytes),
        body: options.max_body.map(bytes),
        connections: bytes(limits.connections),
    });
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    limits.body_bytes = size(plan.body);
    limits.body_bytes_in_flight = Some(size(plan.requests));
    limits.connections = size(plan.connection_count);
    if plan.fits() {
        tracing::info!("memory: {plan}");
    } else {
        tracing::warn!(
            "memory: the bounds take {} MiB, more than the limit; under load the container may be \
             killed: give it more memory, or lower --max-body-mib, --max-bodies-mib or \
             --model-memory-mib; {plan}",
            plan.sum() >> 20
        );
    }
    plan
}

impl From<&Options> for LoaderOptions {
    fn from(options: &Options) -> Self {
        Self {
            source: SourceOptions {
                cache_dir: options.cache_dir.clone(),
                max_bytes: options.max_model_bytes,
                local_mode: options.local_mode,
                extra_roots: None,
            },
            backends: backends::all(options.runtime_library.clone()),
            threads: available_parallelism().map_or(1, usize::from),
            bounds: LoadBounds::new(
                options.model_memory,
                options.model_load_timeout,
                options.model_trial,
            ),
        }
    }
}
