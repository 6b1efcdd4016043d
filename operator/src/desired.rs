//! What should exist: pure functions from a checked spec to objects.

pub mod autoscaler;
pub mod config;
pub mod config_keys;
pub mod deployment;
pub mod labels;
pub mod metadata;
pub mod pod;
pub mod policy;
pub mod probes;
pub mod replicas;
pub mod resources;
pub mod revision_snapshot;
pub mod service;
pub mod template;

use crate::child::Child;
use crate::desired::revision_snapshot::RevisionSnapshot;
use crate::desired::template::Template;
use crate::validated::ValidatedService;

/// The children of a service that it has once, whatever its revisions; callers are led to `route`.
pub fn of_service(service: &ValidatedService, route: &str) -> Vec<Child> {
    let mut children = vec![policy::policy(service), service::service(service, route)];
    let autoscaler = service.autoscaling();
    children.extend(autoscaler.map(|bounds| autoscaler::autoscaler(service, route, bounds)));
    children
}

/// The children of a revision that is new.
pub fn of_new_revision(
    service: &ValidatedService,
    snapshot: &RevisionSnapshot,
    template: &Template,
) -> Vec<Child> {
    vec![
        config::fresh(service, snapshot, template),
        deployment::deployment(service, &snapshot.name, template),
    ]
}

/// The children of a revision that has a configuration: that stays as it is.
pub fn of_stored_revision(
    service: &ValidatedService,
    stored: &k8s_openapi::api::core::v1::ConfigMap,
    snapshot: &RevisionSnapshot,
    template: &Template,
) -> Vec<Child> {
    vec![
        config::kept(service, stored),
        deployment::deployment(service, &snapshot.name, template),
    ]
}
