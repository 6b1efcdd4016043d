//! Which revision the declared spec is. Pure.
//!
//! A revision is named by a hash of what makes its pods. Before policies, `spec.api` and
//! `spec.telemetry` were part of that, and pods read both once, at their start. An upgrade of the
//! operator from that time restarts no pod: a stored revision whose pods do what the spec says is
//! the declared one, whatever it is called.

use k8s_openapi::api::core::v1::ConfigMap;
use serin_crds::revision::{Revision, RevisionSpec};

use crate::desired::revision_snapshot::{PolicyOfPods, RevisionSnapshot, unnamed_version};
use crate::observed::Observed;
use crate::validated::ValidatedService;

/// The same service with the revision that its spec is among those that are stored; `stable` is the
/// one that answers callers.
pub fn declared(
    mut service: ValidatedService,
    stable: Option<&str>,
    observed: &Observed,
) -> ValidatedService {
    let of_spec: Vec<RevisionSnapshot> = observed
        .revisions()
        .iter()
        .filter_map(|name| RevisionSnapshot::read(&*observed.child::<ConfigMap>(name)?).ok())
        .filter(|stored| has_pods_of(stored, &service.spec))
        .collect();
    let best = of_spec
        .iter()
        .filter(|stored| match &stored.policy {
            PolicyOfPods::Reloaded => true,
            PolicyOfPods::Fixed(policy) => *policy == service.policy,
        })
        .min_by_key(|stored| {
            let is_stable = Some(stored.name.as_str()) == stable;
            (stored.name != service.revision.name, !is_stable)
        });
    if let Some(stored) = best {
        service.revision = Revision {
            name: stored.name.clone(),
            hash: unnamed_version(&stored.name).to_owned(),
            version: stored.version.clone(),
        };
        service.spec = stored.spec.clone();
    } else if of_spec
        .iter()
        .any(|stored| stored.name == service.revision.name)
    {
        // The name is taken by pods that would never learn of the policy.
        service.spec.reloads_policy = Some(true);
        service.revision = Revision::new(&service.name, &service.spec);
    }
    service
}

fn has_pods_of(stored: &RevisionSnapshot, spec: &RevisionSpec) -> bool {
    let stored = RevisionSpec {
        reloads_policy: None,
        ..stored.spec.clone()
    };
    stored == *spec
}

#[cfg(test)]
mod tests;
