//! What is measured per model.

mod counted;
mod families;
mod figures;
mod labels;
mod outcome;
mod registration;
mod removable;
mod streams;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::registry::Registry;

pub use self::counted::Counted;
use self::families::{BATCH, Bodies, InfoLabels, ModelFamilies};
pub(in crate::telemetry) use self::figures::Phase;
use self::labels::ModelLabels;
pub use self::outcome::{PartsSent, Phases, RequestOutcome};
use self::registration::{Registration, Registrations};
pub(in crate::telemetry) use self::removable::LATENCY;
pub use self::streams::StreamMetrics;
use super::histogram::Histogram;

/// The handles of one model; cheap to use, shared by everything that serves it.
pub struct ModelMetrics {
    in_flight: Gauge,
    queue_depth: Gauge,
    ready: Gauge,
    load_seconds: Gauge<f64, AtomicU64>,
    batch_size: Histogram,
    inferences: Counter,
    executions: Counter,
    queue: Histogram,
    batch: Histogram,
    compute: Histogram,
    decode: Histogram,
    encode: Histogram,
    /// The durations of every kind of request that has ended.
    durations: RwLock<Vec<Durations>>,
    /// Of `rest` and of `grpc`, looked up once: a look-up by labels costs a microsecond.
    hot: [OnceLock<Hot>; 2],
    /// The series that describes the model.
    described: Mutex<Option<InfoLabels>>,
    families: ModelFamilies,
    labels: ModelLabels,
    /// Removes the series of a version that is no longer there.
    _registration: Option<Registration<Self>>,
}

/// The durations of requests of one kind, of which there are few: none is chosen by callers.
struct Durations {
    protocol: &'static str,
    operation: &'static str,
    outcome: &'static str,
    histogram: Histogram,
}

/// What every answered plain inference of one protocol writes.
struct Hot {
    ended: Ended,
    bodies: Bodies,
}

/// What a request writes at its end.
struct Ended {
    requests: Counter,
    duration: Histogram,
}

impl Ended {
    fn count(&self, duration: Duration) {
        self.requests.inc();
        self.duration.observe_duration(duration);
    }
}

/// The metrics of all models, and the handles in use.
pub(super) struct AllModels {
    families: ModelFamilies,
    registrations: Registrations<ModelMetrics>,
}

impl AllModels {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            families: ModelFamilies::register(registry),
            registrations: Registrations::default(),
        }
    }

    /// Handles of one version of a model; its gauges, and the counts of plain inference, are shown
    /// until the last user of the handles is gone.
    pub(super) fn listed(&self, model: &str, version: &str) -> Arc<ModelMetrics> {
        let labels = ModelLabels {
            model: model.to_owned(),
            version: version.to_owned(),
        };
        self.registrations
            .get_or_insert(&labels, || self.new_listed(labels.clone()))
    }

    fn new_listed(&self, labels: ModelLabels) -> ModelMetrics {
        let metrics = ModelMetrics {
            in_flight: self.families.in_flight.get_or_create_owned(&labels),
            queue_depth: self.families.queue_depth.get_or_create_owned(&labels),
            ready: self.families.ready.get_or_create_owned(&labels),
            load_seconds: self.families.load_seconds.get_or_create_owned(&labels),
            batch_size: self.families.batch_size.get_or_create_owned(&labels),
            inferences: self.families.inferences.get_or_create_owned(&labels),
            executions: self.families.executions.get_or_create_owned(&labels),
            _registration: Some(Registration {
                registrations: self.registrations.clone(),
                families: self.families.clone(),
                labels: labels.clone(),
            }),
            ..self.unlisted_labelled(labels)
        };
        self.families.streams.list(&metrics.labels);
        for protocol in ["rest", "grpc"] {
            metrics.hot(&RequestOutcome {
                protocol,
                operation: "infer",
                outcome: "ok",
                code: 200,
                duration: Duration::ZERO,
                phases: Phases::default(),
                body_bytes: None,
                parts: None,
            });
        }
        metrics
    }

    /// Handles for requests to models that are not configured. They only count requests: a gauge
    /// of a model that does not exist would look like one that is down.
    pub(super) fn unlisted(&self, label: &str) -> ModelMetrics {
        self.unlisted_labelled(ModelLabels {
            model: label.to_owned(),
            version: label.to_owned(),
        })
    }

    fn unlisted_labelled(&self, labels: ModelLabels) -> ModelMetrics {
        ModelMetrics {
            in_flight: Gauge::default(),
            queue_depth: Gauge::default(),
            ready: Gauge::default(),
            load_seconds: Gauge::default(),
            batch_size: BATCH.new_metric(),
            inferences: Counter::default(),
            executions: Counter::default(),
            queue: self.families.phase(&labels, "queue"),
            batch: self.families.phase(&labels, "batch"),
            compute: self.families.phase(&labels, "compute"),
            decode: self.families.phase(&labels, "decode"),
            encode: self.families.phase(&labels, "encode"),
            durations: RwLock::default(),
            hot: Default::default(),
            described: Mutex::default(),
            families: self.families.clone(),
            labels,
            _registration: None,
        }
    }
}

