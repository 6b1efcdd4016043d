//! What is measured per model.

mod families;
mod figures;
mod registration;
mod removable;
mod streams;

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use serin_core::types::Timing;

pub(in crate::telemetry) use self::families::LATENCY;
pub(super) use self::families::ModelFamilies;
use self::families::{InfoLabels, ModelLabels};
pub(in crate::telemetry) use self::figures::Phase;
use self::registration::Registration;
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
    _registration: Option<Registration>,
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

/// What an answered request writes besides.
struct Bodies {
    request: Histogram,
    response: Histogram,
}

impl Ended {
    fn count(&self, duration: Duration) {
        self.requests.inc();
        self.duration.observe_duration(duration);
    }
}

impl Bodies {
    fn observe(&self, (request, response): (usize, usize)) {
        self.request.observe(request as u64);
        self.response.observe(response as u64);
    }
}

/// Counts one in a gauge until dropped.
pub struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The phases of a request that the protocol measures, and those below it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phases {
    /// Reading the body's tensors.
    pub decode: Duration,
    /// Waiting and running; absent when the request never ran.
    pub timing: Option<Timing>,
    /// Writing the answer.
    pub encode: Duration,
}

/// The parts of a stream's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartsSent {
    /// How many were sent.
    pub count: u64,
    /// From receiving the request's header to the first; absent while there is none.
    pub first: Option<Duration>,
}

/// A finished inference request.
#[derive(Clone, Copy, Debug)]
pub struct RequestOutcome {
    /// `rest`, `grpc`...
    pub protocol: &'static str,
    /// `infer`, `stream`...
    pub operation: &'static str,
    /// `ok` or the fault's outcome.
    pub outcome: &'static str,
    /// HTTP status.
    pub code: u16,
    /// From receiving the request's header to having the last bytes of its answer.
    pub duration: Duration,
    /// Where the time went.
    pub phases: Phases,
    /// Bytes of the request's body and of its answer's, of one that was answered.
    pub body_bytes: Option<(usize, usize)>,
    /// The parts of its answer, of a stream.
    pub parts: Option<PartsSent>,
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
