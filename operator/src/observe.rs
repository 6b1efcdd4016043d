//! What the children say about the service: status and conditions. Pure.

pub mod autoscaling;
pub mod conditions;
pub mod invalid;
pub mod pods;
pub mod status;
pub mod words;

use serin_crds::status::Reason;

/// Something that keeps a revision from answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of trouble.
    pub reason: Reason,
    /// What, where, and what to do.
    pub message: String,
    /// Whether somebody must help; else it may pass by itself.
    pub stalled: bool,
}

impl Trouble {
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
}
