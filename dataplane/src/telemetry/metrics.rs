//! Every metric's name, labels and buckets; handles are resolved at start.
//!
//! A `model` label takes configured names only: callers cannot create series. Requests to other
//! models are counted under `_unknown`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

mod histogram;
mod model;

pub(super) use histogram::Figures;
pub use model::{Counted, ModelMetrics, PartsSent, Phases, RequestOutcome, StreamMetrics};
pub(super) use model::{LATENCY, Phase};

use self::model::ModelFamilies;
use super::logging;
use super::process::ProcessCollector;

/// The label value for models that are not configured.
pub const UNKNOWN_MODEL: &str = "_unknown";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
    commit: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HttpLabels {
    route: &'static str,
    code: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DroppedLabels {
    reason: &'static str,
}

/// Everything the process measures.
pub struct Metrics {
    models: HashMap<String, HashMap<String, Arc<ModelMetrics>>>,
    unknown: Arc<ModelMetrics>,
    http: Family<HttpLabels, Counter>,
    traces_dropped: Family<DroppedLabels, Counter>,
    /// Open connections on the serving ports.
    pub connections: Gauge,
    /// Requests that panicked and were answered 500.
    pub panics: Counter,
    pub(super) registry: Registry,
}

impl Metrics {
    /// Metrics for these models, as `(name, version)`; every gauge exists from here on.
    pub fn new(models: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut registry = Registry::default();
        let build = Family::<BuildLabels, Gauge>::default();
        build
            .get_or_create(&BuildLabels {
                version: env!("CARGO_PKG_VERSION"),
                commit: option_env!("SERIN_COMMIT").unwrap_or("unknown"),
            })
            .set(1);
        let http = Family::default();
        let connections = Gauge::default();
        let panics = Counter::default();
        registry.register("serin_build_info", "What this binary is; always 1", build);
        registry.register(
            "serin_http_requests",
            "Finished HTTP requests that are no inference",
            http.clone(),
        );
        let traces_dropped = Family::default();
        registry.register(
            "serin_traces_dropped",
            "Traced requests whose spans were lost; spans, where the reason is rejected",
            traces_dropped.clone(),
        );
        registry.register(
            "serin_log_lines_dropped",
            "Lines of the log that were lost as nobody read them",
            logging::dropped(),
        );
        registry.register(
            "serin_connections",
            "Open connections on the serving ports",
            connections.clone(),
        );
        registry.register(
            "serin_panics",
            "Requests that failed by a defect of the server",
            panics.clone(),
        );
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        started.set(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
        );
        registry.register(
            "serin_start_time_seconds",
            "Unix time of the start",
            started,
        );
        registry.register_collector(Box::new(ProcessCollector));

        let families = ModelFamilies::register(&mut registry);
        let unknown = Arc::new(families.unlisted(UNKNOWN_MODEL));
        let mut by_name: HashMap<String, HashMap<String, Arc<ModelMetrics>>> = HashMap::new();
        for (name, version) in models {
            let metrics = Arc::new(families.listed(&name, &version));
            by_name.entry(name).or_default().insert(version, metrics);
        }
        Self {
            models: by_name,
            unknown,
            http,
            traces_dropped,
            connections,
            panics,
            registry,
        }
    }

    /// The handles of a configured model; those of `_unknown` otherwise. Without a version, those
    /// of the only (or any) version of that name: a request is counted again under the version
    /// that ran once that is known.
    pub fn model(&self, name: &str, version: Option<&str>) -> &Arc<ModelMetrics> {
        self.models
            .get(name)
            .and_then(|versions| match version {
                Some(version) => versions.get(version),
                None => versions.values().next(),
            })
            .unwrap_or(&self.unknown)
    }

    /// The configured models, by name and version.
    pub(super) fn configured(&self) -> Vec<&ModelMetrics> {
        let versions = self.models.values().flat_map(HashMap::values);
        let mut models: Vec<&ModelMetrics> = versions.map(Arc::as_ref).collect();
        models.sort_by_key(|model| (model.name(), model.version()));
        models
    }

    /// Counts traced requests whose spans were lost: `queue_full`, `exporter_ended`,
    /// `export_failed`, `rejected`.
    pub fn traces_dropped(&self, reason: &'static str, how_many: u64) {
        let labels = DroppedLabels { reason };
        self.traces_dropped.get_or_create(&labels).inc_by(how_many);
    }

    /// Counts a finished HTTP request that is no inference; `route` is a path template.
    pub fn http_request(&self, route: &'static str, status: u16) {
        let labels = HttpLabels {
            route,
            code: status.into(),
        };
        self.http.get_or_create(&labels).inc();
    }
}
