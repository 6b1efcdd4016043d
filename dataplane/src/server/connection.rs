//! One connection: its HTTP version, its idle timeouts, its end.
//!
//! Why not hyper's own header timer: it also runs between requests, so one number would have to
//! serve as header timeout (10 s) and keep-alive time (60 s), and it allocates a timer for each
//! request. Here a connection has one timer, moved only when a deadline comes nearer.

mod guard;
mod h2_frames;
mod h2_send;
pub(super) mod in_flight_body;
mod io;
mod metered;
mod port;
mod serve;
mod sniff;
mod state;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::io::{Head, InstrumentedIo};
use self::metered::MeteredStream;
use self::serve::{Arrival, serve};
use self::sniff::{Spoken, sniff};
use self::state::{ConnectionState, IdleRules};
use super::grpc::body::STREAM_WINDOW;
use crate::context::new_caller;

pub(super) use self::guard::Guard;
pub(super) use self::port::{Port, Stage};

/// HTTP/2 pings a silent peer after this long...
const HTTP2_KEEP_ALIVE: Duration = Duration::from_secs(20);
/// ...and closes the connection when no answer comes within this.
const HTTP2_KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes a peer may send ahead of our reading on a whole connection. The streams' windows bound the bytes; this one decides how many small
/// frames a peer may be ahead: each that is not read yet is charged the bytes that it has fewer than 256,
/// and beyond half of this window the connection is closed (h2's `data_frame_budget`). Callers that
/// stream messages of 40 bytes to a slow model, each in a frame of its own, may so fill the windows of a
/// hundred streams.
const HTTP2_CONNECTION_WINDOW: u32 = 64 << 20;
/// Requests of one connection that the peer gave up before they were looked at. A caller that cancels
/// many calls at once is no attack; the bound is on the memory of their header blocks.
const HTTP2_PENDING_RESETS: usize = 1024;

/// The connections of one port.
pub(super) struct Connections {
    pub(super) port: Arc<Port>,
    open: Mutex<Vec<Weak<ConnectionState>>>,
    tasks: TaskTracker,
    gauge: Gauge,
}

