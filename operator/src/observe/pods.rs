//! Why a revision's pods do not answer.

pub mod over;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serin_crds::status::Reason;

use crate::desired::pod::CONTAINER;
use crate::live::{Answer, LiveRevision, SourceState};
use crate::observe::Trouble;
use crate::observe::words::{last_words, quote, without_preemption};
use crate::validated::Source;

/// Seconds for which a pod may wait for a node, or for a ConfigMap that is applied just after
/// its service, before somebody is called for help. The message is there from the beginning.
const GRACE_SECONDS: i64 = 15;

/// Exit codes of a process that ended by a bug or a signal rather than by its own decision:
/// a Rust panic, and 128 + the number of a signal.
const CRASHES: [i32; 5] = [101, 132, 134, 136, 139];

/// What keeps the pods of `revision` from answering, or `None` where nothing is known to.
pub fn trouble(
    name: &str,
    revision: &LiveRevision,
    source: &Source,
    source_state: SourceState,
    now: Timestamp,
) -> Option<Trouble> {
    let all = revision.pods.iter().map(|pod| &**pod);
    let (ended, live): (Vec<&Pod>, Vec<&Pod>) = all.partition(|pod| over::is_over(pod));
    let last = over::last(&ended);
    refused(name, revision)
        .or_else(|| missing_source(&live, source, source_state, now))
        .or_else(|| live.iter().find_map(|pod| in_container(pod)))
        .or_else(|| live.iter().find_map(|pod| unschedulable(pod, source, now)))
        .or_else(|| {
            let only = last.filter(|_| live.is_empty())?;
            over::trouble(only, now).or_else(|| in_container(only))
        })
        .or_else(|| {
            // Where none of the others ever gets ready, they may end for the same reason.
            let before = last.filter(|_| revision.ready() == 0).and_then(before);
            in_time(name, revision, answered(revision, now), before.as_deref())
        })
}

/// Whether a pod waits for its volumes or its container's creation.
pub fn waits_for_creation(pod: &Pod) -> bool {
    let waits = waiting_reason(pod).is_some_and(|reason| {
        matches!(
            reason,
            "ContainerCreating" | "PodInitializing" | "CreateContainerConfigError"
        )
    });
    waits && !over::is_over(pod)
}

/// The container of the data plane.
pub fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status
        .as_ref()?
        .container_statuses
        .as_ref()?
        .iter()
        .find(|status| status.name == CONTAINER)
}

fn waiting_reason(pod: &Pod) -> Option<&str> {
    container(pod)?
        .state
        .as_ref()?
        .waiting
        .as_ref()?
        .reason
        .as_deref()
}

fn refused(name: &str, revision: &LiveRevision) -> Option<Trouble> {
    let message = condition(revision, "ReplicaFailure", "True")?;
    Some(Trouble::stalled(
        Reason::PodsRefused,
        format!(
            "the API server refuses pods of revision {name}: {}. Change the spec, or the quota, \
             limit or policy that is named here",
            quote(&message)
        ),
    ))
}

fn missing_source(
    pods: &[&Pod],
    source: &Source,
    state: SourceState,
    now: Timestamp,
) -> Option<Trouble> {
    let Source::ConfigMap { name, key } = source else {
        return None;
    };
    let pod = pods.iter().find(|pod| waits_for_creation(pod))?;
    let message = match state {
        SourceState::NotAsked | SourceState::Present => return None,
        SourceState::NoConfigMap => format!(
            "spec.model.source.uri names ConfigMap {name}, which is not in this namespace. Create \
             it, or correct the URI; the pods start by themselves within two minutes"
        ),
        SourceState::NoKey => format!(
            "spec.model.source.uri names key {} of ConfigMap {name}, which has no such key. \
             Add it, or correct the URI; the pods start by themselves within two minutes",
            key.as_deref().unwrap_or_default()
        ),
    };
    let since = pod.metadata.creation_timestamp.as_ref();
    Some(after_grace(Reason::MissingReference, message, since, now))
}

fn in_container(pod: &Pod) -> Option<Trouble> {
    let status = container(pod)?;
    if status.ready {
        return None;
    }
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    let waiting = status
        .state
        .as_ref()
        .and_then(|state| state.waiting.as_ref());
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
            return Some(Trouble::stalled(
                Reason::ImagePullFailed,
                format!(
                    "image {} of pod {pod} cannot be pulled: check the operator's \
                     --dataplane-image, and spec.podTemplate.spec.imagePullSecrets if the registry \
                     needs a login. `kubectl describe pod {pod}` quotes the registry",
                    status.image
                ),
            ));
        }
        Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
            let detail = waiting
                .and_then(|waiting| waiting.message.as_deref())
                .unwrap_or("no detail");
            return Some(Trouble::stalled(
                Reason::MissingReference,
                format!("pod {pod} cannot be started: {}", quote(detail)),
            ));
        }
        _ => {}
    }
    let state = status
        .state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let last = status
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    ended(pod, state.or(last)?)
}

