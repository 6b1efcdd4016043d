//! The Deployment of a revision.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::child::{Child, Kind};
use crate::desired::blueprint::Blueprint;
use crate::desired::probes::LOAD_TIMEOUT_SECONDS;
use crate::desired::{labels, metadata, pod};
use crate::validated::ValidatedService;

/// The Deployment of a revision, without `spec.replicas`: the size of a revision is written by
/// another field manager, or by an autoscaler, and a value here would take it from them.
pub fn deployment(service: &ValidatedService, blueprint: &Blueprint) -> Child {
    let object = Deployment {
        metadata: metadata(service, &blueprint.name, Some(&blueprint.name)),
        spec: DeploymentSpec {
            selector: LabelSelector {
                match_labels: Some(labels::selector(&service.name, &blueprint.name)),
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
            template: pod::template(service, blueprint),
            ..DeploymentSpec::default()
        },
        status: None,
    };
    Child::new(Kind::Deployment, &blueprint.name, &object)
}
