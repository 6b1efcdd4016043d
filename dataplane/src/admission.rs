//! Admission: whether a request has a chance, decided before any work.
//!
//! The queue is bounded in time, not only in number: a request that would be answered after its
//! deadline is refused at once, while its caller can still go elsewhere.

use std::time::Duration;

use serin_core::fault::{Fault, FaultKind};

/// Shortest and longest time after which a refused caller is told to come back.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(30);

/// Admits a request that finds `ahead` others waiting or running, each of which takes
/// `per_request`, and has `left` until its deadline.
///
/// # Errors
/// `Timeout` when no time is left, `Overloaded` when the wait would outlast it.
pub fn admit(ahead: usize, per_request: Duration, left: Duration) -> Result<(), Fault> {
    if left.is_zero() {
        return Err(Fault::new(
            FaultKind::Timeout,
            "timeout",
            "the deadline passed before the request could be queued",
        ));
    }
    let wait = per_request.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
    if wait <= left {
        return Ok(());
    }
    let message = format!(
        "the model is busy: {ahead} requests are before this one, which takes about {} ms, \
         {} ms are left until the deadline",
        wait.as_millis(),
        left.as_millis()
    );
    let later = wait.saturating_sub(left).clamp(SOONEST, LATEST);
    Err(Fault::new(FaultKind::Overloaded, "overloaded", message).retry_after(later))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_request_that_cannot_make_it_is_told_when_to_come_back() {
        assert!(admit(10, TENTH, SECOND).is_ok());
        let fault = admit(11, TENTH, SECOND).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Overloaded);
        assert_eq!(fault.retry_after, Some(TENTH));
        assert!(fault.message.contains("11 requests"), "{fault}");
    }

    #[test]
    fn an_idle_model_is_open_however_slow_it_is() {
        assert!(admit(0, Duration::from_secs(3600), TENTH).is_ok());
    }

    #[test]
    fn a_deadline_that_has_passed_is_a_timeout_whatever_the_queue() {
        let fault = admit(0, Duration::ZERO, Duration::ZERO).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Timeout);
    }

    #[test]
    fn any_queue_length_can_be_judged() {
        assert!(admit(usize::MAX, Duration::from_secs(u64::MAX / 2), SECOND).is_err());
    }
}
