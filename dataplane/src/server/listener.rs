//! A port: binding it, accepting on it, and closing it without losing a connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Connections, Stage};
use super::peer_shares::PeerShares;
use super::socket;

/// Pause after accepting failed because no descriptors or memory were left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Most time spent on the accept queue while closing, however busy it stays.
const CLOSING_ACCEPTS: Duration = Duration::from_secs(2);

/// A port that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("the {port} port cannot be bound to {address}: {reason}; choose another with {flag}")]
pub struct BindError {
    port: &'static str,
    flag: &'static str,
    address: SocketAddr,
    reason: io::Error,
}

/// A bound port that accepts no connections yet.
pub(super) struct Listener {
    inner: TcpListener,
    address: SocketAddr,
    port: &'static str,
}

/// A port that is served.
pub(super) struct ListenerHandle {
    pub(super) connections: Arc<Connections>,
    closing: CancellationToken,
    quiet: tokio::sync::watch::Sender<Duration>,
    accepting: tokio::sync::watch::Receiver<bool>,
    _task: OwnedTask,
}

impl Listener {
    /// Binds `port`, or a free one for 0; `flag` is named where that fails.
    pub(super) fn bind(
        port: &'static str,
        flag: &'static str,
        ip: IpAddr,
        number: u16,
    ) -> Result<Self, BindError> {
        let address = SocketAddr::new(ip, number);
        let error = |reason| BindError {
            port,
            flag,
            address,
            reason,
        };
        let inner = socket::listen(address).map_err(error)?;
        let address = inner.local_addr().map_err(error)?;
        Ok(Self {
            inner,
            address,
            port,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts at most so many connections at once, and of one address, and answers by `router`, until
    /// the handle finishes or is dropped.
    pub(super) fn serve(
        self,
        router: Router,
        connections: Arc<Connections>,
        (most, most_of_one): (usize, usize),
    ) -> ListenerHandle {
        let closing = CancellationToken::new();
        let (quiet, quiet_receiver) = tokio::sync::watch::channel(Duration::ZERO);
        let (accepting_sender, accepting) = tokio::sync::watch::channel(true);
        let loop_ = AcceptLoop {
            listener: self,
            router,
            slots: Arc::new(Semaphore::new(most)),
            // The whole is no share: a gateway has one address.
            shares: (most_of_one < most).then(|| PeerShares::new(most_of_one)),
            connections: Arc::clone(&connections),
        };
        let token = closing.clone();
        let task = tokio::spawn(async move {
            token.run_until_cancelled(loop_.forever()).await;
            let quiet = *quiet_receiver.borrow();
            let _ = timeout(CLOSING_ACCEPTS, loop_.until_quiet(quiet)).await;
            drop(loop_);
            accepting_sender.send_replace(false);
        });
        ListenerHandle {
            connections,
            closing,
            quiet,
            accepting,
            _task: OwnedTask(task),
        }
    }
}

impl ListenerHandle {
    /// Closes the port when no connection has arrived for `quiet`, and returns when every connection
    /// has ended.
    pub(super) async fn finish(&self, quiet: Duration) {
        self.quiet.send_replace(quiet);
        self.closing.cancel();
        let mut accepting = self.accepting.clone();
        // An error means that the accept task has ended, which is equivalent.
        let _ = accepting.wait_for(|accepting| !accepting).await;
        self.connections.enter(Stage::Closing);
        self.connections.ended().await;
    }
}

/// A task that ends with its owner.
struct OwnedTask(JoinHandle<()>);

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct AcceptLoop {
    listener: Listener,
    router: Router,
    slots: Arc<Semaphore>,
    shares: Option<Arc<PeerShares>>,
    connections: Arc<Connections>,
}

impl AcceptLoop {
    async fn forever(&self) {
        loop {
            self.accept().await;
        }
    }

    async fn until_quiet(&self, quiet: Duration) {
        while timeout(quiet, self.accept()).await.is_ok() {}
    }

    /// Accepts one connection once there is room for it. Safe to cancel: a connection is taken
    /// from the kernel and handed over without waiting in between.
    async fn accept(&self) {
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
            return;
        };
        match self.listener.inner.accept().await {
            Ok((stream, peer)) => {
                let share = self.shares.as_ref().map(|shares| shares.take(peer.ip()));
                if let Some(None) = share {
                    // Closes it.
                    return;
                }
                configure(&stream);
                let accepted = (stream, peer);
                let slot = (slot, share);
                self.connections.spawn(accepted, self.router.clone(), slot);
            }
            // The peer left between the kernel's handshake and us.
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(port = self.listener.port, %error, "cannot accept a connection");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn configure(stream: &TcpStream) {
    // Answers are written whole: waiting to fill a packet only delays them. A failure costs speed
    // only.
    let _ = stream.set_nodelay(true);
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
