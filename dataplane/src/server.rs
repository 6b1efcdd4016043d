//! The server: ports, protocols, and the drain.

mod admin;
mod admin_runtime;
mod connection;
mod documents;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod http;
mod inflation;
mod listener;
mod pace;
mod path;
mod peer_shares;
mod recording;
mod respond;
pub mod shutdown;
mod socket;
mod state;
mod stream;
mod unary;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

use self::admin_runtime::AdminRuntime;
use self::connection::{Connections, Guard, Port, Stage};
use self::http::routes;
use self::listener::{Listener, ListenerHandle};
use self::shutdown::{Shutdown, Stop};
use self::state::ServerState;
use crate::config::Options;
use crate::pipeline::Serve;
use crate::runtime::lifecycle::{Lifecycle, Phase};
use crate::telemetry::TracerHandle;

pub use self::listener::BindError;
pub use self::state::Parts;

/// Connections of the admin port: probes, the operator and a scraper need few.
const ADMIN_CONNECTIONS: usize = 256;

/// Those of one address: a neighbour that holds all it can leaves room for the kubelet.
const ADMIN_CONNECTIONS_OF_ONE: usize = 32;

/// Longest wait, at the end, for connections in the kernel's accept queue.
const ACCEPT_QUIET: Duration = Duration::from_millis(250);

/// The time before requests are cut off in which streams end with an error.
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
    /// The system gives no thread for the admin port.
    #[error("the admin port gets no thread: {0}; raise the process's limit of threads")]
    Thread(std::io::Error),
}

/// Running ports.
pub struct Server {
    /// The port of every protocol.
    pub http_addr: SocketAddr,
    /// The port of gRPC alone.
    pub grpc_addr: SocketAddr,
    /// The port of probes, status and metrics.
    pub admin_addr: SocketAddr,
    http: ListenerHandle,
    grpc: ListenerHandle,
    admin: ListenerHandle,
    // Behind the port that it serves.
    _admin_runtime: AdminRuntime,
    lifecycle: Lifecycle,
    drain_timeout: Duration,
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
        let admin_runtime = AdminRuntime::start().map_err(StartError::Thread)?;
        let admin = admin_runtime.within(|| bind("admin", "--admin-port", options.admin_port))?;
        let (http_addr, grpc_addr, admin_addr) = (http.address(), grpc.address(), admin.address());
        tracing::info!(http = %http_addr, grpc = %grpc_addr, admin = %admin_addr, "listening");

        let state = Arc::new(ServerState::new(parts));
        let names = options.local_mode.then(|| options.local_names.clone());
        let port = |tracer, admin| {
            let (resources, metrics) = (state.resources.clone(), Arc::clone(&state.metrics));
            let names = names.clone();
            Port::new(resources, metrics, tracer, Guard { admin, names })
        };
        let for_callers = || {
            let gauge = state.metrics.connections.clone();
            Connections::new(port(state.tracer.clone(), false), gauge)
        };
        let grpc_routes = grpc::routes(&state)?.prepare().into_axum_router();
        // Each has an answer of its own for unknown paths; on the common port REST's is given.
        let all = routes::router(Arc::clone(&state)).merge(grpc_routes.clone().reset_fallback());
        let most = state.resources.limits.connections;
        Ok(Self {
            http_addr,
            grpc_addr,
            admin_addr,
            http: http.serve(all, for_callers(), (most, most)),
            grpc: grpc.serve(grpc_routes, for_callers(), (most, most)),
            admin: admin_runtime.within(|| {
                admin.serve(
                    admin::router(Arc::clone(&state)),
                    Connections::new(port(TracerHandle::default(), true), Gauge::default()),
                    (ADMIN_CONNECTIONS, ADMIN_CONNECTIONS_OF_ONE),
                )
            }),
            _admin_runtime: admin_runtime,
            lifecycle: state.lifecycle.clone(),
            drain_timeout: options.drain_timeout,
        })
    }

    /// Stops: not ready at once; new connections for the lame-duck time, if `stop` grants one; then
    /// requests in flight finish. Returns when all are done, the drain timeout passed, or
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
        // Requests still in flight are refused, in their callers' protocols, before they are cut off.
        let refuse_rest = async {
            tokio::time::sleep(self.drain_timeout - margin).await;
            self.lifecycle.cut_off();
            std::future::pending::<()>().await;
        };
        let finish = async {
            tokio::join!(self.http.finish(quiet), self.grpc.finish(quiet));
            // Last: probes and the operator read the state of the drain from it.
            self.admin.finish(Duration::ZERO).await;
        };
        tokio::select! {
            () = refuse_rest => {}
            () = finish => tracing::info!("every request in flight has finished"),
            () = tokio::time::sleep(self.drain_timeout) => {
                tracing::warn!(timeout_s = self.drain_timeout.as_secs(), "requests in flight were cut off");
            }
            () = shutdown.reached(Stop::Now) => tracing::warn!("stopped at once, as asked"),
        }
        self.lifecycle.advance(Phase::Stopped);
    }
}
