//! Expectations: writes of this process that the watches have not shown yet. A decision on stale
//! data would repeat or undo them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::child_kind::ChildKind;

/// Time after which an expectation expires: a write that somebody has undone is never shown.
const PATIENCE: Duration = Duration::from_secs(5);

/// One expected observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The child exists at this resource version or a later one.
    Child(ChildKind, String, String),
    /// The child of this uid is gone.
    Gone(ChildKind, String, String),
    /// The service is at this resource version or a later one.
    Service(String),
}

/// The current content of the stores.
pub trait Seen {
    /// uid and resource version of a child.
    fn child(&self, kind: ChildKind, name: &str) -> Option<(String, String)>;
    /// Resource version of the service.
    fn service(&self) -> Option<String>;
}

/// Unfulfilled expectations, by uid of the service.
#[derive(Debug, Default)]
pub struct Expectations {
    writes: Mutex<HashMap<String, Vec<(Expectation, Instant)>>>,
}

impl Expectations {
    /// Adds an expectation.
    pub fn expect(&self, service: &str, expected: Expectation) {
        let mut writes = self.lock();
        let writes = writes.entry(service.to_owned()).or_default();
        writes.retain(|(other, _)| !same_object(other, &expected));
        writes.push((expected, Instant::now()));
    }

    /// Whether every expectation of the service is fulfilled or expired.
    pub fn satisfied(&self, service: &str, seen: &dyn Seen) -> bool {
        let mut writes = self.lock();
        let Some(pending) = writes.get_mut(service) else {
            return true;
        };
        pending.retain(|(expected, since)| !shows(expected, seen) && since.elapsed() < PATIENCE);
        let open = pending.is_empty();
        if open {
            writes.remove(service);
        }
        open
    }

    /// Records that the watch showed a child of the service at this resource version, deletions
    /// included.
    pub fn observe(&self, service: &str, kind: ChildKind, name: &str, version: &str) {
        let mut writes = self.lock();
        let Some(pending) = writes.get_mut(service) else {
            return;
        };
        pending.retain(|(expected, _)| match expected {
            Expectation::Child(of, called, wanted) => {
                (*of, called.as_str()) != (kind, name) || !at_least(version, wanted)
            }
            Expectation::Gone(..) | Expectation::Service(_) => true,
        });
    }

    /// Drops the expectations of a deleted service.
    pub fn forget(&self, service: &str) {
        self.lock().remove(service);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<(Expectation, Instant)>>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same_object(a: &Expectation, b: &Expectation) -> bool {
    let object = |expected: &Expectation| match expected {
        Expectation::Child(kind, name, _) | Expectation::Gone(kind, name, _) => {
            Some((*kind, name.clone()))
        }
        Expectation::Service(_) => None,
    };
    object(a) == object(b)
}

fn shows(expected: &Expectation, seen: &dyn Seen) -> bool {
    match expected {
        Expectation::Child(kind, name, version) => seen
            .child(*kind, name)
            .is_some_and(|(_, live)| at_least(&live, version)),
        Expectation::Gone(kind, name, uid) => {
            seen.child(*kind, name).is_none_or(|(live, _)| live != *uid)
        }
        Expectation::Service(version) => seen.service().is_none_or(|live| at_least(&live, version)),
    }
}

/// Whether resource version `live` is `wanted` or later. Versions of one object are numbers
/// that grow (KEP-5504); one that is no number counts as observed.
fn at_least(live: &str, wanted: &str) -> bool {
    match (live.parse::<u64>(), wanted.parse::<u64>()) {
        (Ok(live), Ok(wanted)) => live >= wanted,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Store(Option<(&'static str, &'static str)>, &'static str);

    impl Seen for Store {
        fn child(&self, _: ChildKind, _: &str) -> Option<(String, String)> {
            self.0
                .map(|(uid, version)| (uid.to_owned(), version.to_owned()))
        }
        fn service(&self) -> Option<String> {
            Some(self.1.to_owned())
        }
    }

    #[test]
    fn a_pass_waits_until_the_store_shows_the_last_write() {
        let expectations = Expectations::default();
        expectations.expect(
            "s",
            Expectation::Child(ChildKind::Service, "iris".into(), "10".into()),
        );
        assert!(!expectations.satisfied("s", &Store(Some(("u", "9")), "1")));
        assert!(expectations.satisfied("other", &Store(None, "1")));
        assert!(expectations.satisfied("s", &Store(Some(("u", "10")), "1")));
        assert!(
            expectations.satisfied("s", &Store(Some(("u", "9")), "1")),
            "what was seen is not waited for again"
        );
    }

    #[test]
    fn a_write_that_was_seen_and_then_deleted_by_somebody_is_not_waited_for() {
        let expectations = Expectations::default();
        expectations.expect(
            "s",
            Expectation::Child(ChildKind::Service, "iris".into(), "10".into()),
        );
        expectations.observe("s", ChildKind::Service, "iris", "9");
        assert!(!expectations.satisfied("s", &Store(None, "1")));
        expectations.observe("s", ChildKind::Service, "iris", "12");
        assert!(expectations.satisfied("s", &Store(None, "1")));
    }

    #[test]
    fn a_deletion_shows_when_the_object_is_gone_or_another_one() {
        let expectations = Expectations::default();
        let gone = || Expectation::Gone(ChildKind::Deployment, "iris-1".into(), "old".into());
        expectations.expect("s", gone());
        assert!(!expectations.satisfied("s", &Store(Some(("old", "11")), "1")));
        assert!(expectations.satisfied("s", &Store(None, "1")));
        expectations.expect("s", gone());
        assert!(expectations.satisfied("s", &Store(Some(("new", "3")), "1")));
    }

    #[test]
    fn the_services_own_status_is_waited_for() {
        let expectations = Expectations::default();
        expectations.expect("s", Expectation::Service("7".into()));
        assert!(!expectations.satisfied("s", &Store(None, "6")));
        assert!(expectations.satisfied("s", &Store(None, "8")));
    }
}
