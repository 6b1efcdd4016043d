//! The status that a pass leaves behind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serin_crds::InferenceServiceStatus;
use serin_crds::ports;
use serin_crds::status::{
    ConditionType, Endpoints, Finding, Reason, Role, VersionStatus, conditions,
};

use crate::decide::Plan;
use crate::desired::blueprint::{Blueprint, unnamed_version};
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

impl Pass<'_> {
    /// The revision that answers callers when the pass ends: the planned one, unless the pass was
    /// kept from turning the Service to it. `None` before there is one.
    pub fn answering(&self) -> Option<&str> {
        let planned = self.plan.roles.stable.as_str();
        if self.blocked.is_none() || self.live.selected() == Some(planned) {
            return Some(planned);
        }
        self.previous.stable_revision.as_deref()
    }

    /// The same; before there is one, the revision that is to be the first.
    pub fn stable(&self) -> &str {
        self.answering().unwrap_or(&self.plan.roles.stable)
    }

    /// The user's name for the version of a revision.
    pub fn version(&self, revision: &str) -> String {
        let planned = self.plan.versions.get(revision).cloned();
        planned.unwrap_or_else(|| stored_version(self.live, revision))
    }
}

/// The status to report, and whether the service has arrived at its spec.
pub fn status(pass: &Pass<'_>) -> (InferenceServiceStatus, Verdict) {
    let service = pass.service;
    let stable = pass.stable();
    let stable_live = pass.live.revision(stable);
    let trouble = declared_trouble(pass);
    let verdict = verdict(pass, trouble.as_ref());

    let mut findings = verdict.findings().to_vec();
    findings.push(available(pass));
    findings.push(model_loaded(pass, trouble.as_ref()));
    let autoscaler = stable_live.autoscaler.as_deref();
    let autoscaled = matches!(service.size, Size::Autoscaled(_)) && !service.suspended;
    if autoscaled {
        findings.push(match (autoscaler, pass.blocked) {
            (None, Some(blocked)) => autoscaling::blocked(blocked),
            _ => autoscaling::finding(autoscaler, &pass.live.metrics_api),
        });
    }

    // A version is named once it has answered, and as long as its revision stays the stable one.
    let answered = stable_live.available() > 0
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
        replicas: Some(stable_live.existing()),
        selector: Some(labels::selector_text(&service.name, stable)),
        versions: versions(pass),
        autoscaling: autoscaler
            .filter(|_| autoscaled)
            .map(|autoscaler| autoscaling::status(autoscaler, stable_live.existing())),
        conditions: conditions(
            &pass.previous.conditions,
            &findings,
            service.generation,
            &Time(pass.now),
        ),
    };
    (status, verdict)
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
    let (roles, stable) = (&pass.plan.roles, pass.stable());
    let next = if stable == roles.stable {
        roles.next.as_deref()
    } else {
        Some(&*roles.stable)
    };
    [(Some(stable), Role::Stable), (next, Role::Next)]
        .into_iter()
        .filter_map(|(revision, role)| {
            let revision = revision?;
            version_status(pass.live, revision, role, pass.version(revision))
        })
        .collect()
}

/// The entry of a revision that has a Deployment.
pub fn version_status(
    live: &Live,
    revision: &str,
    role: Role,
    version: String,
) -> Option<VersionStatus> {
    let live = live.revision(revision);
    Some(VersionStatus {
        revision: revision.to_owned(),
        version,
        role,
        replicas: live.wanted()?,
        ready: live.ready(),
    })
}

/// The user's name for the version of a revision, as its snapshot has it.
pub fn stored_version(live: &Live, revision: &str) -> String {
    let stored = live.revision(revision).config;
    stored
        .and_then(|config| Blueprint::read(&config).ok())
        .map_or_else(
            || unnamed_version(revision).to_owned(),
            |blueprint| blueprint.version,
        )
}
