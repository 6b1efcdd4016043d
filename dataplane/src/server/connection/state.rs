//! The state of a connection that its deadlines depend on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::h2_send::H2SendTracker;
use super::sniff::{CLOSING_FIRST_REQUEST, Spoken};
use crate::runtime::memory_budget::Reservation;
use serin_core::Limits;

/// Shared by a connection's task, its socket and its requests. Times are milliseconds since the
/// connection began, plus one; zero stands for "none".
pub(super) struct ConnectionState {
    started: Instant,
    in_flight: AtomicU32,
    served: AtomicU32,
    /// When the last request ended, or the connection began.
    idle_since: AtomicU64,
    /// When the first byte of a request came, while none was in flight.
    head_since: AtomicU64,
    /// The time since which the peer reads nothing.
    blocked_since: AtomicU64,
    /// Another protocol is spoken from here on.
    upgraded: AtomicBool,
    sending: H2SendTracker,
    waker: AtomicWaker,
}

/// The rules of idle timeouts.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdleRules {
    pub(super) spoken: Spoken,
    /// The port is closing.
    pub(super) closing: bool,
}

impl ConnectionState {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            in_flight: AtomicU32::new(0),
            served: AtomicU32::new(0),
            idle_since: AtomicU64::new(1),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            upgraded: AtomicBool::new(false),
            sending: H2SendTracker::default(),
            waker: AtomicWaker::new(),
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The task to wake when the stage changes.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Whether what comes is of a header block: no request is in flight, and HTTP is still spoken.
    pub(super) fn awaits_head(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0 && !self.upgraded.load(Ordering::Relaxed)
    }

    /// Whether a request was ever read.
    pub(super) fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed) > 0
    }

    /// Bytes were received.
    pub(super) fn read(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == 0
        {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The peer took bytes, or refused to.
    pub(super) fn wrote(&self, progress: bool) {
        if progress {
            self.blocked_since.store(0, Ordering::Relaxed);
        } else if self.blocked_since.load(Ordering::Relaxed) == 0 {
            self.blocked_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// When the connection is to be closed if nothing changes.
    pub(super) fn deadline(&self, silence: IdleRules, limits: &Limits) -> Option<Instant> {
        let after = |since: u64, wait: Duration| {
            (since > 0).then(|| self.started + Duration::from_millis(since - 1) + wait)
        };
        let blocked = after(
            self.blocked_since.load(Ordering::Relaxed),
            limits.stall_timeout,
        );
        let untaken = match silence.spoken {
            Spoken::Http1 => None,
            Spoken::Http2 => self.sending.blocked(limits.stall_timeout),
        };
        let untaken = untaken.and_then(|(since, wait)| after(since, wait));
        let blocked = blocked.into_iter().chain(untaken).min();
        if blocked.is_some() || self.in_flight.load(Ordering::Relaxed) > 0 {
            return blocked;
        }
        let idle_since = self.idle_since.load(Ordering::Relaxed);
        if !self.has_served() && silence.closing {
            return after(idle_since, CLOSING_FIRST_REQUEST);
        }
        match silence.spoken {
            // Between streams, HTTP/2's pings detect a dead peer.
            Spoken::Http2 if self.has_served() => None,
            Spoken::Http2 => after(idle_since, limits.header_timeout),
            Spoken::Http1 => after(
                self.head_since.load(Ordering::Relaxed),
                limits.header_timeout,
            )
            .or_else(|| after(idle_since, limits.idle_timeout)),
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }
}

/// Counts a request in flight on its connection until its answer is sent.
pub(in crate::server) struct InFlight {
    activity: Arc<ConnectionState>,
    /// Its tracker among the answers of an HTTP/2 connection.
    index: Option<usize>,
    /// What a stream of an HTTP/2 connection takes.
    held: Option<Arc<Reservation>>,
}

impl InFlight {
    /// A request of a connection; `held` is the memory of its stream where there are several.
    pub(super) fn new(
        activity: &Arc<ConnectionState>,
        spoken: Spoken,
        held: Option<Reservation>,
    ) -> Self {
        activity.in_flight.fetch_add(1, Ordering::Relaxed);
        activity.served.fetch_add(1, Ordering::Relaxed);
        activity.head_since.store(0, Ordering::Relaxed);
        Self {
            activity: Arc::clone(activity),
            index: (spoken == Spoken::Http2).then(|| activity.sending.enter()),
            held: held.map(Arc::new),
        }
    }

    /// The connection is given to another protocol.
    pub(super) fn upgraded(&self) {
        self.activity.upgraded.store(true, Ordering::Relaxed);
    }

    /// What its stream takes.
    pub(super) fn held(&self) -> Option<Arc<Reservation>> {
        self.held.clone()
    }

    /// Whether other answers share the connection.
    pub(in crate::server) fn is_multiplexed(&self) -> bool {
        self.index.is_some()
    }

    /// A piece of the answer is there for the peer to take; the one before it was taken.
    pub(in crate::server) fn offered(&self) {
        if let Some(index) = self.index {
            self.activity.sending.offered(index, self.activity.now());
        }
    }

    /// The next piece of the answer is still to be made.
    pub(in crate::server) fn making(&self) {
        if let Some(index) = self.index {
            self.activity.sending.making(index);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let activity = &self.activity;
        if let Some(index) = self.index {
            activity.sending.leave(index, activity.now());
        }
        activity.idle_since.store(activity.now(), Ordering::Relaxed);
        activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: IdleRules = IdleRules {
        spoken: Spoken::Http1,
        closing: false,
    };

    fn wait(activity: &ConnectionState, silence: IdleRules) -> Option<Duration> {
        activity
            .deadline(silence, &Limits::default())
            .map(|deadline| deadline - activity.started())
    }

    #[test]
    fn a_half_sent_header_is_given_less_time_than_an_idle_connection() {
        let activity = ConnectionState::new();
        assert_eq!(wait(&activity, OPEN), Some(Duration::from_secs(60)));
        activity.read();
        assert!(wait(&activity, OPEN).unwrap() < Duration::from_secs(11));
    }

    #[test]
    fn a_request_in_flight_has_no_deadline_unless_its_reader_stalls() {
        let activity = Arc::new(ConnectionState::new());
        let in_flight = InFlight::new(&activity, Spoken::Http1, None);
        assert_eq!(wait(&activity, OPEN), None);
        activity.wrote(false);
        assert!(wait(&activity, OPEN).unwrap() < Duration::from_secs(31));
        activity.wrote(true);
        assert_eq!(wait(&activity, OPEN), None);
        drop(in_flight);
        assert!(wait(&activity, OPEN).is_some());
    }

    #[test]
    fn http2_streams_rest_as_long_as_pings_are_answered() {
        let http2 = IdleRules {
            spoken: Spoken::Http2,
            closing: false,
        };
        let activity = Arc::new(ConnectionState::new());
        assert_eq!(wait(&activity, http2), Some(Duration::from_secs(10)));
        drop(InFlight::new(&activity, Spoken::Http2, None));
        assert_eq!(wait(&activity, http2), None);
    }

    #[test]
    fn a_closing_port_waits_a_second_for_a_first_request() {
        let closing = IdleRules {
            closing: true,
            ..OPEN
        };
        assert_eq!(
            wait(&ConnectionState::new(), closing),
            Some(CLOSING_FIRST_REQUEST)
        );
    }
}
