//! Where policies come from.

use super::decision::{Reading, Step};

/// Where policies come from. It may block.
pub trait PolicySource: Send + 'static {
    /// Reads it, if it has changed since it was last read.
    fn read(&mut self) -> Reading;

    /// Tells the user what was done; a line in the log unless a source has another way.
    fn tell(&mut self, step: &Step) {
        log(step);
    }
}

fn log(step: &Step) {
    match step {
        Step::Keep => {}
        Step::Replace { document, changes } => tracing::info!(
            hash = document.hash,
            changes = changes.join(", "),
            "the policy is reloaded"
        ),
        Step::Recover => tracing::info!("the policy can be read again and is the one in force"),
        Step::Reject(rejection) => tracing::warn!(
            error = rejection.reason,
            "the policy cannot be reloaded; the last good one stays in force"
        ),
    }
}
