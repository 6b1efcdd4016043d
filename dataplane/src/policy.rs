//! The policy in force: read by every request without a lock, replaced as a whole when its document
//! changes.
//!
//! ```text
//! source ──▶ Reading ──▶ decide ──▶ Step ──▶ store, follower, log
//! (file, manifests)      (pure)
//! ```

mod changes;
mod decision;
mod document;
mod file;
mod reload;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use serin_crds::contract::policy::{ApiConfig, Policy};
use serin_crds::contract::status_report::PolicyReport;

pub use self::decision::{Reading, Rejection, Step, decide};
pub use self::document::Document;
pub use self::file::{FileStamp, PolicyError};
pub use self::reload::{PolicyFollower, PolicyInput, Reloader};
pub use self::source::PolicySource;

/// A policy, and what is known of it.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What it says.
    pub policy: Policy,
    /// SHA-256 of the document, in hexadecimal.
    pub hash: String,
    /// When it came into force.
    pub since: Instant,
    /// The later document that is not in force, where there is one that cannot be used.
    pub error: Option<Rejection>,
}

/// Holds the policy of the process. One [`Reloader`] at most writes to it.
pub struct PolicyStore {
    in_force: ArcSwap<InForce>,
    reload_errors: AtomicU64,
}

impl PolicyStore {
    /// `policy` is in force from now on.
    pub fn new(policy: Policy, hash: String) -> Self {
        Self {
            in_force: ArcSwap::from_pointee(InForce {
                policy,
                hash,
                since: Instant::now(),
                error: None,
            }),
            reload_errors: AtomicU64::new(0),
        }
    }

    /// The policy that is in force now.
    pub fn current(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// What the protocols offer now; read by every request.
    pub fn api(&self) -> ApiConfig {
        self.in_force.load().policy.api
    }

    /// Documents that could not be used since the start.
    pub fn reload_errors(&self) -> u64 {
        self.reload_errors.load(Ordering::Relaxed)
    }

    /// What `/statusz` says of it.
    pub fn report(&self) -> PolicyReport {
        let in_force = self.current();
        PolicyReport {
            hash: in_force.hash.clone(),
            age_seconds: in_force.since.elapsed().as_secs_f64(),
            error: in_force
                .error
                .as_ref()
                .map(|rejection| rejection.reason.clone()),
        }
    }

    fn replace(&self, document: Document) {
        self.in_force.store(Arc::new(InForce {
            policy: document.policy,
            hash: document.hash,
            since: Instant::now(),
            error: None,
        }));
    }

    /// The policy stays as it is; `error` says why a later document is not in force.
    fn keep(&self, error: Option<Rejection>) {
        self.reload_errors
            .fetch_add(u64::from(error.is_some()), Ordering::Relaxed);
        let in_force = InForce::clone(&self.in_force.load());
        self.in_force.store(Arc::new(InForce { error, ..in_force }));
    }
}

impl From<Document> for PolicyStore {
    fn from(document: Document) -> Self {
        Self::new(document.policy, document.hash)
    }
}
