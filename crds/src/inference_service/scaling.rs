//! `spec.autoscaling`: who decides the number of pods, from what.

mod behavior;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// CPU target of a service that names no metric, in percent of the request.
pub const DEFAULT_CPU_TARGET_PERCENT: i32 = 80;

/// How the number of pods follows the load.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.minReplicas) || self.minReplicas <= self.maxReplicas").message("autoscaling.minReplicas must not be above maxReplicas").field_path(".minReplicas"),
)]
pub struct Autoscaling {
    /// Who scales. `HPA`: a HorizontalPodAutoscaler that Serin makes and keeps. `Auto`: the one
    /// that suits the metrics, today always `HPA`. Default: `Auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<ScalingEngine>,

    /// Fewest pods; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,

    /// Most pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// What to follow; the metric that wants most pods wins. Default: CPU at 80 percent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub metrics: Vec<ScalingMetric>,

    /// How fast to grow and shrink: passed to the HorizontalPodAutoscaler as it stands
    /// (`autoscaling/v2`, same defaults).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = behavior::bounded)]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

/// Who decides the number of pods.
#[derive(
    schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
pub enum ScalingEngine {
    /// The engine that suits the metrics.
    #[default]
    Auto,
    /// The cluster's HorizontalPodAutoscaler.
    #[serde(rename = "HPA")]
    Hpa,
}

/// One thing to follow.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingMetric {
    /// What is measured.
    #[serde(rename = "type")]
    pub type_: ScalingMetricType,

    /// Average over the pods to aim for, in percent of what each pod requests.
    #[schemars(range(min = 1, max = 1000))]
    pub target_percent: i32,
}

/// What an autoscaler can follow.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalingMetricType {
    /// CPU time in use.
    #[serde(rename = "CPU")]
    Cpu,
    /// Memory in use.
    Memory,
}

impl Autoscaling {
    /// Fewest pods, the default applied.
    pub fn min_replicas(&self) -> i32 {
        self.min_replicas.unwrap_or(1)
    }

    /// What to follow, the default applied.
    pub fn metrics(&self) -> Vec<ScalingMetric> {
        if self.metrics.is_empty() {
            return vec![ScalingMetric {
                type_: ScalingMetricType::Cpu,
                target_percent: DEFAULT_CPU_TARGET_PERCENT,
            }];
        }
        self.metrics.clone()
    }
}
