//! The story of one inference request, whatever its protocol: measured while it runs, then counted
//! and logged once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::access_log::Record;
use super::metrics::{Counted, Metrics, ModelMetrics, Phases, RequestOutcome, StreamMetrics};
use super::traces::{Span, Told, Trace};
use super::truncate::truncate;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;

/// Who asks what; all but `received` become labels or members of the log line.
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

/// One request from its header to the end of its answer. It is in flight until it is told:
/// answered, failed or, if it is dropped before that, cancelled, as nobody polls a handler whose
/// caller has left.
///
/// A handler that outlives its function, such as a stream's body, owns a `RequestRecord<'static>` (made
/// with [`Cow::Owned`]) and is counted once, at its end.
pub struct RequestRecord<'a> {
    /// Where the time goes; to be filled while the request runs.
    pub phases: Phases,
    about: RequestInfo<'a>,
    metrics: Arc<Metrics>,
    /// The model that ran.
    ran: Option<Arc<ModelMetrics>>,
    told: bool,
    open: Open,
    /// Its span, where the exchange that it is part of is traced.
    span: Option<Span>,
}

/// What lasts as long as a story.
enum Open {
    Request { _in_flight: Counted },
    Stream(StreamMetrics),
}

impl<'a> RequestRecord<'a> {
    /// A request has come in.
    pub fn begin(metrics: &Arc<Metrics>, about: RequestInfo<'a>) -> Self {
        let model = metrics.model(&about.model.name, about.model.version.as_deref());
        let open = Open::Request {
            _in_flight: model.enter(),
        };
        Self::of(metrics, about, open)
    }

    /// A stream has come in. Its requests are in flight, not it itself: it may be idle.
    pub fn begin_stream(metrics: &Arc<Metrics>, about: RequestInfo<'a>) -> Self {
        let model = metrics.model(&about.model.name, about.model.version.as_deref());
        let open = Open::Stream(model.stream(about.protocol));
        Self::of(metrics, about, open)
    }

    fn of(metrics: &Arc<Metrics>, about: RequestInfo<'a>, open: Open) -> Self {
        Self {
            phases: Phases::default(),
            about,
            metrics: Arc::clone(metrics),
            ran: None,
            told: false,
            open,
            span: Trace::current().map(|trace| trace.begin()),
        }
    }

