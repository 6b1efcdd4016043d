//! The wait before the next pass: exponential backoff with jitter after failures, a jittered resync
//! else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Wait after the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(120);
/// Shortest time between two passes over a settled object: a watch event can be lost.
const RESYNC: Duration = Duration::from_secs(300);

/// Failures in a row, by object.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// Counts a failure of the object with this uid; the wait before the next try.
    pub fn failed(&self, uid: &str) -> Duration {
        let mut failures = self.lock();
        let count = failures.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        wait(*count, fastrand::f64())
    }

    /// Failures of the object in a row so far.
    pub fn failures(&self, uid: &str) -> u32 {
        self.lock().get(uid).copied().unwrap_or_default()
    }

    /// Forgets the failures of an object: it succeeded, or is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait after the `count`th failure; `fraction` in 0..1 takes up to half of it off.
fn wait(count: u32, fraction: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32 << count.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(1.0 - fraction / 2.0)
}

/// Time to the next pass over a settled object: 5 to 10 minutes.
pub fn resync() -> Duration {
    RESYNC.mul_f64(1.0 + fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        assert_eq!(wait(1, 0.0), FIRST);
        assert_eq!(wait(3, 0.0), FIRST * 4);
        assert_eq!(wait(40, 0.0), LONGEST);
        assert_eq!(wait(1, 1.0), FIRST / 2);
    }

    #[test]
    fn each_object_has_its_own_count_and_success_resets_it() {
        let backoff = Backoff::default();
        for _ in 0..10 {
            backoff.failed("a");
        }
        assert!(backoff.failed("a") > Duration::from_secs(30));
        assert!(backoff.failed("b") <= FIRST);
        assert_eq!((backoff.failures("a"), backoff.failures("b")), (11, 1));
        backoff.forget("a");
        assert_eq!(backoff.failures("a"), 0);
        assert!(backoff.failed("a") <= FIRST);
    }

    #[test]
    fn a_settled_object_is_looked_at_within_ten_minutes() {
        for _ in 0..100 {
            let wait = resync();
            assert!(wait >= RESYNC && wait <= RESYNC * 2, "{wait:?}");
        }
    }
}
