//! The status after a pass.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serin_crds::InferenceServiceStatus;
use serin_crds::ports;
use serin_crds::status::{
    ConditionType, Endpoints, Finding, Reason, Role, VersionStatus, conditions,
};

use crate::desired::labels;
use crate::observe::conditions::{Progress, available, model_loaded, progress};
use crate::observe::pass::{Pass, version_status};
use crate::observe::{Issue, autoscaling, pods};

/// The status to report, and the progress of the service.
pub fn status(pass: &Pass<'_>) -> (InferenceServiceStatus, Progress) {
    let service = pass.service;
    let stable = pass.stable();
    let stable_revision = pass.observed.revision(stable);
    let issue = declared_issue(pass);
    let progress = progress(pass, issue.as_ref());

    let mut findings = progress.findings().to_vec();
    findings.push(available(pass));
    findings.push(model_loaded(pass, issue.as_ref()));
    let autoscaler = stable_revision.autoscaler.as_deref();
    let autoscaled = service.autoscaling().is_some();
    if autoscaled {
        findings.push(match (autoscaler, pass.blocked) {
            (None, Some(blocked)) => autoscaling::blocked(blocked),
            _ => autoscaling::finding(autoscaler, &pass.observed.metrics_api),
        });
    }

    // A version is named once it has answered, and as long as its revision stays the stable one.
    let answered = stable_revision.available() > 0
        || pass.previous.version.is_some()
            && pass.previous.stable_revision.as_deref() == Some(stable);
    let status = InferenceServiceStatus {
        observed_generation: Some(service.generation),
        url: Some(service.url()),
        endpoints: Some(Endpoints {
            rest: service.url(),
            grpc: format!("{}.{}.svc:{}", service.name, service.namespace, ports::GRPC),
        }),
        version: answered.then(|| pass.version(stable)),
        stable_revision: pass.answering().map(str::to_owned),
        replicas: Some(stable_revision.existing()),
        selector: Some(labels::selector_text(&service.name, stable)),
        versions: versions(pass),
        autoscaling: autoscaler
            .filter(|_| autoscaled)
            .map(|autoscaler| autoscaling::status(autoscaler, stable_revision.existing())),
        conditions: conditions(
            &pass.previous.conditions,
            &findings,
            service.generation,
            &Time(pass.now),
        ),
    };
    (status, progress)
}

/// The first status of an object, before anything is done about it: without any condition,
/// kstatus would take it for finished.
pub fn unknown(generation: i64, now: Timestamp) -> InferenceServiceStatus {
    let message = "the operator has seen the object and begins";
    let unknown = |type_| Finding {
        type_,
        status: None,
        reason: Reason::Progressing,
        message: message.into(),
    };
    let findings = [
        unknown(ConditionType::Ready),
        unknown(ConditionType::Available),
        Finding {
            status: Some(true),
            ..unknown(ConditionType::Reconciling)
        },
        Finding {
            status: Some(false),
            ..unknown(ConditionType::Stalled)
        },
    ];
    InferenceServiceStatus {
        observed_generation: Some(generation),
        conditions: conditions(&[], &findings, generation, &Time(now)),
        ..InferenceServiceStatus::default()
    }
}

fn declared_issue(pass: &Pass<'_>) -> Option<Issue> {
    let service = pass.service;
    let declared = &service.revision.name;
    if service.is_stopped() {
        return None;
    }
    pods::issue(
        declared,
        &pass.observed.revision(declared),
        &service.source,
        pass.observed.source,
        pass.now,
    )
}

fn versions(pass: &Pass<'_>) -> Vec<VersionStatus> {
    let (actions, stable) = (&pass.plan.actions, pass.stable());
    let next = if stable == actions.route {
        actions.start.as_deref()
    } else {
        Some(&*actions.route)
    };
    [(Some(stable), Role::Stable), (next, Role::Next)]
        .into_iter()
        .filter_map(|(revision, role)| {
            let revision = revision?;
            version_status(pass.observed, revision, role, pass.version(revision))
        })
        .collect()
}