impl Connections {
    pub(super) fn new(port: Port, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            port: Arc::new(port),
            open: Mutex::default(),
            tasks: TaskTracker::new(),
            gauge,
        })
    }

    /// Moves every connection to a later stage.
    pub(super) fn enter(&self, stage: Stage) {
        self.port.advance(stage);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for state in open.iter().filter_map(Weak::upgrade) {
            state.wake();
        }
    }

    /// Returns when no connection is left; none may be spawned any more.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Serves a connection by `router`; `slot` is its permit among the allowed connections.
    pub(super) fn spawn(
        self: &Arc<Self>,
        (stream, peer): (TcpStream, SocketAddr),
        router: Router,
        slot: impl Send + 'static,
    ) {
        let connections = Arc::clone(self);
        self.tasks.spawn(async move {
            connections.gauge.inc();
            Arc::clone(&connections).serve((stream, peer), router).await;
            connections.gauge.dec();
            drop(slot);
        });
    }

    fn register(&self) -> Arc<ConnectionState> {
        let state = Arc::new(ConnectionState::new());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Entries of ended connections are dropped when the list would grow.
        if open.len() == open.capacity() {
            open.retain(|entry| entry.strong_count() > 0);
        }
        open.push(Arc::downgrade(&state));
        state
    }

    async fn serve(self: Arc<Self>, (stream, peer): (TcpStream, SocketAddr), router: Router) {
        let state = self.register();
        let silence = poll_fn(|cx| {
            state.register(cx.waker());
            match self.port.stage() {
                Stage::Closing => Poll::Ready(()),
                _ => Poll::Pending,
            }
        });
        let Some(spoken) = sniff(
            &stream,
            self.port.resources.limits.first_byte_timeout,
            silence,
        )
        .await
        else {
            return;
        };
        let closed = CancellationToken::new();
        let io = TokioIo::new(InstrumentedIo::new(
            MeteredStream::new(stream, spoken == Spoken::Http2),
            Arc::clone(&state),
            closed.clone(),
            (spoken == Spoken::Http1).then(|| Head::new(self.port.resources.memory.hold())),
        ));
        let share = (spoken == Spoken::Http2).then(|| self.port.resources.memory.share());
        let from = (peer, new_caller());
        let service = {
            let (port, state) = (Arc::clone(&self.port), Arc::clone(&state));
            service_fn(move |request: hyper::Request<Incoming>| {
                let memory = &port.resources.memory;
                let arrival = Arrival::of(&request, (&state, spoken), share.clone(), memory, from);
                let answer = serve(Arc::clone(&port), router.clone(), request, arrival);
                // An async block would hold the answer's future twice, and copy it.
                answer.map(Ok::<_, Infallible>)
            })
        };
        let limits = &self.port.resources.limits;
        let ended = match spoken {
            Spoken::Http1 => {
                let connection = http1::Builder::new()
                    .max_header_size(limits.header_bytes)
                    .max_headers(limits.header_fields)
                    .serve_connection(io, service)
                    .with_upgrades();
                let leave_at = (Stage::Closing, |connection: Pin<&mut _>| {
                    http1::UpgradeableConnection::graceful_shutdown(connection);
                });
                self.watch(&state, spoken, connection, leave_at).await
            }
            Spoken::Http2 => {
                let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
                let connection = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(limits.http2_streams)
                    .max_header_list_size(header_bytes)
                    .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS)
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
                    .keep_alive_interval(HTTP2_KEEP_ALIVE)
                    .keep_alive_timeout(HTTP2_KEEP_ALIVE_TIMEOUT)
                    .serve_connection(io, service);
                let leave_at = (Stage::Draining, |connection: Pin<&mut _>| {
                    http2::Connection::graceful_shutdown(connection);
                });
                self.watch(&state, spoken, connection, leave_at).await
            }
        };
        tracing::debug!(?spoken, ?ended, "connection ended");
        // A WebSocket counts as a connection until its end.
        closed.cancelled().await;
    }

    /// Runs a connection to its end, or to its deadline. At the stage of `leave_at` it is asked to
    /// shut down in its protocol's graceful way, but not before its first request: a connection
    /// that was accepted is served.
    async fn watch<C>(
        &self,
        state: &ConnectionState,
        spoken: Spoken,
        connection: C,
        leave_at: (Stage, impl Fn(Pin<&mut C>)),
    ) -> Ended
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let (leave_at, shut_down) = leave_at;
        let mut connection = pin!(connection);
        let mut timer = pin!(sleep_until(
            state.started() + self.port.resources.limits.first_byte_timeout
        ));
        let mut asked_to_close = false;
        poll_fn(|cx| {
            state.register(cx.waker());
            loop {
                if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Ended::Closed(result.err()));
                }
                if asked_to_close || self.port.stage() < leave_at || !state.has_served() {
                    break;
                }
                asked_to_close = true;
                shut_down(connection.as_mut());
            }
            let silence = IdleRules {
                spoken,
                closing: self.port.stage() == Stage::Closing,
            };
            // The timer moves only towards an earlier deadline, or after it has fired: mostly a
            // request costs no timer at all.
            while let Some(deadline) = state.deadline(silence, &self.port.resources.limits) {
                if deadline < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(deadline);
                }
                match timer.as_mut().poll(cx) {
                    Poll::Pending => break,
                    Poll::Ready(()) if Instant::now() >= deadline => {
                        return Poll::Ready(Ended::Silent);
                    }
                    Poll::Ready(()) => {}
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// How a connection ended.
#[derive(Debug)]
#[allow(dead_code, reason = "read by the log line alone")]
enum Ended {
    /// Closed by either side, or broken.
    Closed(Option<hyper::Error>),
    /// Closed because the peer sent nothing, or read nothing, for too long.
    Silent,
}
