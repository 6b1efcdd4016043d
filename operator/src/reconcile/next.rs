//! When a service is looked at again if nothing happens before.

use std::time::Duration;

use kube::runtime::controller::Action;

use crate::backoff::resync;
use crate::decide::Plan;
use crate::observe::conditions::Progress;
use crate::observed::MetricsApi;

/// The wait while something of our own doing is to show.
const AGAIN: Duration = Duration::from_millis(300);
/// The wait for a service on its way: what is usual at first is not any more after a while, and no
/// event says so.
const IN_PROGRESS: Duration = Duration::from_secs(5);
/// The wait for a service that needs help.
const STALLED: Duration = Duration::from_secs(15);

/// When a service is looked at again if nothing happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is as it should be.
    Settled,
    /// The same, but its autoscaler has no metrics.
    Unmeasured,
    /// Another step is due.
    Again,
    /// Its pods are on their way.
    InProgress,
    /// Somebody must help.
    Stalled,
}

impl Next {
    /// What a pass leads to that did what `plan` says, unless it was `blocked`.
    pub fn after(
        plan: &Plan,
        progress: &Progress,
        blocked: bool,
        metrics_api: &MetricsApi,
    ) -> Self {
        let unfinished = plan.actions.again || !plan.prune.is_empty();
        match progress {
            _ if unfinished && !blocked => Self::Again,
            Progress::Stalled(..) => Self::Stalled,
            Progress::InProgress(..) | Progress::Stopped { stopping: true } => Self::InProgress,
            // That the cluster begins or ends to measure pods comes as no event.
            _ if *metrics_api != MetricsApi::NotAsked => Self::Unmeasured,
            Progress::Ready(_) | Progress::Stopped { stopping: false } => Self::Settled,
        }
    }

    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Settled | Self::Unmeasured => "settled",
            Self::Again => "again",
            Self::InProgress => "moving",
            Self::Stalled => "stuck",
        }
    }

    /// The same for the controller.
    pub fn action(self) -> Action {
        Action::requeue(match self {
            Self::Settled => resync(),
            Self::Unmeasured | Self::Stalled => STALLED,
            Self::Again => AGAIN,
            Self::InProgress => IN_PROGRESS,
        })
    }
}