/// What the end of a container says.
fn ended(pod: &str, end: &ContainerStateTerminated) -> Option<Trouble> {
    if end.exit_code == 0 {
        return None;
    }
    if end.reason.as_deref() == Some("OOMKilled") {
        return Some(Trouble::stalled(
            Reason::CrashLooping,
            format!(
                "pod {pod} was killed for using more memory than its limit: raise \
                 spec.resources.limits.memory"
            ),
        ));
    }
    let said = end.message.as_deref().map(last_words).unwrap_or_default();
    if said.is_empty() || end.exit_code >= 128 || CRASHES.contains(&end.exit_code) {
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(": {said}")
        };
        return Some(Trouble::stalled(
            Reason::CrashLooping,
            format!(
                "pod {pod} ended with exit code {}{said}. `kubectl logs {pod} --previous` shows \
                 what went before",
                end.exit_code
            ),
        ));
    }
    Some(Trouble::stalled(
        Reason::LoadFailed,
        format!("pod {pod}: {said}"),
    ))
}

fn unschedulable(pod: &Pod, source: &Source, now: Timestamp) -> Option<Trouble> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled")?;
    if scheduled.status != "False" || scheduled.reason.as_deref() != Some("Unschedulable") {
        return None;
    }
    let said = scheduled
        .message
        .as_deref()
        .unwrap_or("the scheduler gives no reason");
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    let since = scheduled.last_transition_time.as_ref();
    if let Source::Pvc { claim, .. } = source
        && said.contains(&format!("persistentvolumeclaim \"{claim}\" not found"))
    {
        let message = format!(
            "spec.model.source.uri names PersistentVolumeClaim {claim}, which is not in this \
             namespace. Create it, or correct the URI; the pods start by themselves then"
        );
        return Some(after_grace(Reason::MissingReference, message, since, now));
    }
    let message = format!(
        "no node can take pod {pod}: {}. Lower spec.resources or spec.gpu, relax \
         spec.podTemplate.spec, or add a node",
        quote(without_preemption(said))
    );
    Some(after_grace(Reason::Unschedulable, message, since, now))
}

/// Trouble that may pass by itself at first.
fn after_grace(reason: Reason, message: String, since: Option<&Time>, now: Timestamp) -> Trouble {
    let age = since.map_or(0, |since| now.as_second() - since.0.as_second());
    if age < GRACE_SECONDS {
        Trouble::passing(reason, message)
    } else {
        Trouble::stalled(reason, message)
    }
}

/// What running pods say of themselves.
fn answered(revision: &LiveRevision, now: Timestamp) -> Option<Trouble> {
    let said = |answer: &Answer, otherwise: &str| {
        let message = answer.message.as_deref().map(quote);
        message
            .filter(|message| !message.is_empty())
            .unwrap_or_else(|| otherwise.into())
    };
    let failed = |answer: &&Answer| answer.phase == "Failed";
    let retried = |answer: &&Answer| answer.models.iter().any(|model| model.reason.is_some());
    let loading = |answer: &&Answer| matches!(&*answer.phase, "Starting" | "Loading" | "Warming");
    let find = |wanted: &dyn Fn(&&Answer) -> bool| {
        revision.answers.iter().find(|(_, answer)| wanted(answer))
    };
    if let Some((pod, answer)) = find(&failed) {
        let message = said(answer, "the model cannot be loaded");
        return Some(Trouble::stalled(
            Reason::LoadFailed,
            format!("pod {pod}: {message}"),
        ));
    }
    if let Some((pod, answer)) = find(&retried) {
        let message = format!("pod {pod}: {}", said(answer, "the model cannot be loaded"));
        let since = started(revision, pod);
        return Some(after_grace(
            Reason::LoadFailed,
            message,
            since.as_ref(),
            now,
        ));
    }
    let (pod, answer) = find(&loading)?;
    let message = said(answer, "the model is being loaded");
    Some(Trouble::passing(
        Reason::Loading,
        format!("pod {pod}: {message}"),
    ))
}

/// When the container of a pod started to run.
fn started(revision: &LiveRevision, pod: &str) -> Option<Time> {
    let pod = revision
        .pods
        .iter()
        .find(|candidate| candidate.metadata.name.as_deref() == Some(pod))?;
    container(pod)?
        .state
        .as_ref()?
        .running
        .as_ref()?
        .started_at
        .clone()
}

/// What became of the pod in whose place others are now.
fn before(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Some(format!(
        "; before, the cluster ended pod {name} ({})",
        over::words(pod)?
    ))
}

/// What the pods say, until the Deployment's time is up; from then on that, and what they say.
fn in_time(
    name: &str,
    revision: &LiveRevision,
    answered: Option<Trouble>,
    before: Option<&str>,
) -> Option<Trouble> {
    if answered.as_ref().is_some_and(|answered| answered.stalled) {
        return answered;
    }
    let before = before.unwrap_or_default();
    let Some(message) = condition(revision, "Progressing", "False") else {
        return answered.map(|answered| Trouble {
            message: format!("{}{before}", answered.message),
            ..answered
        });
    };
    let waits = answered.map_or_else(
        || {
            format!(
                "`kubectl describe pod -l serin.dev/revision={name}` shows what its pods wait for"
            )
        },
        |answered| answered.message,
    );
    Some(Trouble::stalled(
        Reason::DeadlineExceeded,
        format!(
            "revision {name} did not become ready in time: {}. {waits}{before}",
            quote(&message)
        ),
    ))
}

/// The message of a Deployment's condition, where it has this status.
fn condition(revision: &LiveRevision, type_: &str, status: &str) -> Option<String> {
    let conditions = revision
        .deployment
        .as_ref()?
        .status
        .as_ref()?
        .conditions
        .as_ref()?;
    conditions
        .iter()
        .find(|condition| {
            condition.type_.as_deref() == Some(type_) && condition.status.as_deref() == Some(status)
        })
        .map(|condition| condition.message.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests;
