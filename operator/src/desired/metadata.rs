//! Metadata of children.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::desired::labels;
use crate::validated::ValidatedService;

/// Metadata of a child: its name, Serin's labels, and the service as its controller, so that
/// deleting the service deletes it. The service's own labels and annotations are not copied: GitOps
/// tools that track objects by them would claim the child.
pub fn metadata(service: &ValidatedService, name: &str, revision: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(service.namespace.clone()),
        labels: Some(labels::of_child(service, revision)),
        owner_references: Some(vec![OwnerReference {
            api_version: "serin.dev/v1alpha1".into(),
            kind: "InferenceService".into(),
            name: service.name.clone(),
            uid: service.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    }
}
