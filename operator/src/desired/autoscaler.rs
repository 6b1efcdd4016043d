//! The HorizontalPodAutoscaler of the revision that answers callers.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use serin_crds::inference_service::{Autoscaling, ScalingMetric, ScalingMetricType};

use crate::child::Child;
use crate::child_kind::ChildKind;
use crate::desired::metadata::metadata;
use crate::validated::ValidatedService;

/// The autoscaler of `revision`; it owns the Deployment's `spec.replicas` from then on.
pub fn autoscaler(service: &ValidatedService, revision: &str, autoscaling: &Autoscaling) -> Child {
    let object = HorizontalPodAutoscaler {
        metadata: metadata(service, revision, Some(revision)),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name: revision.to_owned(),
            },
            min_replicas: Some(autoscaling.min_replicas()),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(autoscaling.metrics().iter().map(metric).collect()),
            behavior: autoscaling.behavior.clone(),
        },
        status: None,
    };
    Child::new(ChildKind::HorizontalPodAutoscaler, revision, &object)
}

fn metric(metric: &ScalingMetric) -> MetricSpec {
    let name = match metric.type_ {
        ScalingMetricType::Cpu => "cpu",
        ScalingMetricType::Memory => "memory",
    };
    MetricSpec {
        type_: "Resource".into(),
        resource: Some(ResourceMetricSource {
            name: name.into(),
            target: MetricTarget {
                type_: "Utilization".into(),
                average_utilization: Some(metric.target_percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}
