//! Every metric's name, labels and buckets; handles are resolved at start.
//!
//! A `model` label takes the names of models that are there: callers cannot create series. Requests to
//! other models are counted under `_unknown`.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
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

use self::model::AllModels;
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

/// The handles of each version of each name.
type Handles = HashMap<String, HashMap<String, Arc<ModelMetrics>>>;

/// Everything the process measures.
pub struct Metrics {
    models: ArcSwap<Handles>,
    /// Held by whoever changes `models`.
    changing: Mutex<()>,
    handles: AllModels,
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

        let handles = AllModels::register(&mut registry);
        let unknown = Arc::new(handles.unlisted(UNKNOWN_MODEL));
        let metrics = Self {
            models: ArcSwap::default(),
            changing: Mutex::default(),
            handles,
            unknown,
            http,
            traces_dropped,
            connections,
            panics,
            registry,
        };
        for (name, version) in models {
            metrics.register(&name, &version);
        }
        metrics
    }

    /// The handles of one version of a model, which are shown from now on.
    pub fn register(&self, name: &str, version: &str) -> Arc<ModelMetrics> {
        let handles = self.handles.listed(name, version);
        self.change(|models| {
            let versions = models.entry(name.to_owned()).or_default();
            versions.insert(version.to_owned(), Arc::clone(&handles));
        });
        handles
    }

    /// Counts requests of this version under `_unknown` from now on. Its series are removed once the
    /// last user of its handles is gone.
    pub fn unregister(&self, name: &str, version: &str) {
        self.change(|models| {
            if let Some(versions) = models.get_mut(name) {
                versions.remove(version);
                if versions.is_empty() {
                    models.remove(name);
                }
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Handles)) {
        // A change that panicked has stored nothing.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut models = Handles::clone(&self.models.load());
        change(&mut models);
        self.models.store(Arc::new(models));
    }

    /// The handles of a version that is there; those of `_unknown` otherwise. Without a version, those
    /// of the only (or any) version of that name: a request is counted again under the version
    /// that ran once that is known.
    pub fn model(&self, name: &str, version: Option<&str>) -> Arc<ModelMetrics> {
        let models = self.models.load();
        let found = models.get(name).and_then(|versions| match version {
            Some(version) => versions.get(version),
            None => versions.values().next(),
        });
        Arc::clone(found.unwrap_or(&self.unknown))
    }

    /// The models that are there, by name and version.
    pub(super) fn configured(&self) -> Vec<Arc<ModelMetrics>> {
        let models = self.models.load();
        let versions = models.values().flat_map(HashMap::values);
        let mut models: Vec<Arc<ModelMetrics>> = versions.map(Arc::clone).collect();
        models.sort_by(|a, b| (a.name(), a.version()).cmp(&(b.name(), b.version())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    fn series_of(metrics: &Metrics, model: &str) -> usize {
        let mut page = String::new();
        encode(&mut page, &metrics.registry).unwrap();
        page.matches(&format!("model=\"{model}\"")).count()
    }

    #[test]
    fn the_series_of_a_removed_version_are_gone_with_the_last_user_of_its_handles() {
        let metrics = Metrics::new([("stays".to_owned(), "1".to_owned())]);
        let of_stays = series_of(&metrics, "stays");
        let used = metrics.register("leaves", "1");
        used.loaded(std::time::Duration::ZERO, "onnx", "sha256:0");
        used.rejected("full");
        assert!(series_of(&metrics, "leaves") > of_stays);
        metrics.unregister("leaves", "1");
        assert_eq!(metrics.model("leaves", Some("1")).name(), UNKNOWN_MODEL);
        // A request in flight is counted to its end, and creates nothing that stays.
        used.read_tokens(3);
        assert!(series_of(&metrics, "leaves") > of_stays);
        drop(used);
        assert_eq!(series_of(&metrics, "leaves"), 0);
        assert_eq!(series_of(&metrics, "stays"), of_stays);
    }

    #[test]
    fn a_version_that_is_added_again_keeps_its_series_when_requests_of_before_end() {
        let metrics = Metrics::new([]);
        let before = metrics.register("m", "1");
        metrics.unregister("m", "1");
        let again = metrics.register("m", "1");
        again.ran(1);
        drop(before);
        assert!(series_of(&metrics, "m") > 0);
        metrics.unregister("m", "1");
        drop(again);
        assert_eq!(series_of(&metrics, "m"), 0);
    }
}
