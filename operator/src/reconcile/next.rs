//! The time of the next pass where no event triggers one.

use std::time::Duration;

use kube::runtime::controller::Action;

use crate::backoff::resync;
use crate::decide::Plan;
use crate::observe::conditions::Progress;
use crate::observed::MetricsApi;

/// The wait while own writes are to be observed.
const AGAIN: Duration = Duration::from_millis(300);
/// The wait for a service in progress: the end of a grace period comes as no event.
const IN_PROGRESS: Duration = Duration::from_secs(5);
/// The wait for a stalled service.
const STALLED: Duration = Duration::from_secs(15);

/// The time of the next pass where no event triggers one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The service is as declared.
    Settled,
    /// The service is as declared, but its autoscaler has no metrics.
    Unmeasured,
    /// Another step is due.
    Again,
    /// Its pods are starting or stopping.
    InProgress,
    /// The user must act.
    Stalled,
}

impl Next {
    /// The next pass after one that carried out `plan`, or was `blocked`.
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
            // Changes of the availability of metrics come as no event.
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

    /// The controller's action.
    pub fn action(self) -> Action {
        Action::requeue(match self {
            Self::Settled => resync(),
            Self::Unmeasured | Self::Stalled => STALLED,
            Self::Again => AGAIN,
            Self::InProgress => IN_PROGRESS,
        })
    }
}
