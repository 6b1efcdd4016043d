//! `spec.resources`: CPU and memory of a pod.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Requests and limits of each pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || !quantity(self.requests.cpu).isGreaterThan(quantity(self.limits.cpu))").message("resources.requests.cpu must not be above resources.limits.cpu: no node would run such a pod").field_path(".requests.cpu"),
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || !quantity(self.requests.memory).isGreaterThan(quantity(self.limits.memory))").message("resources.requests.memory must not be above resources.limits.memory: no node would run such a pod").field_path(".requests.memory"),
)]
pub struct Resources {
    /// What the scheduler keeps free for each pod. Default: 100m CPU, 128Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// What each pod may use at most. Default: no CPU limit, memory limited to 512Mi or to the
    /// request where that is larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// An amount of each resource.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Processor cores as a Kubernetes quantity: "2", "500m".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+|[0-9]*\.[0-9]+)(m|k)?$"))]
    pub cpu: Option<String>,
    /// Bytes of memory as a Kubernetes quantity: "512Mi", "4Gi".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^([0-9]+|[0-9]*\.[0-9]+)(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
    )]
    pub memory: Option<String>,
}
