//! Issues of a revision's pods.

pub mod container;
pub mod terminated;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serin_crds::contract::status_report::{Phase, StatusReport};
use serin_crds::status::Reason;

use crate::observe::Issue;
use crate::observe::pods::container::{container, waiting_reason};
use crate::observe::text::{last_line, quote, without_preemption};
use crate::observed::{ObservedRevision, SourceState};
use crate::validated::Source;

/// Exit codes of a crash: a Rust panic, and 128 + the number of a signal.
const CRASHES: [i32; 5] = [101, 132, 134, 136, 139];

/// Why the pods of `revision` do not answer; `None` where no reason is known.
pub fn issue(
    name: &str,
    revision: &ObservedRevision,
    source: &Source,
    source_state: SourceState,
    now: Timestamp,
) -> Option<Issue> {
    let all = revision.pods.iter().map(|pod| &**pod);
    let (ended, live): (Vec<&Pod>, Vec<&Pod>) = all.partition(|pod| terminated::is_terminated(pod));
    let last = terminated::last(&ended);
    refused(name, revision)
        .or_else(|| missing_source(&live, source, source_state, now))
        .or_else(|| live.iter().find_map(|pod| in_container(pod)))
        .or_else(|| live.iter().find_map(|pod| unschedulable(pod, source, now)))
        .or_else(|| {
            let only = last.filter(|_| live.is_empty())?;
            terminated::issue(only, now).or_else(|| in_container(only))
        })
        .or_else(|| {
            // Where no other pod gets ready, the others may terminate for the same reason.
            let before = last.filter(|_| revision.ready() == 0).and_then(before);
            in_time(name, revision, reported(revision, now), before.as_deref())
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
    waits && !terminated::is_terminated(pod)
}

fn refused(name: &str, revision: &ObservedRevision) -> Option<Issue> {
    let message = condition(revision, "ReplicaFailure", "True")?;
    Some(Issue::stalled(
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
) -> Option<Issue> {
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
    Some(Issue::after_grace(
        Reason::MissingReference,
        message,
        since,
        now,
    ))
}

fn in_container(pod: &Pod) -> Option<Issue> {
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
            return Some(Issue::stalled(
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
            return Some(Issue::stalled(
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

/// The issue of a terminated container.
fn ended(pod: &str, end: &ContainerStateTerminated) -> Option<Issue> {
    if end.exit_code == 0 {
        return None;
    }
    if end.reason.as_deref() == Some("OOMKilled") {
        return Some(Issue::stalled(
            Reason::CrashLooping,
            format!(
                "pod {pod} was killed for using more memory than its limit: raise \
                 spec.resources.limits.memory"
            ),
        ));
    }
    let said = end.message.as_deref().map(last_line).unwrap_or_default();
    if said.is_empty() || end.exit_code >= 128 || CRASHES.contains(&end.exit_code) {
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(": {said}")
        };
        return Some(Issue::stalled(
            Reason::CrashLooping,
            format!(
                "pod {pod} ended with exit code {}{said}. `kubectl logs {pod} --previous` shows \
                 what went before",
                end.exit_code
            ),
        ));
    }
    Some(Issue::stalled(
        Reason::LoadFailed,
        format!("pod {pod}: {said}"),
    ))
}

fn unschedulable(pod: &Pod, source: &Source, now: Timestamp) -> Option<Issue> {
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
        return Some(Issue::after_grace(
            Reason::MissingReference,
            message,
            since,
            now,
        ));
    }
    let message = format!(
        "no node can take pod {pod}: {}. Lower spec.resources or spec.gpu, relax \
         spec.podTemplate.spec, or add a node",
        quote(without_preemption(said))
    );
    Some(Issue::after_grace(
        Reason::Unschedulable,
        message,
        since,
        now,
    ))
}

/// The issue that running pods report.
fn reported(revision: &ObservedRevision, now: Timestamp) -> Option<Issue> {
    let said = |report: &StatusReport, otherwise: &str| {
        let message = quote(&report.message);
        if message.is_empty() {
            otherwise.to_owned()
        } else {
            message
        }
    };
    let retried = |report: &StatusReport| report.models.iter().any(|model| model.reason.is_some());
    let loading = |report: &StatusReport| report.phase < Phase::Ready;
    let find = |wanted: &dyn Fn(&StatusReport) -> bool| {
        revision.reports.iter().find(|(_, report)| wanted(report))
    };
    if let Some((pod, report)) = find(&retried) {
        let message = format!("pod {pod}: {}", said(report, "the model cannot be loaded"));
        let since = started(revision, pod);
        return Some(Issue::after_grace(
            Reason::LoadFailed,
            message,
            since.as_ref(),
            now,
        ));
    }
    let (pod, report) = find(&loading)?;
    let message = said(report, "the model is being loaded");
    Some(Issue::passing(
        Reason::Loading,
        format!("pod {pod}: {message}"),
    ))
}

/// When the container of a pod started to run.
fn started(revision: &ObservedRevision, pod: &str) -> Option<Time> {
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

/// Why the replaced pod terminated.
fn before(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Some(format!(
        "; before, the cluster ended pod {name} ({})",
        terminated::cause(pod)?
    ))
}

/// The reported issue; after the Deployment's progress deadline, that it was exceeded, and the
/// reported issue.
fn in_time(
    name: &str,
    revision: &ObservedRevision,
    reported: Option<Issue>,
    before: Option<&str>,
) -> Option<Issue> {
    if reported.as_ref().is_some_and(|reported| reported.stalled) {
        return reported;
    }
    let before = before.unwrap_or_default();
    let Some(message) = condition(revision, "Progressing", "False") else {
        return reported.map(|reported| Issue {
            message: format!("{}{before}", reported.message),
            ..reported
        });
    };
    let waits = reported.map_or_else(
        || {
            format!(
                "`kubectl describe pod -l serin.dev/revision={name}` shows what its pods wait for"
            )
        },
        |reported| reported.message,
    );
    Some(Issue::stalled(
        Reason::DeadlineExceeded,
        format!(
            "revision {name} did not become ready in time: {}. {waits}{before}",
            quote(&message)
        ),
    ))
}

/// The message of a Deployment's condition, where it has this status.
fn condition(revision: &ObservedRevision, type_: &str, status: &str) -> Option<String> {
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
