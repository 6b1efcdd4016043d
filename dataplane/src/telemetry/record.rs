//! The record of one inference request, whatever its protocol: measured while the request runs,
//! then counted, logged and traced once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::access_log::Record;
use super::metrics::{
    Counted, Metrics, ModelMetrics, PartsSent, Phases, RequestOutcome, StreamMetrics,
};
use super::traces::{Span, SpanInfo, Trace};
use super::truncate::truncate;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;

/// Who asks for what; all but `received` become labels or members of the log line.
pub struct RequestInfo<'a> {
    /// `rest`, `grpc`, `openai`...
    pub protocol: &'static str,
    /// `infer`, `stream`, `embedding`...
    pub operation: &'static str,
    /// The `x-request-id` of the answer.
    pub request_id: Cow<'a, str>,
    /// The model as asked for; names that are not configured are counted under `_unknown`.
    pub model: Cow<'a, ModelRef>,
    /// When the request's header had been read.
    pub received: Instant,
}

/// One request from its header to the end of its answer. It is in flight until it is finished by
/// [`succeeded`](Self::succeeded), [`ended`](Self::ended) or [`failed`](Self::failed). A record
/// that is dropped before that is one of a caller that left, as nobody polls a handler whose caller
/// has left; where a panic drops it, the request failed.
///
/// A record is finished **before** the last bytes of the answer are sent, so that whoever has read
/// the answer finds the request in the metrics: finishing gives a [`Settled`], which the code that
/// sends the last bytes asks for.
///
/// A handler that outlives its function, such as a stream's body, owns a `RequestRecord<'static>`
/// (made with [`Cow::Owned`]) and is counted once, at its end.
pub struct RequestRecord<'a> {
    /// Where the time goes; to be filled while the request runs.
    pub phases: Phases,
    info: RequestInfo<'a>,
    metrics: Arc<Metrics>,
    /// The model that was asked for.
    named: Arc<ModelMetrics>,
    /// The model and version that ran.
    model_metrics: Option<Arc<ModelMetrics>>,
    finished: bool,
    kind: Kind,
    /// Its span, where the request is traced.
    span: Option<Span>,
}

/// Proof that a request is finished: its counters, its line in the log and its span are written,
/// and it is in flight no longer. The last bytes of an answer are sent after this is there.
#[derive(Debug)]
#[must_use = "what sends the last bytes of the answer needs it"]
pub struct Settled(());

/// The handles that are held until the record is finished.
enum Kind {
    Unary {
        _in_flight: Counted,
    },
    Stream {
        metrics: StreamMetrics,
        parts: PartsSent,
    },
}

impl<'a> RequestRecord<'a> {
    /// A request with one answer has come in.
    pub fn begin(metrics: &Arc<Metrics>, info: RequestInfo<'a>) -> Self {
        let model = metrics.model(&info.model.name, info.model.version.as_deref());
        let kind = Kind::Unary {
            _in_flight: model.enter(),
        };
        Self::new(metrics, model, info, kind)
    }

    /// A stream has come in. Its requests are in flight, not the stream itself: it may be idle.
    pub fn begin_stream(metrics: &Arc<Metrics>, info: RequestInfo<'a>) -> Self {
        let model = metrics.model(&info.model.name, info.model.version.as_deref());
        let kind = Kind::Stream {
            metrics: model.stream(info.protocol),
            parts: PartsSent::default(),
        };
        Self::new(metrics, model, info, kind)
    }

    fn new(
        metrics: &Arc<Metrics>,
        named: Arc<ModelMetrics>,
        info: RequestInfo<'a>,
        kind: Kind,
    ) -> Self {
        Self {
            phases: Phases::default(),
            info,
            metrics: Arc::clone(metrics),
            named,
            model_metrics: None,
            finished: false,
            kind,
            span: Trace::current().map(|trace| trace.begin()),
        }
    }

