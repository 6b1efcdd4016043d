//! Admission: whether a request has a chance, decided before any work.
//!
//! The queue is bounded in time, not only in number: a request that would be answered after its
//! deadline is refused at once, while its caller can still go elsewhere.

use std::time::Duration;

use crate::fault::{Fault, FaultKind};

/// Shortest and longest time after which a refused caller is told to come back.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(30);

/// Decides for one model.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// What one waiting request costs those behind it, as measured when the model was warmed up.
    per_request: Duration,
}

impl Gate {
    /// A gate for a model that takes `per_request` for each request it works off.
    pub fn new(per_request: Duration) -> Self {
        Self { per_request }
    }

    /// Admits a request that finds `ahead` others waiting and has `left` until its deadline.
    ///
    /// # Errors
    /// `Timeout` when no time is left, `Overloaded` when the wait would outlast it.
    pub fn admit(&self, ahead: usize, left: Duration) -> Result<(), Fault> {
        if left.is_zero() {
            return Err(Fault::new(
                FaultKind::Timeout,
                "timeout",
                "the deadline passed before the request could be queued",
            ));
        }
        let wait = self.wait(ahead);
        if wait <= left {
            return Ok(());
        }
        let message = format!(
            "the model is busy: {ahead} requests wait, which takes about {} ms, {} ms are left until the deadline",
            wait.as_millis(),
            left.as_millis()
        );
        let later = wait.saturating_sub(left).clamp(SOONEST, LATEST);
        Err(Fault::new(FaultKind::Overloaded, "overloaded", message).retry_after(later))
    }

    fn wait(&self, ahead: usize) -> Duration {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        self.per_request.saturating_mul(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_cannot_make_it_is_told_when_to_come_back() {
        let gate = Gate::new(Duration::from_millis(100));
        assert!(gate.admit(10, Duration::from_secs(1)).is_ok());
        let fault = gate.admit(11, Duration::from_secs(1)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Overloaded);
        assert_eq!(fault.retry_after, Some(Duration::from_millis(100)));
        assert!(fault.message.contains("11 requests"), "{fault}");
    }

    #[test]
    fn a_deadline_that_has_passed_is_a_timeout_whatever_the_queue() {
        let gate = Gate::new(Duration::ZERO);
        let fault = gate.admit(0, Duration::ZERO).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Timeout);
    }

    #[test]
    fn any_queue_length_can_be_judged() {
        let gate = Gate::new(Duration::from_secs(u64::MAX / 2));
        assert!(gate.admit(usize::MAX, Duration::from_secs(1)).is_err());
    }
}
