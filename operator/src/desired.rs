//! The desired objects: pure functions of a validated spec.

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

/// The children that a service has once; callers are routed to the revision `route`.
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

/// The children of a revision whose ConfigMap exists; the ConfigMap's content is kept.
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
