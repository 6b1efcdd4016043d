//! The names, labels and buckets of what is measured per model.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::super::histogram::{Histogram, Layout};
use super::labels::{ModelLabels, OfModel};
use super::outcome::RequestOutcome;
use super::removable::{Family, Histograms, LATENCY};
use super::streams::StreamFamilies;

/// Rows of one run.
pub(super) const BATCH: Layout =
    Layout::whole(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]);

/// Bytes: 256 times the powers of four.
const SIZE: Layout = Layout::whole(&[
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
]);

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
pub(super) struct InfoLabels {
    model: String,
    version: String,
    platform: String,
    digest: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    model: String,
    version: String,
    r#type: &'static str,
}

/// Labels of series of one version of a model.
macro_rules! of_model {
    ($($labels:ty),*) => {$(
        impl OfModel for $labels {
            fn is_of(&self, model: &ModelLabels) -> bool {
                self.model == model.model && self.version == model.version
            }
        }
    )*};
}

of_model!(
    ModelLabels,
    RequestLabels,
    DurationLabels,
    PhaseLabels,
    ProtocolLabels,
    RejectLabels,
    InfoLabels,
    TokenLabels
);

/// What an answered request writes besides.
pub(super) struct Bodies {
    request: Histogram,
    response: Histogram,
}

impl Bodies {
    pub(super) fn observe(&self, (request, response): (usize, usize)) {
        self.request.observe(request as u64);
        self.response.observe(response as u64);
    }
}

/// The families from which a model's handles are resolved.
#[derive(Clone)]
pub(in super::super) struct ModelFamilies {
    requests: Family<RequestLabels, Counter>,
    duration: Histograms<DurationLabels>,
    phase: Histograms<PhaseLabels>,
    rejected: Family<RejectLabels, Counter>,
    info: Family<InfoLabels, Gauge>,
    pub(super) in_flight: Family<ModelLabels, Gauge>,
    pub(super) queue_depth: Family<ModelLabels, Gauge>,
    pub(super) batch_size: Histograms<ModelLabels>,
    pub(super) inferences: Family<ModelLabels, Counter>,
    pub(super) executions: Family<ModelLabels, Counter>,
    request_bytes: Histograms<ProtocolLabels>,
    response_bytes: Histograms<ProtocolLabels>,
    pub(super) ready: Family<ModelLabels, Gauge>,
    pub(super) load_seconds: Family<ModelLabels, Gauge<f64, AtomicU64>>,
    tokens: Family<TokenLabels, Counter>,
    pub(super) streams: StreamFamilies,
}

impl ModelFamilies {
    pub(in super::super) fn register(registry: &mut Registry) -> Self {
        let families = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(LATENCY),
            phase: Family::new_with_constructor(LATENCY),
            rejected: Family::default(),
            info: Family::default(),
            in_flight: Family::default(),
            queue_depth: Family::default(),
            batch_size: Family::new_with_constructor(BATCH),
            inferences: Family::default(),
            executions: Family::default(),
            request_bytes: Family::new_with_constructor(SIZE),
            response_bytes: Family::new_with_constructor(SIZE),
            ready: Family::default(),
            load_seconds: Family::default(),
            tokens: Family::default(),
            streams: StreamFamilies::default(),
        };
        families.streams.register(registry);
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
        registry.register("serin_tokens", "Tokens of texts", f.tokens);
        registry.register("serin_model_ready", "Whether the model answers", f.ready);
        registry.register(
            "serin_model_load_seconds",
            "How long fetching, loading and warming up took",
            f.load_seconds,
        );
        families
    }

    /// Removes every series of one version of a model.
    pub(super) fn remove(&self, model: &ModelLabels) {
        self.requests.remove_model(model);
        self.duration.remove_model(model);
        self.phase.remove_model(model);
        self.rejected.remove_model(model);
        self.info.remove_model(model);
        self.in_flight.remove_model(model);
        self.queue_depth.remove_model(model);
        self.batch_size.remove_model(model);
        self.inferences.remove_model(model);
        self.executions.remove_model(model);
        self.request_bytes.remove_model(model);
        self.response_bytes.remove_model(model);
        self.ready.remove_model(model);
        self.load_seconds.remove_model(model);
        self.tokens.remove_model(model);
        self.streams.remove(model);
    }

    pub(super) fn phase(&self, labels: &ModelLabels, phase: &'static str) -> Histogram {
        self.phase.get_or_create_owned(&PhaseLabels {
            model: labels.model.clone(),
            version: labels.version.clone(),
            phase,
        })
    }

    /// The count of requests that end like this one.
    pub(super) fn requests(
        &self,
        ModelLabels { model, version }: &ModelLabels,
        request: &RequestOutcome,
    ) -> Counter {
        self.requests.get_or_create_owned(&RequestLabels {
            model: model.clone(),
            version: version.clone(),
            protocol: request.protocol,
            operation: request.operation,
            outcome: request.outcome,
            code: code_label(request.protocol, request.code),
        })
    }

    /// The durations of requests that end like this one.
    pub(super) fn durations(
        &self,
        ModelLabels { model, version }: &ModelLabels,
        request: &RequestOutcome,
    ) -> Histogram {
        self.duration.get_or_create_owned(&DurationLabels {
            model: model.clone(),
            version: version.clone(),
            protocol: request.protocol,
            operation: request.operation,
            outcome: request.outcome,
        })
    }

    /// The sizes of bodies by one protocol.
    pub(super) fn bodies(&self, labels: &ModelLabels, protocol: &'static str) -> Bodies {
        let labels = ProtocolLabels {
            model: labels.model.clone(),
            version: labels.version.clone(),
            protocol,
        };
        Bodies {
            request: self.request_bytes.get_or_create_owned(&labels),
            response: self.response_bytes.get_or_create_owned(&labels),
        }
    }

    /// Counts of requests that did not run, by reason.
    pub(super) fn rejected(&self, labels: &ModelLabels, reason: &'static str) -> Counter {
        self.rejected.get_or_create_owned(&RejectLabels {
            model: labels.model.clone(),
            version: labels.version.clone(),
            reason,
        })
    }

    /// Tokens read of callers' texts.
    pub(super) fn tokens_read(&self, labels: &ModelLabels) -> Counter {
        self.tokens.get_or_create_owned(&TokenLabels {
            model: labels.model.clone(),
            version: labels.version.clone(),
            r#type: "input",
        })
    }

    /// Shows what a loaded model is, in place of what it was before.
    pub(super) fn describe(
        &self,
        shown: &mut Option<InfoLabels>,
        labels: &ModelLabels,
        platform: &str,
        digest: &str,
    ) {
        let info = InfoLabels {
            model: labels.model.clone(),
            version: labels.version.clone(),
            platform: platform.to_owned(),
            digest: digest.to_owned(),
        };
        self.info.get_or_create_owned(&info).set(1);
        if let Some(before) = shown.replace(info.clone())
            && before != info
        {
            self.info.remove(&before);
        }
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
    use serin_core::fault::FaultKind;

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
