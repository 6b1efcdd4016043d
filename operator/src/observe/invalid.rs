//! The status of a service whose spec is invalid or cannot be decoded. Its children stay as they
//! are, and their present state is reported.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serin_crds::InferenceServiceStatus;
use serin_crds::status::{ConditionType, Finding, Reason, Role, VersionStatus, conditions};

use crate::desired::labels;
use crate::observe::conditions::{Progress, finding};
use crate::observe::pass::{stored_version, version_status};
use crate::observe::{Issue, autoscaling};
use crate::observed::Observed;

/// The status of a service of which only the metadata is valid.
pub fn status(
    previous: &InferenceServiceStatus,
    observed: &Observed,
    service: &ObjectMeta,
    issue: &Issue,
    now: Timestamp,
) -> InferenceServiceStatus {
    let generation = service.generation.unwrap_or_default();
    let Some(stable) = stable(previous, observed) else {
        let mut findings = Progress::of(issue).findings().to_vec();
        findings.push(unavailable(
            Reason::NoReadyPods,
            "no valid spec was ever served",
        ));
        findings.push(not_loaded(issue));
        return InferenceServiceStatus {
            observed_generation: Some(generation),
            conditions: conditions(&previous.conditions, &findings, generation, &Time(now)),
            ..previous.clone()
        };
    };
    let revision = observed.revision(stable);
    let mut findings = Progress::of(issue).findings().to_vec();
    findings.push(available(observed, stable));
    findings.push(not_loaded(issue));
    let autoscaler = revision.autoscaler.as_deref();
    findings.extend(
        autoscaler.map(|autoscaler| autoscaling::finding(Some(autoscaler), &observed.metrics_api)),
    );
    let answered = || (revision.available() > 0).then(|| stored_version(observed, stable));
    let name = service.name.as_deref().unwrap_or_default();
    InferenceServiceStatus {
        observed_generation: Some(generation),
        version: previous.version.clone().or_else(answered),
        stable_revision: Some(stable.to_owned()),
        replicas: Some(revision.existing()),
        selector: Some(labels::selector_text(name, stable)),
        versions: versions(previous, observed, stable),
        autoscaling: autoscaler
            .map(|autoscaler| autoscaling::status(autoscaler, revision.existing())),
        conditions: conditions(&previous.conditions, &findings, generation, &Time(now)),
        ..previous.clone()
    }
}

/// The stable revision: the recorded one, or, where the status was lost, the one that the Service
/// selects.
fn stable<'a>(previous: &'a InferenceServiceStatus, observed: &'a Observed) -> Option<&'a str> {
    let selected = || {
        observed
            .selected()
            .filter(|selected| observed.revision(selected).exists())
    };
    previous.stable_revision.as_deref().or_else(selected)
}

fn available(observed: &Observed, stable: &str) -> Finding {
    let Some(selected) = observed.selected() else {
        let message = format!(
            "the Service that leads to revision {stable} is gone; it comes back with a spec that \
             can be served"
        );
        return unavailable(Reason::NoReadyPods, &message);
    };
    if observed.revision(selected).available() > 0 {
        let version = stored_version(observed, selected);
        let message = format!("version {version} (revision {selected}) goes on answering");
        return finding(ConditionType::Available, true, Reason::Serving, &message);
    }
    if observed.revision(stable).wanted() == Some(0) {
        return unavailable(
            Reason::Suspended,
            "no pods run, as the last valid spec asks",
        );
    }
    let message = format!("no pod of revision {stable} is ready");
    unavailable(Reason::NoReadyPods, &message)
}

fn unavailable(reason: Reason, message: &str) -> Finding {
    finding(ConditionType::Available, false, reason, message)
}

fn not_loaded(issue: &Issue) -> Finding {
    let message = "no pod is made of the declared spec, see Stalled";
    finding(ConditionType::ModelLoaded, false, issue.reason, message)
}

/// The stable revision, and those that were being rolled out when the spec became invalid.
fn versions(
    previous: &InferenceServiceStatus,
    observed: &Observed,
    stable: &str,
) -> Vec<VersionStatus> {
    let others = previous
        .versions
        .iter()
        .map(|version| version.revision.as_str())
        .filter(|revision| *revision != stable)
        .map(|revision| (revision, Role::Next));
    [(stable, Role::Stable)]
        .into_iter()
        .chain(others)
        .filter_map(|(revision, role)| {
            version_status(observed, revision, role, stored_version(observed, revision))
        })
        .collect()
}
