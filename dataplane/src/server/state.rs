//! The state that every handler shares.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serin_core::fault::{Fault, FaultKind};
use serin_crds::contract::policy::{ApiConfig, StreamKeepAlive};

use super::documents::Documents;
use crate::access::Access;
use crate::policy::PolicyStore;
use crate::routing::Router;
use crate::runtime::Resources;
use crate::runtime::lifecycle::Lifecycle;
use crate::telemetry::{Exposition, Metrics, Monitoring, TracerHandle};

/// The parts that the server is built from.
pub struct Parts<S> {
    /// Answers the requests.
    pub service: Arc<S>,
    /// Decides who is admitted.
    pub access: Arc<dyn Access>,
    /// Chooses the route of a request.
    pub router: Arc<dyn Router>,
    /// Bounds and pools that requests share.
    pub resources: Resources,
    /// The policy; it may change while the server runs.
    pub policy: Arc<PolicyStore>,
    /// The phase of the process.
    pub lifecycle: Lifecycle,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Monitoring besides Serin's own metrics and logs.
    pub monitoring: Monitoring,
}

pub(super) struct ServerState<S> {
    pub(super) service: Arc<S>,
    pub(super) access: Arc<dyn Access>,
    pub(super) router: Arc<dyn Router>,
    pub(super) resources: Resources,
    pub(super) policy: Arc<PolicyStore>,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) exposition: Exposition,
    /// Samples traces; there is one only with a collector.
    pub(super) tracer: TracerHandle,
    pub(super) documents: Documents,
    /// The start of serving, in Unix seconds.
    pub(super) started: u64,
}

impl<S> ServerState<S> {
    pub(super) fn new(parts: Parts<S>) -> Self {
        Self {
            service: parts.service,
            access: parts.access,
            router: parts.router,
            resources: parts.resources,
            lifecycle: parts.lifecycle,
            exposition: Exposition::following(
                Arc::clone(&parts.metrics),
                Arc::clone(&parts.policy),
            ),
            policy: parts.policy,
            metrics: parts.metrics,
            tracer: parts.monitoring.tracer,
            documents: Documents::default(),
            started: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
        }
    }

    /// What the protocols offer now.
    pub(super) fn api(&self) -> ApiConfig {
        self.policy.api()
    }

    /// Whether callers may load and unload models.
    pub(super) fn allows_repository_control(&self) -> bool {
        self.api().repository_control
    }

    /// Whether a model may be `verb` (loaded, unloaded) by a request.
    ///
    /// # Errors
    /// `Forbidden`, saying what would allow it.
    pub(super) fn may_control(&self, verb: &str, name: &str) -> Result<(), Fault> {
        if self.allows_repository_control() {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Forbidden,
            "permission_denied",
            format!(
                "model '{name}' cannot be {verb} by a request: this service does not allow it; \
                 spec.api.repositoryControl: Enabled in its InferenceService does"
            ),
        ))
    }

    /// After how long without bytes an event stream sends a comment; never if it is not to.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        match self.api().stream_keep_alive {
            StreamKeepAlive::Comment => Some(self.resources.limits.stream_keep_alive),
            StreamKeepAlive::Off => None,
        }
    }
}
