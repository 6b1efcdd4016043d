//! The revision of the declared spec. Pure.
//!
//! A revision's name is a hash of the part of the spec that makes pods. Operators before the policy
//! hashed `spec.api` and `spec.telemetry` too, and their pods read both once, at start. So that an
//! operator upgrade restarts no pod, a stored revision whose pods already behave as the spec says
//! is the declared one, whatever its name.

use k8s_openapi::api::core::v1::ConfigMap;
use serin_crds::revision::{Revision, RevisionSpec};

use crate::desired::revision_snapshot::{PolicyOfPods, RevisionSnapshot, unnamed_version};
use crate::observed::Observed;
use crate::validated::ValidatedService;

/// `service` with the name of the stored revision that serves its spec, where there is one; `stable`
/// is the recorded stable revision.
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
        // The revision of this name has pods that do not reload the policy: another name is needed.
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
