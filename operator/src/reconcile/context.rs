//! What every pass shares.

use std::sync::{Arc, Mutex};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::core::ObjectMeta;
use kube::runtime::events::Recorder;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::desired::revision_snapshot::OperatorDefaults;
use crate::exchange::Reports;
use crate::expectations::Expectations;
use crate::metrics::Metrics;
use crate::observed::MetricsApi;
use crate::stores::Stores;
use crate::writer::Writer;

/// What the passes over one set of watched namespaces share.
pub struct Context {
    /// What all passes of the process share.
    pub shared: Shared,
    /// What the watches have seen.
    pub stores: Stores,
    /// What pods last reported.
    pub reports: Arc<Reports>,
}

/// What all passes of the process share.
#[derive(Clone)]
pub struct Shared {
    /// Asks the API server.
    pub client: Client,
    /// Writes to it.
    pub writer: Writer,
    /// The operator's flags that make pods.
    pub defaults: OperatorDefaults,
    /// When to try again.
    pub backoff: Arc<Backoff>,
    /// Our own writes that do not show yet.
    pub expectations: Arc<Expectations>,
    /// What is measured.
    pub metrics: Metrics,
    /// Publishes events.
    pub recorder: Recorder,
    /// Bounds the passes that run at a time.
    pub slots: Arc<Semaphore>,
    /// Whether `metrics.k8s.io` answered, and when it was asked.
    pub metrics_api: Arc<Mutex<Option<(MetricsApi, Instant)>>>,
    /// The time.
    pub clock: fn() -> Timestamp,
}

impl Shared {
    /// Forgets what is remembered of a service that is gone.
    pub fn forget(&self, service: &ObjectMeta) {
        if let Some(uid) = &service.uid {
            self.backoff.forget(uid);
            self.expectations.forget(uid);
        }
    }
}