    /// Who asks for what.
    pub fn info(&self) -> &RequestInfo<'a> {
        &self.info
    }

    /// Sets the model of a request that names it in its body.
    pub fn set_model(&mut self, model: ModelRef) {
        self.named = self.metrics.model(&model.name, model.version.as_deref());
        if let Kind::Unary { .. } = self.kind {
            self.kind = Kind::Unary {
                _in_flight: self.named.enter(),
            };
        }
        self.info.model = Cow::Owned(model);
    }

    /// Sets the version that ran, under which the request is counted. Does nothing where it is set.
    pub fn set_version(&mut self, version: &str) {
        if self.model_metrics.is_some() {
            return;
        }
        let name = self.info.model.name.as_str();
        // Mostly the version that was meant, whose handles are at hand.
        let is_named = self.named.version() == version && self.named.name() == name;
        self.model_metrics = Some(match is_named {
            true => Arc::clone(&self.named),
            false => self.metrics.model(name, Some(version)),
        });
    }

    /// Counts tokens read of the request's texts.
    pub fn read_tokens(&self, tokens: usize) {
        let metrics = self.model_metrics.as_ref().unwrap_or(&self.named);
        metrics.read_tokens(tokens);
    }

    /// One part of a stream's answer is about to be sent.
    pub fn part(&mut self) {
        self.parts(1);
    }

    /// Parts of a stream's answer are about to be sent together. They are counted before they are
    /// sent, as all else that a caller may look up.
    pub fn parts(&mut self, count: usize) {
        let Kind::Stream { metrics, parts } = &mut self.kind else {
            return;
        };
        if count == 0 {
            return;
        }
        let count = count as u64;
        metrics.sent(count);
        parts.count += count;
        if parts.first.is_none() {
            let after = self.info.received.elapsed();
            metrics.first_part(after);
            parts.first = Some(after);
        }
    }

    /// The request has its whole answer: the bytes of its body and of the answer's.
    pub fn succeeded(self, request_bytes: usize, response_bytes: usize) -> Settled {
        self.finish("ok", 200, Some((request_bytes, response_bytes)), None)
    }

    /// A stream has all of its parts.
    pub fn ended(self) -> Settled {
        self.finish("ok", 200, None, None)
    }

    /// The request was refused, or failed before or after its first byte.
    pub fn failed(self, fault: &Fault) -> Settled {
        let error = Some((fault.code, fault.message.as_str()));
        self.finish(fault.kind.outcome(), fault.kind.http_status(), None, error)
    }

    fn finish(
        mut self,
        outcome: &'static str,
        code: u16,
        body_bytes: Option<(usize, usize)>,
        error: Option<(&'static str, &str)>,
    ) -> Settled {
        self.write(outcome, code, body_bytes, error);
        // The gauges of what is in flight are part of it.
        drop(self);
        Settled(())
    }

    fn write(
        &mut self,
        outcome: &'static str,
        code: u16,
        body_bytes: Option<(usize, usize)>,
        error: Option<(&'static str, &str)>,
    ) {
        self.finished = true;
        let RequestInfo {
            protocol,
            operation,
            request_id,
            model,
            received,
        } = &self.info;
        let asked = model.version.as_deref();
        let metrics = match &self.model_metrics {
            Some(ran) => ran,
            None => &self.named,
        };
        let parts = match &self.kind {
            Kind::Unary { .. } => None,
            Kind::Stream { parts, .. } => Some(*parts),
        };
        let finished = RequestOutcome {
            protocol,
            operation,
            outcome,
            code,
            duration: received.elapsed(),
            phases: self.phases,
            body_bytes,
            parts,
        };
        metrics.finished(&finished);
        if let (Kind::Stream { metrics, .. }, "cancelled") = (&self.kind, outcome) {
            metrics.cancelled();
        }
        let ran = self.model_metrics.as_ref().map(|ran| ran.version());
        let version = truncate(ran.or(asked).unwrap_or_default());
        let trace_id = self.span.as_ref().map(Span::trace_id);
        Record {
            request_id,
            model: &truncate(&model.name),
            version: &version,
            finished: &finished,
            trace_id: trace_id.as_deref(),
            error,
        }
        .log();
        if let Some(span) = self.span.take() {
            let info = SpanInfo {
                request_id,
                // Callers cannot create names of spans.
                model: metrics.name(),
                version: &version,
                error,
            };
            span.end(&finished, &info);
        }
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // A panicking request is answered and counted as an internal error.
            let kind = if std::thread::panicking() {
                FaultKind::Internal
            } else {
                FaultKind::Cancelled
            };
            self.write(kind.outcome(), kind.http_status(), None, None);
        }
    }
}

#[cfg(test)]
mod tests;