impl ModelMetrics {
    /// Counts a request in flight until the guard is dropped.
    pub fn enter(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    /// Counts a stream as open until the handles are dropped.
    pub fn stream(&self, protocol: &'static str) -> StreamMetrics {
        self.families.streams.enter(&self.labels, protocol)
    }

    /// A request waits for the engine.
    pub fn enqueued(&self) {
        self.queue_depth.inc();
    }

    /// A request waits for the engine no longer.
    pub fn dequeued(&self) {
        self.queue_depth.dec();
    }

    /// Tokens were read of callers' texts.
    pub fn read_tokens(&self, tokens: usize) {
        let counter = self.families.tokens_read(&self.labels);
        counter.inc_by(tokens as u64);
    }

    /// One run of the model over `rows` rows.
    pub fn ran(&self, rows: usize) {
        self.executions.inc();
        self.inferences.inc_by(rows as u64);
        self.batch_size.observe(rows as u64);
    }

    /// A request left the queue without running: `full`, `timeout`, `cancelled` or `shed`.
    pub fn rejected(&self, reason: &'static str) {
        self.families.rejected(&self.labels, reason).inc();
    }

    /// Whether the model can answer.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// The model is loaded: how long that took, which engine runs it, and its file's digest.
    pub fn loaded(&self, took: Duration, platform: &str, digest: &str) {
        self.load_seconds.set(took.as_secs_f64());
        let mut shown = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.families
            .describe(&mut shown, &self.labels, platform, digest);
    }

    /// The model's name, as in the labels.
    pub fn name(&self) -> &str {
        &self.labels.model
    }

    /// The model's version, as in the labels.
    pub fn version(&self) -> &str {
        &self.labels.version
    }

    /// The handles for an answered plain inference; none for any other request.
    fn hot(&self, request: &RequestOutcome) -> Option<&Hot> {
        let slot = match (request.protocol, request.operation, request.outcome) {
            ("rest", "infer", "ok") => &self.hot[0],
            ("grpc", "infer", "ok") => &self.hot[1],
            _ => return None,
        };
        Some(slot.get_or_init(|| Hot {
            ended: self.ended(request),
            bodies: self.families.bodies(&self.labels, request.protocol),
        }))
    }

    fn ended(&self, request: &RequestOutcome) -> Ended {
        Ended {
            requests: self.families.requests(&self.labels, request),
            duration: self.durations_of(request),
        }
    }

    fn durations_of(&self, request: &RequestOutcome) -> Histogram {
        let of = |durations: &Vec<Durations>| {
            let same = durations.iter().find(|durations| {
                durations.protocol == request.protocol
                    && durations.operation == request.operation
                    && durations.outcome == request.outcome
            });
            same.map(|durations| durations.histogram.clone())
        };
        let known = self.durations.read();
        if let Some(found) = of(&known.unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        let known = self.durations.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        of(&known).unwrap_or_else(|| {
            let histogram = self.families.durations(&self.labels, request);
            known.push(Durations {
                protocol: request.protocol,
                operation: request.operation,
                outcome: request.outcome,
                histogram: histogram.clone(),
            });
            histogram
        })
    }

    /// Where the time of a request went that ran.
    pub fn phases(&self, phases: &Phases) {
        if let Some(timing) = &phases.timing {
            self.decode.observe_duration(phases.decode);
            self.queue.observe_duration(timing.queue);
            // Most requests run alone, and a phase that was none is not counted.
            if !timing.batch.is_zero() {
                self.batch.observe_duration(timing.batch);
            }
            self.compute.observe_duration(timing.compute);
            self.encode.observe_duration(phases.encode);
        }
    }

    /// Counts a finished request.
    pub fn finished(&self, request: &RequestOutcome) {
        if let Some(hot) = self.hot(request) {
            hot.ended.count(request.duration);
            if let Some(bytes) = request.body_bytes {
                hot.bodies.observe(bytes);
            }
        } else {
            self.ended(request).count(request.duration);
            if let Some(bytes) = request.body_bytes {
                let bodies = self.families.bodies(&self.labels, request.protocol);
                bodies.observe(bytes);
            }
        }
        self.phases(&request.phases);
    }
}
