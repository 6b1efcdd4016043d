//! Starts everything, and stops it in the right order: first the passes, then the lease.

use std::net::SocketAddr;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use crate::http;
use crate::leader::{Candidate, Fence, Lost};
use crate::metrics::Metrics;
use crate::reconcile::context::Shared;
use crate::settings::Settings;
use crate::watches;
use crate::writer::Writer;

/// Why the operator ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no cluster to be found.
    #[error(
        "no cluster: {0}. Run the operator in a pod, or set KUBECONFIG to a file that names one"
    )]
    NoCluster(#[from] kube::config::InferConfigError),
    /// The client cannot be made from what was found.
    #[error("the cluster's client cannot be made: {0}")]
    Client(#[source] kube::Error),
    /// The port of the metrics is taken.
    #[error("cannot listen on {0} for /metrics: {1}. Choose another --metrics-port")]
    Port(SocketAddr, std::io::Error),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    /// Another process leads.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`RunError`]. After [`RunError::Lost`] the process must end at once.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let stop = stop_signal()?;
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let address = SocketAddr::new(settings.metrics_addr, settings.metrics_port);
    let listener = http::bind(address)
        .await
        .map_err(|error| RunError::Port(address, error))?;
    tokio::spawn(http::serve(listener, Arc::new(registry)));

    let config = config().await?;
    let identity = settings.identity.clone().unwrap_or_else(host_name);
    let fence = if settings.leader_elect {
        Fence::fallen()
    } else {
        Fence::always()
    };
    let held = if settings.leader_elect {
        // A client of its own: calls that hang on the other one must not cost the lease.
        let client = client(&config)?;
        let candidate = Candidate::new(client, &settings.namespace, &identity, fence.clone());
        tracing::info!(identity, namespace = settings.namespace, "waiting to lead");
        let Some(held) = candidate.acquire(stopped(stop.clone())).await else {
            return Ok(());
        };
        Some(held)
    } else {
        None
    };
    metrics.leads(true);
    tracing::info!(
        identity,
        dataplane_image = settings.dataplane_image,
        "leading"
    );

    let shared = shared(
        &settings,
        client(&config)?,
        fence,
        metrics.clone(),
        identity,
    );
    let work = watches::run(shared, &settings.watch_namespaces, stop);
    if let Some(mut held) = held {
        // Passes that are cut off here are safe to repeat; their writes are fenced off.
        tokio::select! {
            () = work => {}
            lost = held.keep() => return Err(lost.into()),
        }
        metrics.leads(false);
        held.release().await;
    } else {
        work.await;
    }
    tracing::info!("stopped");
    Ok(())
}

fn shared(
    settings: &Settings,
    client: Client,
    fence: Fence,
    metrics: Metrics,
    identity: String,
) -> Shared {
    let reporter = Reporter {
        controller: "serin.dev/operator".into(),
        instance: Some(identity),
    };
    Shared {
        writer: Writer::new(client.clone(), fence, metrics.clone()),
        recorder: Recorder::new(client.clone(), reporter),
        client,
        defaults: settings.defaults(),
        backoff: Arc::default(),
        expectations: Arc::default(),
        metrics,
        slots: Arc::new(Semaphore::new(usize::from(watches::CONCURRENCY))),
        metrics_api: Arc::default(),
        clock: Timestamp::now,
    }
}

/// How to reach the cluster. Nothing is retried inside the client: a retry there holds a pass,
/// or a lease, for minutes, and passes are repeated anyway.
async fn config() -> Result<Config, RunError> {
    let mut config = Config::infer().await?;
    config.default_retry = false;
    Ok(config)
}

fn client(config: &Config) -> Result<Client, RunError> {
    Client::try_from(config.clone()).map_err(RunError::Client)
}

fn host_name() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "serin-operator".into())
}

fn stop_signal() -> Result<watch::Receiver<bool>, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let (set, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: running passes end, then the lease is released");
        // An error means that everything has ended already.
        let _ = set.send(true);
        // Kept: a dropped sender would look like an error to those that wait.
        std::future::pending::<()>().await;
    });
    Ok(stop)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
