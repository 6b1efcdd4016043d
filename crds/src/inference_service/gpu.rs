//! `spec.gpu`: accelerators of a pod.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The resource that NVIDIA's device plugin offers.
pub const DEFAULT_GPU_RESOURCE: &str = "nvidia.com/gpu";

/// GPUs of each pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Gpu {
    /// GPUs of each pod.
    #[schemars(range(min = 1, max = 16))]
    pub count: i32,

    /// The extended resource to ask for, whole GPUs or slices of one (`nvidia.com/mig-1g.10gb`).
    /// Default: `nvidia.com/gpu`. Pods also tolerate a taint of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 63),
        regex(
            pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$"
        )
    )]
    pub resource: Option<String>,

    /// Kinds of GPU that will do, as the node label `nvidia.com/gpu.product` spells them
    /// (`NVIDIA-L4`). Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub products: Vec<String>,
}

impl Gpu {
    /// The extended resource to ask for, the default applied.
    pub fn resource(&self) -> &str {
        self.resource.as_deref().unwrap_or(DEFAULT_GPU_RESOURCE)
    }
}
