//! The Deployment of a revision.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::child::Child;
use crate::child_kind::ChildKind;
use crate::desired::labels;
use crate::desired::metadata::metadata;
use crate::desired::probes::LOAD_TIMEOUT_SECONDS;
use crate::desired::template::{TEMPLATE_HASH, Template};
use crate::validated::ValidatedService;

/// The Deployment of a revision, without `spec.replicas`: the size of a revision is written by
/// another field manager, or by an autoscaler, and a value here would take it from them.
#[expect(
    clippy::expect_used,
    reason = "Kubernetes types have string keys and no fallible serializer"
)]
pub fn deployment(service: &ValidatedService, revision: &str, template: &Template) -> Child {
    let mut metadata = metadata(service, revision, Some(revision));
    metadata.annotations = Some([(TEMPLATE_HASH.to_owned(), template.hash())].into());
    let object = Deployment {
        metadata,
        spec: DeploymentSpec {
            selector: LabelSelector {
                match_labels: Some(labels::selector(&service.name, revision)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            progress_deadline_seconds: Some(LOAD_TIMEOUT_SECONDS),
            revision_history_limit: Some(2),
            ..DeploymentSpec::default()
        },
        status: None,
    };
    let mut object = serde_json::to_value(object).expect("a Kubernetes object is valid JSON");
    object["spec"]["template"] = template.json().clone();
    Child::new(ChildKind::Deployment, revision, &object)
}
