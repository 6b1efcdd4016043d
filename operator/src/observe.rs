//! What the children say about the service: status and conditions. Pure.

pub mod autoscaling;
pub mod conditions;
pub mod invalid;
pub mod pass;
pub mod pods;
pub mod status;
pub mod text;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serin_crds::status::Reason;

/// Seconds for which a pod may wait for a node, or for a ConfigMap that is applied just after
/// its service, before somebody is called for help. The message is there from the beginning.
const GRACE_SECONDS: i64 = 15;

/// Something that keeps a revision from answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// What kind of issue it is.
    pub reason: Reason,
    /// What, where, and what to do.
    pub message: String,
    /// Whether somebody must help; else it may pass by itself.
    pub stalled: bool,
}

impl Issue {
    fn stalled(reason: Reason, message: String) -> Self {
        Self {
            reason,
            message,
            stalled: true,
        }
    }

    fn passing(reason: Reason, message: String) -> Self {
        Self {
            reason,
            message,
            stalled: false,
        }
    }

    /// One that may pass by itself at first.
    fn after_grace(reason: Reason, message: String, since: Option<&Time>, now: Timestamp) -> Self {
        let age = since.map_or(0, |since| now.as_second() - since.0.as_second());
        if age < GRACE_SECONDS {
            Self::passing(reason, message)
        } else {
            Self::stalled(reason, message)
        }
    }
}
