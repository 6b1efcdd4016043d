//! `InferenceService`: one model, served.

pub mod api;
pub mod gpu;
pub mod model;
pub mod pod_template;
pub mod resources;
pub mod scaling;
pub mod telemetry;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use api::Api;
pub use gpu::Gpu;
pub use model::{Batching, Model, ModelSource};
pub use pod_template::PodTemplate;
pub use resources::{ResourceAmounts, Resources};
pub use scaling::{Autoscaling, ScalingEngine, ScalingMetric, ScalingMetricType};
pub use telemetry::Telemetry;

use crate::status::InferenceServiceStatus;

/// Pods of a service that says neither `replicas` nor `autoscaling`.
pub const DEFAULT_REPLICAS: i32 = 1;

/// What should be served, and how.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "serin.dev",
    version = "v1alpha1",
    kind = "InferenceService",
    namespaced,
    plural = "inferenceservices",
    shortname = "sis",
    category = "serin",
    status = "InferenceServiceStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One machine-learning model, served: Serin runs it, scales it, and answers for it over the Open Inference Protocol.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 52").message("metadata.name may have at most 52 characters: Serin appends a revision hash to it, and Kubernetes allows 63"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must start with a lower-case letter and hold only lower-case letters, digits and '-': it becomes the name of a Service"),
)]
#[cfg_attr(feature = "manifest", kube(cel))]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))").message("replicas and autoscaling exclude each other: remove replicas to let the autoscaler decide, or remove autoscaling for a fixed size").field_path(".replicas"),
    validation = Rule::new("has(self.model.name) == has(oldSelf.model.name)").message("model.name cannot be set or removed later: it is the name callers use. Create another InferenceService for another name").field_path(".model.name"),
)]
pub struct InferenceServiceSpec {
    /// Stops the service: no pods run, its objects and status stay. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// The model to serve.
    pub model: Model,

    /// Fixed number of pods; default 1. Excludes `autoscaling`. `kubectl scale` writes here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// Lets the number of pods follow the load. Excludes `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// CPU and memory of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// GPUs of each pod. When set, the model must run on the GPU: a pod that cannot use it does
    /// not become ready and says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,

    /// What the protocols offer, where that is a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,

    /// What monitoring is told besides Serin's own metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Telemetry>,

    /// Additions to the pods that Serin makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

impl InferenceService {
    /// The name callers use for the model: `spec.model.name`, else the object's name.
    pub fn model_name(&self) -> &str {
        self.spec
            .model
            .name
            .as_deref()
            .or(self.metadata.name.as_deref())
            .unwrap_or_default()
    }

    /// Whether the user stopped the service.
    pub fn is_suspended(&self) -> bool {
        self.spec.suspend.unwrap_or(false)
    }
}
