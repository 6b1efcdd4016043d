//! The phase of the process, as one value that readiness, logs and the drain read.

use std::sync::Arc;
use std::time::Instant;

use serin_core::fault::Fault;
pub use serin_crds::contract::status_report::Phase;
use tokio::sync::watch;

use super::cut_off::CutOff;

/// The current phase; clones share it.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    phase: watch::Sender<Phase>,
    /// When streams have to end, once the process has closed its ports.
    finish: watch::Sender<Option<Instant>>,
    /// The end of the drain.
    cut_off: Arc<CutOff>,
}

impl Lifecycle {
    /// A process that is starting.
    pub fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Starting),
            finish: watch::Sender::new(None),
            cut_off: Arc::default(),
        }
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Follows the phase.
    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Moves to `next`. A process that drains never goes back: later changes of its models do not
    /// make it ready again. A ready one may load again.
    pub fn advance(&self, next: Phase) {
        let changed = self.phase.send_if_modified(|phase| {
            let allowed = *phase != next && (*phase < Phase::Draining || next == Phase::Stopped);
            if allowed {
                *phase = next;
            }
            allowed
        });
        if changed {
            tracing::info!(phase = %next, "phase changed");
        }
    }

    /// The ports are closed: streams, which may have no end of their own, end by then.
    pub fn finish_by(&self, end: Instant) {
        self.finish.send_replace(Some(end));
    }

    /// Returns once the ports are closed: the time by which streams have to end.
    pub async fn finishing(&self) -> Instant {
        let mut finish = self.finish.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let end = finish.wait_for(Option::is_some).await;
        end.ok().and_then(|end| *end).unwrap_or_else(Instant::now)
    }

    /// The drain ends: requests in flight are refused.
    pub fn cut_off(&self) {
        self.cut_off.reach();
    }

    /// The result of `work`, or a fault when the drain ends first.
    ///
    /// # Errors
    /// Those of `work`, and `NotReady`.
    pub async fn until_cut_off<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Unpin,
    ) -> Result<T, Fault> {
        self.cut_off.or_refuse(work).await
    }

    /// Returns once the process drains or has stopped.
    pub async fn draining(&self) {
        let mut phases = self.phase.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = phases.wait_for(|phase| *phase >= Phase::Draining).await;
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_process_never_becomes_ready_again() {
        let lifecycle = Lifecycle::new();
        lifecycle.advance(Phase::Ready);
        lifecycle.advance(Phase::Draining);
        lifecycle.advance(Phase::Ready);
        assert_eq!(lifecycle.phase(), Phase::Draining);
        lifecycle.advance(Phase::Stopped);
        lifecycle.advance(Phase::Draining);
        assert_eq!(lifecycle.phase(), Phase::Stopped);
    }

    #[test]
    fn a_ready_process_may_load_again() {
        let lifecycle = Lifecycle::new();
        lifecycle.advance(Phase::Ready);
        lifecycle.advance(Phase::Loading);
        assert_eq!(lifecycle.phase(), Phase::Loading);
    }
}
