//! The end of a drain, for requests that are still in flight: they are refused while there is time
//! left to tell their callers.

use std::sync::atomic::{AtomicBool, Ordering};

use serin_core::fault::{Fault, FaultKind};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct CutOff {
    reached: AtomicBool,
    notify: Notify,
}

impl CutOff {
    pub(super) fn reach(&self) {
        self.reached.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// The result of `work`, or a fault when the drain ends first.
    pub(super) async fn or_refuse<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Unpin,
    ) -> Result<T, Fault> {
        // Nothing waits for the end of a drain where the work is done at once.
        let over = async {
            let notified = self.notify.notified();
            if !self.reached.load(Ordering::SeqCst) {
                notified.await;
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = over => Err(Fault::new(
                FaultKind::NotReady,
                "model_not_ready",
                "the server is stopping and could not finish this request; send it to another one",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_in_flight_is_refused_at_the_end_of_a_drain_and_done_work_is_not() {
        let cut_off = CutOff::default();
        let done = cut_off.or_refuse(std::future::ready(Ok(1)));
        assert_eq!(done.await.unwrap(), 1);
        let never = cut_off.or_refuse(std::future::pending::<Result<(), Fault>>());
        let (refused, ()) = tokio::join!(never, async { cut_off.reach() });
        assert_eq!(refused.unwrap_err().kind, FaultKind::NotReady);
        let late = cut_off.or_refuse(std::future::pending::<Result<(), Fault>>());
        assert!(late.await.is_err());
    }
}
