//! What is measured per model.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::types::Timing;

/// Seconds.
const LATENCY_BUCKETS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// Rows of one run.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Bytes: 256 times the powers of four.
const SIZE_BUCKETS: [f64; 10] = [
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelLabels {
    model: String,
    version: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    model: String,
    version: String,
    protocol: &'static str,
    operation: &'static str,
    outcome: &'static str,
    code: Cow<'static, str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DurationLabels {
    model: String,
    version: String,
    protocol: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PhaseLabels {
    model: String,
    version: String,
    phase: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProtocolLabels {
    model: String,
    version: String,
    protocol: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RejectLabels {
    model: String,
    version: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InfoLabels {
    model: String,
    version: String,
    platform: String,
    digest: String,
}

#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

type Histograms<L> = Family<L, Histogram, Buckets>;

/// The families from which a model's handles are resolved.
#[derive(Clone)]
pub(super) struct ModelFamilies {
    requests: Family<RequestLabels, Counter>,
    duration: Histograms<DurationLabels>,
    phase: Histograms<PhaseLabels>,
    rejected: Family<RejectLabels, Counter>,
    info: Family<InfoLabels, Gauge>,
    in_flight: Family<ModelLabels, Gauge>,
    queue_depth: Family<ModelLabels, Gauge>,
    batch_size: Histograms<ModelLabels>,
    inferences: Family<ModelLabels, Counter>,
    executions: Family<ModelLabels, Counter>,
    request_bytes: Histograms<ProtocolLabels>,
    response_bytes: Histograms<ProtocolLabels>,
    ready: Family<ModelLabels, Gauge>,
    load_seconds: Family<ModelLabels, Gauge<f64, AtomicU64>>,
}

impl ModelFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let latency = Buckets(&LATENCY_BUCKETS);
        let sizes = Buckets(&SIZE_BUCKETS);
        let families = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(latency),
            phase: Family::new_with_constructor(latency),
            rejected: Family::default(),
            info: Family::default(),
            in_flight: Family::default(),
            queue_depth: Family::default(),
            batch_size: Family::new_with_constructor(Buckets(&BATCH_BUCKETS)),
            inferences: Family::default(),
            executions: Family::default(),
            request_bytes: Family::new_with_constructor(sizes),
            response_bytes: Family::new_with_constructor(sizes),
            ready: Family::default(),
            load_seconds: Family::default(),
        };
        // Counters are registered without `_total`: the encoder appends it.
        let f = families.clone();
        registry.register("serin_requests", "Finished inference requests", f.requests);
        registry.register(
            "serin_request_duration_seconds",
            "From receiving a request to its last byte",
            f.duration,
        );
        registry.register(
            "serin_request_phase_seconds",
            "Where the time of a request went",
            f.phase,
        );
        registry.register(
            "serin_queue_rejected",
            "Requests that left the queue without running",
            f.rejected,
        );
        registry.register("serin_model_info", "What a model is; always 1", f.info);
        registry.register(
            "serin_requests_in_flight",
            "Requests being served, queued and running ones included",
            f.in_flight,
        );
        registry.register(
            "serin_queue_depth",
            "Requests waiting for the engine",
            f.queue_depth,
        );
        registry.register("serin_batch_size", "Rows of one run", f.batch_size);
        registry.register("serin_inferences", "Rows run", f.inferences);
        registry.register("serin_executions", "Runs of the model", f.executions);
        registry.register(
            "serin_request_body_bytes",
            "Size of inference request bodies",
            f.request_bytes,
        );
        registry.register(
            "serin_response_body_bytes",
            "Size of inference response bodies",
            f.response_bytes,
        );
        registry.register("serin_model_ready", "Whether the model answers", f.ready);
        registry.register(
            "serin_model_load_seconds",
            "How long fetching, loading and warming up took",
            f.load_seconds,
        );
        families
    }

    /// Handles of a configured model; its gauges show from now on.
    pub(super) fn listed(&self, model: &str, version: &str) -> ModelMetrics {
        let labels = ModelLabels {
            model: model.to_owned(),
            version: version.to_owned(),
        };
        ModelMetrics {
            in_flight: self.in_flight.get_or_create_owned(&labels),
            queue_depth: self.queue_depth.get_or_create_owned(&labels),
            ready: self.ready.get_or_create_owned(&labels),
            load_seconds: self.load_seconds.get_or_create_owned(&labels),
            batch_size: self.batch_size.get_or_create_owned(&labels),
            inferences: self.inferences.get_or_create_owned(&labels),
            executions: self.executions.get_or_create_owned(&labels),
            ..self.unlisted_labelled(labels)
        }
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
        let rest = ProtocolLabels {
            model: labels.model.clone(),
            version: labels.version.clone(),
            protocol: "rest",
        };
        ModelMetrics {
            in_flight: Gauge::default(),
            queue_depth: Gauge::default(),
            ready: Gauge::default(),
            load_seconds: Gauge::default(),
            batch_size: Buckets(&BATCH_BUCKETS).new_metric(),
            inferences: Counter::default(),
            executions: Counter::default(),
            queue: self.phase(&labels, "queue"),
            compute: self.phase(&labels, "compute"),
            decode: self.phase(&labels, "decode"),
            encode: self.phase(&labels, "encode"),
            ok: self.requests.get_or_create_owned(&RequestLabels {
                model: labels.model.clone(),
                version: labels.version.clone(),
                protocol: "rest",
                operation: "infer",
                outcome: "ok",
                code: Cow::Borrowed("200"),
            }),
            ok_duration: self.duration.get_or_create_owned(&DurationLabels {
                model: labels.model.clone(),
                version: labels.version.clone(),
                protocol: "rest",
                operation: "infer",
                outcome: "ok",
            }),
            request_bytes: self.request_bytes.get_or_create_owned(&rest),
            response_bytes: self.response_bytes.get_or_create_owned(&rest),
            families: self.clone(),
            labels,
        }
    }

    fn phase(&self, labels: &ModelLabels, phase: &'static str) -> Histogram {
        self.phase.get_or_create_owned(&PhaseLabels {
            model: labels.model.clone(),
            version: labels.version.clone(),
            phase,
        })
    }
}

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
    compute: Histogram,
    decode: Histogram,
    encode: Histogram,
    ok: Counter,
    ok_duration: Histogram,
    request_bytes: Histogram,
    response_bytes: Histogram,
    families: ModelFamilies,
    labels: ModelLabels,
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
pub struct Finished {
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
}

impl ModelMetrics {
    /// Counts a request in flight until the guard is dropped.
    pub fn enter(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    /// Counts a request as waiting for the engine until the guard is dropped.
    pub fn wait(&self) -> Counted {
        Counted::new(&self.queue_depth)
    }

    /// One run of the model over `rows` rows.
    pub fn ran(&self, rows: usize) {
        self.executions.inc();
        self.inferences.inc_by(rows as u64);
        self.batch_size.observe(rows as f64);
    }

    /// A request left the queue without running: `full`, `timeout`, `cancelled` or `shed`.
    pub fn rejected(&self, reason: &'static str) {
        self.families
            .rejected
            .get_or_create(&RejectLabels {
                model: self.labels.model.clone(),
                version: self.labels.version.clone(),
                reason,
            })
            .inc();
    }

    /// Whether the model can answer.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// The model is loaded: how long that took, which engine runs it, and its file's digest.
    pub fn loaded(&self, took: Duration, platform: &str, digest: &str) {
        self.load_seconds.set(took.as_secs_f64());
        self.families
            .info
            .get_or_create(&InfoLabels {
                model: self.labels.model.clone(),
                version: self.labels.version.clone(),
                platform: platform.to_owned(),
                digest: digest.to_owned(),
            })
            .set(1);
    }

    /// Sizes of a request's body and of its answer.
    pub fn body_bytes(&self, request: usize, response: usize) {
        self.request_bytes.observe(request as f64);
        self.response_bytes.observe(response as f64);
    }

    /// Counts a finished request.
    pub fn finished(&self, request: &Finished) {
        let seconds = request.duration.as_secs_f64();
        if let (200, "rest", "infer") = (request.code, request.protocol, request.operation) {
            self.ok.inc();
            self.ok_duration.observe(seconds);
        } else {
            self.finished_rare(request, seconds);
        }
        if let Some(timing) = &request.phases.timing {
            self.decode.observe(request.phases.decode.as_secs_f64());
            self.queue.observe(timing.queue.as_secs_f64());
            self.compute.observe(timing.compute.as_secs_f64());
            self.encode.observe(request.phases.encode.as_secs_f64());
        }
    }

    fn finished_rare(&self, request: &Finished, seconds: f64) {
        self.families
            .requests
            .get_or_create(&RequestLabels {
                model: self.labels.model.clone(),
                version: self.labels.version.clone(),
                protocol: request.protocol,
                operation: request.operation,
                outcome: request.outcome,
                code: code_label(request.protocol, request.code),
            })
            .inc();
        self.families
            .duration
            .get_or_create(&DurationLabels {
                model: self.labels.model.clone(),
                version: self.labels.version.clone(),
                protocol: request.protocol,
                operation: request.operation,
                outcome: request.outcome,
            })
            .observe(seconds);
    }
}

/// The HTTP status, or the canonical name of the gRPC status that stands for the same.
fn code_label(protocol: &str, code: u16) -> Cow<'static, str> {
    if protocol != "grpc" {
        return Cow::Owned(code.to_string());
    }
    Cow::Borrowed(match code {
        200 => "OK",
        499 => "CANCELLED",
        400 => "INVALID_ARGUMENT",
        408 | 504 => "DEADLINE_EXCEEDED",
        404 => "NOT_FOUND",
        403 => "PERMISSION_DENIED",
        413 => "RESOURCE_EXHAUSTED",
        405 | 415 | 501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    #[test]
    fn every_fault_has_the_label_of_its_grpc_status() {
        let names = [
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
        ];
        for kind in FaultKind::ALL {
            let expected = names[usize::try_from(kind.grpc_code()).unwrap()];
            assert_eq!(code_label("grpc", kind.http_status()), expected, "{kind:?}");
            let status = kind.http_status().to_string();
            assert_eq!(code_label("rest", kind.http_status()), status);
        }
    }
}
