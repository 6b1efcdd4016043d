//! The conditions, as kstatus reads them: one [`Progress`] decides `Ready`, `Reconciling` and
//! `Stalled` together, so that they never contradict each other.

use serin_crds::status::{ConditionType, Finding, Reason};

use crate::observe::Issue;
use crate::observe::pass::Pass;
use crate::observed::ObservedRevision;
use crate::validated::Size;

/// Progress of a service towards its spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The declared spec serves.
    Ready(String),
    /// The user wants no pods; `stopping` while some are left.
    Stopped {
        /// Pods are left.
        stopping: bool,
    },
    /// Not there yet; nobody needs to act.
    InProgress(Reason, String),
    /// The user must act.
    Stalled(Reason, String),
}

impl Progress {
    /// The progress of a service with this issue.
    pub fn of(issue: &Issue) -> Self {
        if issue.stalled {
            Self::Stalled(issue.reason, issue.message.clone())
        } else {
            Self::InProgress(issue.reason, issue.message.clone())
        }
    }

    /// `Ready`, `Reconciling` and `Stalled`.
    pub fn findings(&self) -> [Finding; 3] {
        use ConditionType::{Ready, Reconciling, Stalled};
        let settled = |type_| finding(type_, false, Reason::Settled, "nothing is left to do");
        match self {
            Self::Ready(message) => [
                finding(Ready, true, Reason::Serving, message),
                settled(Reconciling),
                settled(Stalled),
            ],
            Self::Stopped { stopping } => [
                finding(
                    Ready,
                    false,
                    Reason::Suspended,
                    "stopped by spec.suspend or spec.replicas: 0",
                ),
                if *stopping {
                    finding(
                        Reconciling,
                        true,
                        Reason::Suspended,
                        "the last pods are ending",
                    )
                } else {
                    finding(Reconciling, false, Reason::Suspended, "no pods run")
                },
                settled(Stalled),
            ],
            Self::InProgress(reason, message) => [
                finding(Ready, false, *reason, message),
                finding(Reconciling, true, *reason, message),
                finding(Stalled, false, *reason, "nobody needs to help so far"),
            ],
            Self::Stalled(reason, message) => [
                finding(Ready, false, *reason, message),
                finding(
                    Reconciling,
                    false,
                    *reason,
                    "waits until somebody helps, see Stalled",
                ),
                finding(Stalled, true, *reason, message),
            ],
        }
    }
}

/// A condition whose status is known.
pub fn finding(type_: ConditionType, status: bool, reason: Reason, message: &str) -> Finding {
    Finding {
        type_,
        status: Some(status),
        reason,
        message: message.to_owned(),
    }
}

/// The progress of the service. `issue` is why the declared revision's pods do not answer.
pub fn progress(pass: &Pass<'_>, issue: Option<&Issue>) -> Progress {
    let service = pass.service;
    if let Some(blocked) = pass.blocked {
        return Progress::of(blocked);
    }
    let stable = &pass.plan.actions.route;
    if service.is_stopped() {
        return Progress::Stopped {
            stopping: pass.observed.revision(stable).existing() > 0,
        };
    }
    let revision = &service.revision;
    let declared = pass.observed.revision(&revision.name);
    let answers = stable == &revision.name && pass.observed.selected() == Some(stable);
    if answers && serves(&service.size, &declared) {
        return Progress::Ready(format!(
            "version {} (revision {}) answers on {}",
            revision.version,
            revision.name,
            service.url()
        ));
    }
    if let Some(issue) = issue {
        return Progress::of(issue);
    }
    let progress = format!(
        "{} of {} pods of version {} (revision {}) are ready",
        declared.available(),
        declared.wanted().unwrap_or(0),
        revision.version,
        revision.name
    );
    if stable != &revision.name {
        return Progress::InProgress(
            Reason::RollingOut,
            format!("{progress}; revision {stable} answers meanwhile"),
        );
    }
    let reason = if declared.available() > 0 {
        Reason::Scaling
    } else {
        Reason::Progressing
    };
    Progress::InProgress(reason, progress)
}

/// Whether a revision serves at the size that is asked for. An autoscaled one does
/// as long as its minimum answers.
fn serves(size: &Size, revision: &ObservedRevision) -> bool {
    match size {
        Size::Fixed(replicas) => revision.is_complete() && revision.wanted() == Some(*replicas),
        Size::Autoscaled(bounds) => {
            let needed = revision.wanted().unwrap_or(0).min(bounds.min_replicas());
            needed > 0
                && revision.available() >= needed
                && revision.existing() == revision.updated()
        }
    }
}

/// Whether any version answers callers.
pub fn available(pass: &Pass<'_>) -> Finding {
    use ConditionType::Available;
    let stable = pass.stable();
    // A blocked pass may not have routed callers to the planned revision.
    let selected = pass.observed.selected();
    let answers = selected.filter(|revision| pass.observed.revision(revision).available() > 0);
    if let Some(revision) = answers {
        let version = pass.version(revision);
        let message = format!("version {version} answers on {}", pass.service.url());
        return finding(Available, true, Reason::Serving, &message);
    }
    if pass.service.is_stopped() {
        return finding(Available, false, Reason::Suspended, "no pods run");
    }
    let message = format!("no pod of revision {stable} is ready");
    finding(Available, false, Reason::NoReadyPods, &message)
}

/// Whether the pods of the declared spec have loaded its model.
pub fn model_loaded(pass: &Pass<'_>, issue: Option<&Issue>) -> Finding {
    use ConditionType::ModelLoaded;
    let revision = &pass.service.revision;
    if pass.observed.revision(&revision.name).ready() > 0 {
        let message = format!(
            "version {} of model {} is loaded",
            revision.version, pass.service.spec.model.name
        );
        return finding(ModelLoaded, true, Reason::Loaded, &message);
    }
    if pass.service.is_stopped() {
        return finding(ModelLoaded, false, Reason::Suspended, "no pods run");
    }
    match issue {
        Some(issue) => finding(ModelLoaded, false, issue.reason, &issue.message),
        None => finding(
            ModelLoaded,
            false,
            Reason::Progressing,
            &format!("no pod of revision {} runs yet", revision.name),
        ),
    }
}
