//! The status that a pass leaves behind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serin_crds::InferenceServiceStatus;
use serin_crds::ports;
use serin_crds::status::{
    ConditionType, Endpoints, Finding, Reason, Role, VersionStatus, conditions,
};

use crate::decide::Plan;
use crate::desired::blueprint::unnamed_version;
use crate::desired::labels;
use crate::live::Live;
use crate::observe::conditions::{Verdict, available, model_loaded, verdict};
use crate::observe::{Trouble, autoscaling, pods};
use crate::validated::{Size, ValidatedService};

/// What one pass knows when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// What was asked for.
    pub service: &'a ValidatedService,
    /// What was decided.
    pub plan: &'a Plan,
    /// What there is, the answers to the pass's own writes included.
    pub live: &'a Live,
    /// What kept the pass from writing.
    pub blocked: Option<&'a Trouble>,
    /// The status of before.
    pub previous: &'a InferenceServiceStatus,
    /// The time.
    pub now: Timestamp,
}

/// The status to report, and whether the service has arrived at its spec.
pub fn status(pass: &Pass<'_>) -> (InferenceServiceStatus, Verdict) {
    let service = pass.service;
    let stable = &pass.plan.roles.stable;
    let stable_live = pass.live.revision(stable);
    let trouble = declared_trouble(pass);
    let verdict = verdict(pass, trouble.as_ref());

    let mut findings = verdict.findings().to_vec();
    findings.push(available(pass));
    findings.push(model_loaded(pass, trouble.as_ref()));
    let autoscaler = stable_live.autoscaler.as_deref();
    let autoscaled = matches!(service.size, Size::Autoscaled(_)) && !service.suspended;
    if autoscaled {
        findings.push(autoscaling::finding(autoscaler, &pass.live.metrics_api));
    }

    // A version is named once it has answered, and as long as its revision stays the stable one.
    let answered = stable_live.available() > 0
        || pass.previous.version.is_some()
            && pass.previous.stable_revision.as_ref() == Some(stable);
    let status = InferenceServiceStatus {
        observed_generation: Some(service.generation),
        url: Some(service.url()),
        endpoints: Some(Endpoints {
            rest: service.url(),
            grpc: format!("{}.{}.svc:{}", service.name, service.namespace, ports::GRPC),
        }),
        version: answered.then(|| version(pass.plan, stable)),
        stable_revision: Some(stable.clone()),
        replicas: Some(stable_live.existing()),
        selector: Some(labels::selector_text(service, stable)),
        versions: versions(pass),
        autoscaling: autoscaler
            .filter(|_| autoscaled)
            .map(|autoscaler| autoscaling::status(autoscaler, stable_live.existing())),
        conditions: over(pass.previous, &findings, service.generation, pass.now),
    };
    (status, verdict)
}

/// The status of a spec that cannot be served. What serves goes on serving, and is reported as
/// it was.
pub fn invalid(
    previous: &InferenceServiceStatus,
    live: &Live,
    generation: i64,
    trouble: &Trouble,
    now: Timestamp,
) -> InferenceServiceStatus {
    let mut findings = Verdict::of(trouble).findings().to_vec();
    let answers = previous
        .stable_revision
        .as_deref()
        .is_some_and(|stable| live.revision(stable).available() > 0);
    findings.push(Finding {
        type_: ConditionType::Available,
        status: Some(answers),
        reason: if answers {
            Reason::Serving
        } else {
            Reason::NoReadyPods
        },
        message: if answers {
            "the last valid spec goes on answering".into()
        } else {
            "no valid spec was ever served".into()
        },
    });
    InferenceServiceStatus {
        observed_generation: Some(generation),
        conditions: over(previous, &findings, generation, now),
        ..previous.clone()
    }
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

fn declared_trouble(pass: &Pass<'_>) -> Option<Trouble> {
    let service = pass.service;
    let declared = &service.revision.name;
    if service.is_stopped() {
        return None;
    }
    pods::trouble(
        declared,
        &pass.live.revision(declared),
        &service.source,
        pass.live.source,
        pass.now,
    )
}

fn versions(pass: &Pass<'_>) -> Vec<VersionStatus> {
    let roles = &pass.plan.roles;
    [
        (Some(&roles.stable), Role::Stable),
        (roles.next.as_ref(), Role::Next),
    ]
    .into_iter()
    .filter_map(|(revision, role)| {
        let revision = revision?;
        let live = pass.live.revision(revision);
        Some(VersionStatus {
            revision: revision.clone(),
            version: version(pass.plan, revision),
            role,
            replicas: live.wanted()?,
            ready: live.ready(),
        })
    })
    .collect()
}

fn version(plan: &Plan, revision: &str) -> String {
    plan.versions
        .get(revision)
        .cloned()
        .unwrap_or_else(|| unnamed_version(revision).to_owned())
}

fn over(
    previous: &InferenceServiceStatus,
    findings: &[Finding],
    generation: i64,
    now: Timestamp,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    conditions(&previous.conditions, findings, generation, &Time(now))
}
