//! Status and conditions of a service, from its observed children. Pure.

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

/// Seconds for which a pod may wait for a node, or for a ConfigMap that is applied just after its
/// service, before the service is stalled. The message is reported from the beginning.
const GRACE_SECONDS: i64 = 15;

/// Why a revision does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The reason of the conditions.
    pub reason: Reason,
    /// What happened, where, and what to do.
    pub message: String,
    /// Whether the user must act; else the issue may resolve itself.
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

    /// An issue that stalls the service only after the grace period.
    fn after_grace(reason: Reason, message: String, since: Option<&Time>, now: Timestamp) -> Self {
        let age = since.map_or(0, |since| now.as_second() - since.0.as_second());
        if age < GRACE_SECONDS {
            Self::passing(reason, message)
        } else {
            Self::stalled(reason, message)
        }
    }
}
