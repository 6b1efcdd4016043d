//! Input of the status: the result of one pass.

use k8s_openapi::jiff::Timestamp;
use serin_crds::InferenceServiceStatus;
use serin_crds::status::{Role, VersionStatus};

use crate::decide::Plan;
use crate::desired::revision_snapshot::{RevisionSnapshot, unnamed_version};
use crate::observe::Issue;
use crate::observed::Observed;
use crate::validated::ValidatedService;

/// Input of the status: the result of one pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The validated spec.
    pub service: &'a ValidatedService,
    /// The plan.
    pub plan: &'a Plan,
    /// The observed objects, the answers to the pass's own writes included.
    pub observed: &'a Observed,
    /// Why the pass could not write everything.
    pub blocked: Option<&'a Issue>,
    /// The previous status.
    pub previous: &'a InferenceServiceStatus,
    /// The time.
    pub now: Timestamp,
}

impl Pass<'_> {
    /// The stable revision when the pass ends: the planned one, unless the pass could not route
    /// callers to it. `None` before there is one.
    pub fn answering(&self) -> Option<&str> {
        let planned = self.plan.actions.route.as_str();
        if self.blocked.is_none() || self.observed.selected() == Some(planned) {
            return Some(planned);
        }
        self.previous.stable_revision.as_deref()
    }

    /// The stable revision; before there is one, the planned one.
    pub fn stable(&self) -> &str {
        self.answering().unwrap_or(&self.plan.actions.route)
    }

    /// The user's name for the version of a revision.
    pub fn version(&self, revision: &str) -> String {
        let planned = self.plan.versions.get(revision).cloned();
        planned.unwrap_or_else(|| stored_version(self.observed, revision))
    }
}

/// The entry of a revision that has a Deployment.
pub fn version_status(
    observed: &Observed,
    revision: &str,
    role: Role,
    version: String,
) -> Option<VersionStatus> {
    let observed = observed.revision(revision);
    Some(VersionStatus {
        revision: revision.to_owned(),
        version,
        role,
        replicas: observed.wanted()?,
        ready: observed.ready(),
    })
}

/// The user's name for the version of a revision, as its snapshot has it.
pub fn stored_version(observed: &Observed, revision: &str) -> String {
    let stored = observed.revision(revision).config;
    stored
        .and_then(|config| RevisionSnapshot::read(&config).ok())
        .map_or_else(
            || unnamed_version(revision).to_owned(),
            |snapshot| snapshot.version,
        )
}
