//! What is measured per model.

mod families;
mod registration;
mod removable;
mod streams;

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use serin_core::types::Timing;

pub(super) use self::families::ModelFamilies;
use self::families::{InfoLabels, ModelLabels};
use self::registration::Registration;
pub use self::streams::StreamMetrics;

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
    /// Of `rest` and of `grpc`, looked up once: a look-up by labels costs a microsecond.
    hot: [OnceLock<Hot>; 2],
    /// The series that tells what the model is.
    described: Mutex<Option<InfoLabels>>,
    families: ModelFamilies,
    labels: ModelLabels,
    /// Removes the series of a version that is no longer there.
    _registration: Option<Registration>,
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
        self.duration.observe(duration.as_secs_f64());
    }
}

impl Bodies {
    fn observe(&self, (request, response): (usize, usize)) {
        self.request.observe(request as f64);
        self.response.observe(response as f64);
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
    /// From the first byte received to the answer handed to the socket.
    pub duration: Duration,
    /// Where the time went.
    pub phases: Phases,
    /// Bytes of the request's body and of its answer's, of one that was answered.
    pub body_bytes: Option<(usize, usize)>,
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
        self.batch_size.observe(rows as f64);
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
        let mut told = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.families
            .describe(&mut told, &self.labels, platform, digest);
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
            ended: self.families.ended(&self.labels, request),
            bodies: self.families.bodies(&self.labels, request.protocol),
        }))
    }

    /// Where the time of a request went that ran.
    pub fn phases(&self, phases: &Phases) {
        if let Some(timing) = &phases.timing {
            self.decode.observe(phases.decode.as_secs_f64());
            self.queue.observe(timing.queue.as_secs_f64());
            // Most requests run alone, and a phase that was none is not counted.
            if !timing.batch.is_zero() {
                self.batch.observe(timing.batch.as_secs_f64());
            }
            self.compute.observe(timing.compute.as_secs_f64());
            self.encode.observe(phases.encode.as_secs_f64());
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
            let ended = self.families.ended(&self.labels, request);
            ended.count(request.duration);
            if let Some(bytes) = request.body_bytes {
                let bodies = self.families.bodies(&self.labels, request.protocol);
                bodies.observe(bytes);
            }
        }
        self.phases(&request.phases);
    }
}
