//! Terminated pods: evicted, refused by their node, or stopped together with it. Other pods replace
//! them; the API server lists them still, sometimes for weeks.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serin_crds::status::Reason;

use crate::observe::Issue;
use crate::observe::pods::container::container;
use crate::observe::text::quote;

/// Whether no container of the pod will ever run again.
pub fn is_terminated(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// The pod that terminated last.
pub fn last<'a>(pods: &[&'a Pod]) -> Option<&'a Pod> {
    pods.iter()
        .max_by_key(|pod| since(pod).map(|time| time.0))
        .copied()
}

/// Why the cluster terminated a pod, where it gives a reason.
pub fn cause(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let reason = status
        .reason
        .as_deref()
        .filter(|reason| !reason.is_empty())?;
    let message = quote(status.message.as_deref().unwrap_or_default());
    let message = if message.is_empty() {
        "no detail".to_owned()
    } else {
        message
    };
    Some(format!("{}: {message}", quote(reason)))
}

/// The issue of a revision of which only this terminated pod is left. Another pod may replace it
/// within the grace period.
pub fn issue(pod: &Pod, now: Timestamp) -> Option<Issue> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let message = format!(
        "the cluster ended pod {name} ({}) and no other one has taken its place. `kubectl describe \
         pod {name}` shows more",
        cause(pod)?
    );
    Some(Issue::after_grace(
        Reason::CrashLooping,
        message,
        since(pod).as_ref(),
        now,
    ))
}

/// When the pod ended; where no container of it ever ran, when its node took it.
fn since(pod: &Pod) -> Option<Time> {
    let ended = container(pod)
        .and_then(|container| container.state.as_ref()?.terminated.as_ref())
        .and_then(|end| end.finished_at.clone());
    ended.or_else(|| pod.status.as_ref()?.start_time.clone())
}