    /// What it is about.
    pub fn about(&self) -> &RequestInfo<'a> {
        &self.about
    }

    /// Which model it is about, of a request that names it in its body.
    pub fn names(&mut self, model: ModelRef) {
        if let Open::Request { .. } = self.open {
            let metrics = self.metrics.model(&model.name, model.version.as_deref());
            self.open = Open::Request {
                _in_flight: metrics.enter(),
            };
        }
        self.about.model = Cow::Owned(model);
    }

    /// Tokens were read of the texts of a request.
    pub fn read_tokens(&self, tokens: usize) {
        let model = &self.about.model;
        let asked = || self.metrics.model(&model.name, model.version.as_deref());
        self.ran.clone().unwrap_or_else(asked).read_tokens(tokens);
    }

    /// Which version of the model ran: it is counted under this one from here on.
    pub fn ran(&mut self, version: &str) {
        let ran = self.metrics.model(&self.about.model.name, Some(version));
        self.ran = Some(ran);
    }

    /// Answers were sent on a stream.
    pub fn sent(&self, answers: usize) {
        if let Open::Stream(stream) = &self.open {
            stream.sent(answers);
        }
    }

    /// A stream came to its end.
    pub fn ended(mut self) {
        self.tell("ok", 200, None, None);
    }

    /// It was answered; bytes of the request's body and of the answer's.
    pub fn answered(mut self, request_bytes: usize, response_bytes: usize) {
        self.tell("ok", 200, Some((request_bytes, response_bytes)), None);
    }

    /// It was refused, or failed before or after its first byte.
    pub fn failed(mut self, fault: &Fault) {
        let error = Some((fault.code, fault.message.as_str()));
        self.tell(fault.kind.outcome(), fault.kind.http_status(), None, error);
    }

    fn tell(
        &mut self,
        outcome: &'static str,
        code: u16,
        body_bytes: Option<(usize, usize)>,
        error: Option<(&'static str, &str)>,
    ) {
        self.told = true;
        let RequestInfo {
            protocol,
            operation,
            request_id,
            model,
            received,
        } = &self.about;
        let asked = model.version.as_deref();
        let metrics = match &self.ran {
            Some(ran) => Arc::clone(ran),
            None => self.metrics.model(&model.name, asked),
        };
        let finished = RequestOutcome {
            protocol,
            operation,
            outcome,
            code,
            duration: received.elapsed(),
            phases: self.phases,
            body_bytes,
        };
        metrics.finished(&finished);
        if let (Open::Stream(stream), "cancelled") = (&self.open, outcome) {
            stream.cancelled();
        }
        let ran = self.ran.as_ref().map(|ran| ran.version());
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
            let told = Told {
                request_id,
                // Callers cannot create names of spans.
                model: metrics.name(),
                version: &version,
                error,
            };
            span.end(&finished, &told);
        }
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        if !self.told {
            // A panicking request is answered and counted as an internal error.
            let kind = if std::thread::panicking() {
                FaultKind::Internal
            } else {
                FaultKind::Cancelled
            };
            self.tell(kind.outcome(), kind.http_status(), None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Exposition;
    use super::*;

    fn metrics() -> Arc<Metrics> {
        let models = ["1", "2"].map(|version| ("iris".to_owned(), version.to_owned()));
        Arc::new(Metrics::new(models))
    }

    fn about(operation: &'static str) -> RequestInfo<'static> {
        RequestInfo {
            protocol: "rest",
            operation,
            request_id: "r-1".into(),
            model: Cow::Owned(ModelRef {
                name: "iris".to_owned(),
                version: Some("1".to_owned()),
            }),
            received: Instant::now(),
        }
    }

    fn page(metrics: &Arc<Metrics>) -> String {
        let (_, text) = Exposition::new(Arc::clone(metrics)).render(None);
        String::from_utf8(text.to_vec()).unwrap()
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_told() {
        let metrics = metrics();
        let series = "serin_requests_in_flight{model=\"iris\",version=\"1\"}";
        let story = RequestRecord::begin(&metrics, about("infer"));
        assert!(page(&metrics).contains(&format!("{series} 1\n")));
        story.answered(10, 20);
        assert!(page(&metrics).contains(&format!("{series} 0\n")));
    }

    #[test]
    fn an_answer_is_counted_once_under_the_version_that_ran_with_its_bytes() {
        let metrics = metrics();
        let mut story = RequestRecord::begin(&metrics, about("infer"));
        story.ran("2");
        story.answered(10, 20);
        let page = page(&metrics);
        let of = "protocol=\"rest\",operation=\"infer\",outcome=\"ok\",code=\"200\"";
        for (version, count) in [("1", 0), ("2", 1)] {
            let line = format!(
                "serin_requests_total{{model=\"iris\",version=\"{version}\",{of}}} {count}\n"
            );
            assert!(page.contains(&line), "{line} not in {page}");
        }
        assert!(page.contains(
            "serin_response_body_bytes_sum{model=\"iris\",version=\"2\",protocol=\"rest\"} 20"
        ));
    }

    #[test]
    fn a_model_named_late_is_counted_with_what_it_read() {
        let metrics = metrics();
        let unnamed = ModelRef {
            name: String::new(),
            version: None,
        };
        let named = RequestInfo {
            model: Cow::Owned(unnamed),
            ..about("embedding")
        };
        let mut story = RequestRecord::begin(&metrics, named);
        story.names(ModelRef {
            name: "iris".to_owned(),
            version: Some("2".to_owned()),
        });
        story.read_tokens(7);
        let of = "model=\"iris\",version=\"2\"";
        for line in [
            format!("serin_requests_in_flight{{{of}}} 1\n"),
            format!("serin_tokens_total{{{of},type=\"input\"}} 7\n"),
        ] {
            assert!(page(&metrics).contains(&line), "{}", page(&metrics));
        }
        story.answered(1, 1);
        assert!(page(&metrics).contains("operation=\"embedding\",outcome=\"ok\""));
    }

    #[test]
    fn a_story_that_nobody_ends_was_cancelled() {
        let metrics = metrics();
        drop(RequestRecord::begin(&metrics, about("stream")));
        let of = "operation=\"stream\",outcome=\"cancelled\",code=\"499\"} 1\n";
        assert!(page(&metrics).contains(of), "{}", page(&metrics));
    }

    #[test]
    fn a_stream_is_open_until_its_end_and_its_answers_are_counted() {
        let metrics = metrics();
        let series = |name: &str| {
            format!("serin_stream_{name}{{model=\"iris\",version=\"1\",protocol=\"rest\"}}")
        };
        assert!(page(&metrics).contains(&format!("{} 0\n", series("open"))));
        let story = RequestRecord::begin_stream(&metrics, about("stream"));
        story.sent(3);
        assert!(page(&metrics).contains(&format!("{} 1\n", series("open"))));
        assert!(
            page(&metrics).contains("serin_requests_in_flight{model=\"iris\",version=\"1\"} 0\n")
        );
        drop(story);
        let page = page(&metrics);
        for (name, value) in [("open", 0), ("events_total", 3), ("cancelled_total", 1)] {
            assert!(
                page.contains(&format!("{} {value}\n", series(name))),
                "{page}"
            );
        }
    }

    #[test]
    fn a_story_that_a_panic_ends_is_an_error_of_the_server() {
        let metrics = metrics();
        let story = RequestRecord::begin(&metrics, about("infer"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _story = story;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert!(page(&metrics).contains("outcome=\"error\",code=\"500\"} 1\n"));
    }

    #[test]
    fn a_fault_is_counted_by_its_outcome() {
        let metrics = metrics();
        let fault = Fault::new(FaultKind::NotFound, "model_not_found", "no such model");
        RequestRecord::begin(&metrics, about("infer")).failed(&fault);
        let of = "outcome=\"client_error\",code=\"404\"} 1\n";
        assert!(page(&metrics).contains(of), "{}", page(&metrics));
    }
}
