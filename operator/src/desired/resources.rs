//! CPU, memory and GPUs of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serin_crds::inference_service::{Gpu, Resources};

use crate::quantity::{larger, smaller};

/// Default CPU request.
pub const DEFAULT_CPU_REQUEST: &str = "100m";
/// Default memory request.
pub const DEFAULT_MEMORY_REQUEST: &str = "128Mi";
/// Default memory limit, unless the request is larger.
pub const DEFAULT_MEMORY_LIMIT: &str = "512Mi";

/// Requests and limits of the container, defaults applied: a default never contradicts what the
/// user wrote.
pub fn requirements(resources: Option<&Resources>, gpu: Option<&Gpu>) -> ResourceRequirements {
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let cpu_limit = limits.and_then(|limits| limits.cpu.as_deref());
    let memory_limit = limits.and_then(|limits| limits.memory.as_deref());

    let cpu = requests
        .and_then(|requests| requests.cpu.as_deref())
        .unwrap_or_else(|| {
            smaller(
                DEFAULT_CPU_REQUEST,
                cpu_limit.unwrap_or(DEFAULT_CPU_REQUEST),
            )
        });
    let memory = requests
        .and_then(|requests| requests.memory.as_deref())
        .unwrap_or_else(|| {
            smaller(
                DEFAULT_MEMORY_REQUEST,
                memory_limit.unwrap_or(DEFAULT_MEMORY_REQUEST),
            )
        });
    let memory_limit = memory_limit.unwrap_or_else(|| larger(DEFAULT_MEMORY_LIMIT, memory));

    let mut limits = amounts([
        cpu_limit.map(|cpu| ("cpu", cpu)),
        Some(("memory", memory_limit)),
    ]);
    if let Some(gpu) = gpu {
        limits.insert(gpu.resource().to_owned(), Quantity(gpu.count.to_string()));
    }
    ResourceRequirements {
        requests: Some(amounts([Some(("cpu", cpu)), Some(("memory", memory))])),
        limits: Some(limits),
        claims: None,
    }
}

fn amounts<const N: usize>(entries: [Option<(&str, &str)>; N]) -> BTreeMap<String, Quantity> {
    entries
        .into_iter()
        .flatten()
        .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serin_crds::inference_service::resources::ResourceAmounts;

    use super::*;

    fn stated(request: Option<&str>, limit: Option<&str>) -> Resources {
        let memory = |amount: Option<&str>| {
            amount.map(|amount| ResourceAmounts {
                cpu: None,
                memory: Some(amount.to_owned()),
            })
        };
        Resources {
            requests: memory(request),
            limits: memory(limit),
        }
    }

    fn memory(resources: &Resources) -> (String, String) {
        let built = requirements(Some(resources), None);
        let of = |map: Option<BTreeMap<String, Quantity>>| map.unwrap()["memory"].0.clone();
        (of(built.requests), of(built.limits))
    }

    #[test]
    fn a_default_never_contradicts_what_the_user_wrote() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(memory(&stated(None, None)), pair("128Mi", "512Mi"));
        assert_eq!(memory(&stated(Some("4Gi"), None)), pair("4Gi", "4Gi"));
        assert_eq!(memory(&stated(None, Some("64Mi"))), pair("64Mi", "64Mi"));
        assert_eq!(
            memory(&stated(Some("1Gi"), Some("2Gi"))),
            pair("1Gi", "2Gi")
        );
    }
}
