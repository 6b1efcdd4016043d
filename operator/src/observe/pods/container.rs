//! The container of the data plane in a pod.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::desired::pod::CONTAINER;

/// Its status.
pub fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status
        .as_ref()?
        .container_statuses
        .as_ref()?
        .iter()
        .find(|status| status.name == CONTAINER)
}

/// The reason why it waits.
pub fn waiting_reason(pod: &Pod) -> Option<&str> {
    container(pod)?
        .state
        .as_ref()?
        .waiting
        .as_ref()?
        .reason
        .as_deref()
}
