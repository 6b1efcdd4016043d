//! `/metrics`, in the text format of Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::child_kind::ChildKind;

/// The operator's metrics. Cheap to clone; every label has a closed list of values.
#[derive(Clone, Debug)]
pub struct Metrics {
    passes: Family<Outcome, Counter>,
    seconds: Histogram,
    running: Gauge,
    leader: Gauge,
    writes: Family<Write, Counter>,
    watch_errors: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Write {
    kind: &'static str,
    outcome: &'static str,
}

/// Upper bounds of the buckets for the time of a pass, in seconds.
const PASS_SECONDS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            passes: Family::default(),
            seconds: Histogram::new(PASS_SECONDS),
            running: Gauge::default(),
            leader: Gauge::default(),
            writes: Family::default(),
            watch_errors: Counter::default(),
        }
    }
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("serin_operator");
        registry.register(
            "reconcile",
            "Passes over an InferenceService, by outcome",
            self.passes.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "Time of a pass",
            self.seconds.clone(),
        );
        registry.register(
            "reconcile_running",
            "Passes that run now",
            self.running.clone(),
        );
        registry.register("leader", "1 while this process leads", self.leader.clone());
        registry.register(
            "writes",
            "Writes to the API server, by kind and outcome: patched, deleted, skipped, failed",
            self.writes.clone(),
        );
        registry.register(
            "watch_errors",
            "Watches that broke and were begun again",
            self.watch_errors.clone(),
        );
    }

    /// A pass began.
    pub fn pass_began(&self) {
        self.running.inc();
    }

    /// A pass ended.
    pub fn pass_ended(&self, outcome: &'static str, took: Duration) {
        self.running.dec();
        self.seconds.observe(took.as_secs_f64());
        self.passes.get_or_create(&Outcome { outcome }).inc();
    }

    /// This process leads, or does not.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Counts a write of a child, or a write that was not needed.
    pub fn wrote(&self, kind: ChildKind, outcome: &'static str) {
        self.wrote_kind(kind.as_str(), outcome);
    }

    /// Counts a write of an object that is no child.
    pub fn wrote_kind(&self, kind: &'static str, outcome: &'static str) {
        self.writes.get_or_create(&Write { kind, outcome }).inc();
    }

    /// A watch broke.
    pub fn watch_broke(&self) {
        self.watch_errors.inc();
    }
}
