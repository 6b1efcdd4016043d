//! Errors of a pass.

use std::time::Duration;

use crate::child_kind::ChildKind;

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused, or could not be reached.
    #[error("{verb} {kind} {name}: {}", answer(source))]
    Api {
        /// The call: `get`, `apply`, `scale`, `delete`, `report`.
        verb: &'static str,
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{verb} {kind} {name}: no answer from the API server within {} s", .after.as_secs())]
    NoAnswer {
        /// The call.
        verb: &'static str,
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The wait.
        after: Duration,
    },
    /// The API server's answer is no object of the kind.
    #[error("{kind} {name}: the API server's answer cannot be read: {source}")]
    Unreadable {
        /// Kind of the object.
        kind: &'static str,
        /// Name of the object.
        name: String,
        /// Why it is none.
        source: serde_json::Error,
    },
    /// Another object of the name is being deleted, or was made by a predecessor of this service.
    #[error("{} {name} is still being deleted", .kind.as_str())]
    PendingDeletion {
        /// Its kind.
        kind: ChildKind,
        /// Its name.
        name: String,
    },
    /// An object of a needed name belongs to another owner.
    #[error("{0}")]
    NameConflict(String),
    /// The lease may have expired, so nothing may be written.
    #[error("the leader's lease may have run out: nothing was written")]
    NotLeader,
    /// The pass exceeded its deadline.
    #[error("the pass did not end within {} s", .0.as_secs())]
    Overlong(Duration),
    /// The pass panicked, which is a bug.
    #[error("the pass panicked: {0}")]
    Panicked(String),
}

impl Error {
    /// A short name of the failure, for metrics: a closed list.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Api { .. } if self.is_conflict() => "conflict",
            Self::Api { .. } if self.is_refusal() => "rejected",
            Self::Api { .. } => "api_error",
            Self::NoAnswer { .. } => "no_answer",
            Self::Unreadable { .. } => "unreadable",
            Self::PendingDeletion { .. } => "still_there",
            Self::NameConflict(_) => "name_conflict",
            Self::NotLeader => "not_leader",
            Self::Overlong(_) => "overlong",
            Self::Panicked(_) => "panic",
        }
    }

    /// Whether the API server would refuse the same request again, until the spec, a policy or a right
    /// changes.
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| {
            matches!(status.code, 400 | 403 | 413 | 422) && !is_ending_namespace(status)
        })
    }

    /// Whether the object has changed since it was read.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409)
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// The API server's status.
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The API server's message, without the debugging text that the client adds.
fn answer(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => {
            format!("{} ({} {})", status.message, status.code, status.reason)
        }
        other => other.to_string(),
    }
}

/// A namespace that is being deleted refuses new objects with 403, which needs no help.
fn is_ending_namespace(status: &kube::core::Status) -> bool {
    status.message.contains("is being terminated")
}
