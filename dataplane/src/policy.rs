//! The policy in force: read by every request without a lock, replaced as a whole when the document
//! changes.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use serin_crds::contract::policy::Policy;

/// A policy, and what is known of it.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What it says.
    pub policy: Policy,
    /// SHA-256 of the document, in hexadecimal.
    pub hash: String,
    /// When it came into force.
    pub since: Instant,
    /// Why a later document is not in force, where there is one that cannot be read.
    pub error: Option<String>,
}

/// Holds the policy of the process.
pub struct PolicyStore(ArcSwap<InForce>);

impl PolicyStore {
    /// `policy` is in force from now on.
    pub fn new(policy: Policy, hash: String) -> Self {
        Self(ArcSwap::from_pointee(InForce {
            policy,
            hash,
            since: Instant::now(),
            error: None,
        }))
    }

    /// The policy that is in force now.
    pub fn current(&self) -> Arc<InForce> {
        self.0.load_full()
    }
}
