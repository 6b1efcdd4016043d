//! Sockets: the ports, what stands on them, and how they close.

mod admin;
mod app;
mod body;
mod compress;
mod connection;
mod control;
mod docs;
mod exchange;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod grpc_body;
mod health;
mod in_flight_body;
mod infer;
mod listener;
mod models;
mod openai;
mod ordered_stream;
mod routes;
mod settings;
pub mod shutdown;
mod socket;
mod stream;
mod unary;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::task::JoinHandle;

use self::app::App;
use self::connection::{Connections, Stage};
use self::listener::{Listener, ListenerHandle};
use self::shutdown::{Shutdown, Stop};
use crate::config::Options;
use crate::pipeline::Serve;
use crate::policy::PolicyStore;
use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::lifecycle::{Lifecycle, Phase};
use crate::telemetry::{Metrics, Monitoring, TracerHandle};
use serin_core::Limits;

pub use self::listener::BindError;

/// Connections of the admin port: probes, the operator and a scraper need few.
const ADMIN_CONNECTIONS: usize = 256;

/// Longest wait, at the end, for connections that the kernel had accepted and nobody had read.
const ACCEPT_QUIET: Duration = Duration::from_millis(250);

/// Before requests are cut off, streams are ended with an error that says so.
const STREAM_FAREWELL: Duration = Duration::from_secs(2);

/// Why the ports cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken or not allowed.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The binary is damaged.
    #[error("the embedded gRPC descriptions cannot be read: {0}")]
    Descriptions(#[from] tonic_reflection::server::Error),
}

/// Running ports.
pub struct Server {
    /// Where every protocol is served.
    pub http_addr: SocketAddr,
    /// Where gRPC alone is served.
    pub grpc_addr: SocketAddr,
    /// Where probes, status and metrics are served.
    pub admin_addr: SocketAddr,
    http: ListenerHandle,
    grpc: ListenerHandle,
    admin: ListenerHandle,
    lifecycle: Lifecycle,
    drain_timeout: Duration,
}

/// What the ports are made of.
pub struct Parts<S> {
    /// Answers the requests.
    pub service: Arc<S>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Where the process stands.
    pub lifecycle: Lifecycle,
    /// What the protocols offer, and may be changed meanwhile.
    pub policy: Arc<PolicyStore>,
    /// What monitoring is told besides our own metrics and logs.
    pub monitoring: Monitoring,
}

impl Server {
    /// Binds the ports and serves on them; requests are answered 503 until models are ready.
    ///
    /// # Errors
    /// A port cannot be bound, or the embedded gRPC descriptions are damaged.
    pub async fn start<S: Serve>(options: &Options, parts: Parts<S>) -> Result<Self, StartError> {
        let bind = |name, flag, port| Listener::bind(name, flag, options.bind, port);
        let http = bind("HTTP", "--http-port", options.http_port)?;
        let grpc = bind("gRPC", "--grpc-port", options.grpc_port)?;
        let admin = bind("admin", "--admin-port", options.admin_port)?;
        let (http_addr, grpc_addr, admin_addr) = (http.address(), grpc.address(), admin.address());
        tracing::info!(http = %http_addr, grpc = %grpc_addr, admin = %admin_addr, "listening");

        let limits = &options.limits;
        let lifecycle = parts.lifecycle.clone();
        let metrics = Arc::clone(&parts.metrics);
        let gauge = metrics.connections.clone();
        let heavy = CpuPool::new();
        let tracer = parts.monitoring.tracer.clone();
        let app = Arc::new(App::new(parts, limits.clone(), heavy.clone()));
        let grpc_routes = grpc::routes(grpc::Parts {
            serve: Arc::clone(&app.service),
            metrics: Arc::clone(&metrics),
            lifecycle: lifecycle.clone(),
            limits: Arc::clone(&app.limits),
            bodies: Arc::clone(&app.bodies),
            heavy: heavy.clone(),
            tracer: tracer.clone(),
        })?
        .prepare()
        .into_axum_router();
        let shared = connection::Shared {
            metrics: Arc::clone(&metrics),
            heavy,
            bodies: Arc::clone(&app.bodies),
        };
        let connections =
            |limits: Limits, gauge, tracer| Connections::new(limits, gauge, shared.clone(), tracer);
        // Each has an answer of its own for unknown paths; on the common port REST's is given.
        let all = routes::router(Arc::clone(&app)).merge(grpc_routes.clone().reset_fallback());
        let admin_limits = Limits {
            connections: ADMIN_CONNECTIONS,
            ..limits.clone()
        };
        Ok(Self {
            http_addr,
            grpc_addr,
            admin_addr,
            http: http.serve(
                all,
                connections(limits.clone(), gauge.clone(), tracer.clone()),
            ),
            grpc: grpc.serve(grpc_routes, connections(limits.clone(), gauge, tracer)),
            admin: admin.serve(
                admin::router(app),
                connections(admin_limits, Gauge::default(), TracerHandle::default()),
            ),
            lifecycle,
            drain_timeout: options.drain_timeout,
        })
    }

    /// Stops: not ready at once; new connections for the lame-duck time, if `stop` grants one; then
    /// what is in flight finishes. Returns when all is done, the drain timeout passed, or
    /// [`Stop::Now`] came.
    pub async fn drain(self, stop: Stop, lame_duck: Duration, mut shutdown: Shutdown) {
        self.lifecycle.advance(Phase::Draining);
        for port in [&self.http, &self.grpc] {
            port.connections.enter(Stage::Draining);
        }
        let mut quiet = Duration::from_millis(10);
        if stop == Stop::Gently {
            quiet = ACCEPT_QUIET;
            tokio::select! {
                () = tokio::time::sleep(lame_duck) => {}
                () = shutdown.reached(Stop::Finish) => {}
            }
        }
        let margin = STREAM_FAREWELL.min(self.drain_timeout / 4);
        self.lifecycle
            .finish_by(Instant::now() + self.drain_timeout - margin);
        let finish = async {
            tokio::join!(self.http.finish(quiet), self.grpc.finish(quiet));
            // Last: probes and the operator ask it how the rest is doing.
            self.admin.finish(Duration::ZERO).await;
        };
        tokio::select! {
            () = finish => tracing::info!("every request in flight has finished"),
            () = tokio::time::sleep(self.drain_timeout) => {
                tracing::warn!(timeout_s = self.drain_timeout.as_secs(), "requests in flight were cut off");
            }
            () = shutdown.reached(Stop::Now) => tracing::warn!("stopped at once, as asked"),
        }
        self.lifecycle.advance(Phase::Stopped);
    }
}

/// A task that ends with its owner.
struct OwnedTask(JoinHandle<()>);

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
