//! Shared state of passes.

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

/// State that the passes over one set of watched namespaces share.
pub struct Context {
    /// State of the whole process.
    pub shared: Shared,
    /// The stores of the watches.
    pub stores: Stores,
    /// The last reports of pods.
    pub reports: Arc<Reports>,
}

/// State that all passes of the process share.
#[derive(Clone)]
pub struct Shared {
    /// The client of the API server.
    pub client: Client,
    /// The writer to it.
    pub writer: Writer,
    /// The operator's flags that are part of pods.
    pub defaults: OperatorDefaults,
    /// Backoff by service.
    pub backoff: Arc<Backoff>,
    /// Own writes that the watches have not shown yet.
    pub expectations: Arc<Expectations>,
    /// The metrics.
    pub metrics: Metrics,
    /// Publishes events.
    pub recorder: Recorder,
    /// Bounds the passes that run at a time.
    pub slots: Arc<Semaphore>,
    /// Whether `metrics.k8s.io` answered, and when it was asked.
    pub metrics_api: Arc<Mutex<Option<(MetricsApi, Instant)>>>,
    /// Reads the clock.
    pub clock: fn() -> Timestamp,
}

impl Shared {
    /// Drops the state of a deleted service.
    pub fn forget(&self, service: &ObjectMeta) {
        if let Some(uid) = &service.uid {
            self.backoff.forget(uid);
            self.expectations.forget(uid);
        }
    }
}
