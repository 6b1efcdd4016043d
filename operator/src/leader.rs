//! Leader election by a `Lease`: of several operators one acts.
//!
//! A rival's lease is timed by our own monotonic clock since its record last changed, never by
//! the timestamps in it: clocks of machines differ. A leader that cannot renew stops writing
//! ([`Fence`]) well before a rival may begin, also after the process was suspended.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::Instant;

use crate::deadline::{Call, with_deadline};
use crate::error::Error;

/// Name of the lease.
pub const LEASE: &str = "serin-operator";
/// How long a lease stands without being renewed.
pub const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed.
pub const RENEW: Duration = Duration::from_secs(2);
/// How often a follower reads the lease.
pub const LOOK: Duration = Duration::from_secs(1);
/// How long after its last renewal a leader may begin a write. A write ends within
/// [`crate::deadline::DEADLINE`]: both together do not exceed [`DURATION`].
pub const FENCE: Duration = Duration::from_secs(10);

/// Whether this process may write.
#[derive(Clone, Debug)]
pub struct Fence(Option<Arc<Mutex<Option<Instant>>>>);

/// Another process leads, or may by now.
#[derive(Debug, thiserror::Error)]
#[error("the leader's lease was lost: {0}")]
pub struct Lost(String);

/// One process that wants to lead.
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    fence: Fence,
}

/// A lease that was acquired.
pub struct Held {
    candidate: Candidate,
    lease: Lease,
}

impl Fence {
    /// For a process that needs no leader: it never falls.
    pub fn always() -> Self {
        Self(None)
    }

    /// Stands only after `Fence::renewed`.
    pub fn fallen() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether a write may begin.
    pub fn stands(&self) -> bool {
        self.0.as_ref().is_none_or(|renewed| {
            let renewed = *renewed.lock().unwrap_or_else(PoisonError::into_inner);
            renewed.is_some_and(|renewed| renewed.elapsed() < FENCE)
        })
    }

    /// The lease was renewed by a request that began at `at`.
    fn renewed(&self, at: Option<Instant>) {
        if let Some(renewed) = &self.0 {
            *renewed.lock().unwrap_or_else(PoisonError::into_inner) = at;
        }
    }
}

impl Candidate {
    /// A candidate for the lease in `namespace`. `client` should not be shared with anything
    /// that may hang, nor retry by itself. `name` is made unique: a process that was restarted
    /// is not the one that held the lease.
    pub fn new(client: Client, namespace: &str, name: &str, fence: Fence) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            identity: format!("{name}_{:08x}", fastrand::u32(..)),
            fence,
        }
    }

    /// Waits until this process leads; `None` when `stop` came first.
    pub async fn acquire(self, stop: impl Future<Output = ()>) -> Option<Held> {
        tokio::pin!(stop);
        let mut seen: Option<(Option<String>, Instant)> = None;
        let mut failing = false;
        loop {
            let begun = Instant::now();
            match self.attempt(&mut seen).await {
                Ok(Some(lease)) => {
                    self.fence.renewed(Some(begun));
                    return Some(Held {
                        candidate: self,
                        lease,
                    });
                }
                Ok(None) => failing = false,
                // Another candidate was faster.
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "the leader's lease cannot be read or written; trying on");
                    }
                    failing = true;
                }
            }
            tokio::select! {
                () = &mut stop => return None,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Takes the lease if nobody holds it. `seen` is the record that was last found and when it
    /// first looked so.
    async fn attempt(
        &self,
        seen: &mut Option<(Option<String>, Instant)>,
    ) -> Result<Option<Lease>, Error> {
        let Some(lease) = with_deadline(call("get"), self.api.get_opt(LEASE)).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(LEASE.into()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.record(0)),
            };
            return with_deadline(
                call("create"),
                self.api.create(&PostParams::default(), &lease),
            )
            .await
            .map(Some);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let version = lease.metadata.resource_version.clone();
        let since = match seen {
            Some((before, since)) if *before == version => *since,
            _ => {
                let now = Instant::now();
                *seen = Some((version, now));
                now
            }
        };
        let term = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let term = term.map_or(DURATION, Duration::from_secs);
        if !holder.is_empty() && since.elapsed() < term {
            return Ok(None);
        }
        let transitions = spec.lease_transitions.unwrap_or(0).saturating_add(1);
        let mine = Lease {
            spec: Some(self.record(transitions)),
            ..lease
        };
        with_deadline(
            call("take"),
            self.api.replace(LEASE, &PostParams::default(), &mine),
        )
        .await
        .map(Some)
    }

    fn record(&self, transitions: i32) -> LeaseSpec {
        // Informative: no decision depends on these times.
        let now = Some(MicroTime(now()));
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

impl Held {
    /// Renews the lease until it is lost. Returns only then.
    pub async fn keep(&mut self) -> Lost {
        loop {
            tokio::time::sleep(RENEW).await;
            let begun = Instant::now();
            match self.renew().await {
                Ok(()) => self.candidate.fence.renewed(Some(begun)),
                Err(Renewal::Taken(by)) => {
                    self.candidate.fence.renewed(None);
                    return Lost(format!("{by} holds it"));
                }
                Err(Renewal::Failed(error)) => {
                    if !self.candidate.fence.stands() {
                        return Lost(error.to_string());
                    }
                    tracing::warn!(%error, "the leader's lease could not be renewed; trying on");
                }
            }
        }
    }

    /// Lets a follower take over at once. Call it when nothing is written any more.
    pub async fn release(mut self) {
        self.candidate.fence.renewed(None);
        if let Err(error) = self.write(Some(String::new())).await {
            tracing::warn!(%error, "the leader's lease was not released; it runs out by itself");
        }
    }

    async fn renew(&mut self) -> Result<(), Renewal> {
        match self.write(None).await {
            Err(error) if error.is_conflict() || error.is_not_found() => {
                let found = with_deadline(call("get"), self.candidate.api.get_opt(LEASE))
                    .await
                    .map_err(Renewal::Failed)?;
                let Some(lease) = found else {
                    return Err(Renewal::Taken(
                        "nobody: it was deleted, and another process".into(),
                    ));
                };
                let holder = lease
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.holder_identity.as_ref());
                if holder != Some(&self.candidate.identity) {
                    return Err(Renewal::Taken(holder.cloned().unwrap_or_default()));
                }
                self.lease = lease;
                self.write(None).await.map_err(Renewal::Failed)
            }
            other => other.map_err(Renewal::Failed),
        }
    }

    /// Writes the record over the version that was last seen; `holder` where it is not us.
    async fn write(&mut self, holder: Option<String>) -> Result<(), Error> {
        let spec = self.lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(now()));
        if holder.is_some() {
            spec.holder_identity = holder;
        }
        let api = &self.candidate.api;
        self.lease = with_deadline(
            call("renew"),
            api.replace(LEASE, &PostParams::default(), &self.lease),
        )
        .await?;
        Ok(())
    }
}

enum Renewal {
    Taken(String),
    Failed(Error),
}

fn call(verb: &'static str) -> Call<'static> {
    Call {
        verb,
        kind: "Lease",
        name: LEASE,
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests;
