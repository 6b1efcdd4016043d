//! Traces of requests, sent to an OpenTelemetry collector (OTLP over HTTP).
//!
//! A request that is traced has an ambient [`Trace`] while its handler runs: whatever begins a
//! [`RequestRecord`](super::RequestRecord) then is a span, without any code in the handler. Without
//! a collector there is no trace, and nothing of this costs anything.

mod context;
mod export;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod otlp;
mod sampling;
mod settings;
mod span;
mod switch;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc::{self, error::TrySendError};

use self::context::Context;
pub use self::export::Exporter;
pub use self::handle::TracerHandle;
pub use self::sampling::Sampled;
use self::sampling::Sampling;
pub use self::settings::{Process, Settings, SettingsError};
use self::span::Done;
pub use self::switch::{Environment, TraceSwitch};
use super::metrics::{Metrics, RequestOutcome};
use super::truncate::truncate;

/// Where callers name the trace that a request is part of (W3C Trace Context), and where its answer
/// names our span.
pub const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// Traced requests that wait to be sent; more are dropped and counted.
const QUEUE: usize = 2048;

/// Decides which requests are traced, and hands them over to be sent. Cheap to clone.
#[derive(Clone)]
pub struct Tracer(Arc<Shared>);

struct Shared {
    sampling: Sampling,
    queue: mpsc::Sender<Done>,
    metrics: Arc<Metrics>,
}

/// One request of a caller, which may become a span.
#[derive(Clone)]
pub struct Trace(Arc<TraceContext>);

struct TraceContext {
    tracer: Tracer,
    /// The caller's span, if the caller takes part in a trace.
    caller: Option<Context>,
    method: String,
    path: String,
    /// The span that was begun for it.
    begun: OnceLock<Context>,
}

tokio::task_local! {
    static CURRENT: Trace;
}

impl Tracer {
    fn new(settings: &Settings, queue: mpsc::Sender<Done>, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Shared {
            sampling: Sampling::of_percent(settings.sample_percent),
            queue,
            metrics,
        }))
    }

    /// A request has come, which may be part of its caller's trace.
    pub fn begin(&self, method: &str, path: &str, headers: &HeaderMap) -> Trace {
        let values = |name| {
            let values = headers.get_all(name).into_iter();
            values.map(HeaderValue::as_bytes)
        };
        Trace(Arc::new(TraceContext {
            tracer: self.clone(),
            caller: Context::read(values(TRACE_PARENT), values(TRACE_STATE)),
            method: truncate(method).into_owned(),
            path: truncate(path).into_owned(),
            begun: OnceLock::new(),
        }))
    }

    /// Which requests are traced now.
    pub fn sampled(&self) -> Sampled {
        self.0.sampling.now()
    }

    /// Which requests were traced at the start.
    pub fn sampled_at_start(&self) -> Sampled {
        self.0.sampling.start()
    }

    /// Changes which requests are traced, from the next one on.
    pub fn sample(&self, sampled: Sampled) {
        self.0.sampling.set(sampled);
    }

    fn hand_over(&self, done: Done) {
        let reason = match self.0.queue.try_send(done) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => "queue_full",
            // The request took longer than an exporter that was replaced waits.
            Err(TrySendError::Closed(_)) => "exporter_ended",
        };
        self.0.metrics.traces_dropped(reason, 1);
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

impl Trace {
    /// The trace of the request that this task answers, if there is one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `answer` with this as the current trace.
    pub async fn scope<F: Future>(self, answer: F) -> F::Output {
        CURRENT.scope(self, answer).await
    }

    /// Runs `work` in this task's trace wherever it is run: a spawned task has none by itself.
    pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
        let trace = Self::current();
        async move {
            match trace {
                Some(trace) => trace.scope(work).await,
                None => work.await,
            }
        }
    }

    /// The `traceparent` of its span, for the answer; none where nothing of it is a span.
    pub fn header(&self) -> Option<String> {
        self.0.begun.get().map(Context::header)
    }

    /// Begins a span: a part of the caller's trace, else a trace of its own.
    pub(super) fn begin(&self) -> Span {
        let mut context = match &self.0.caller {
            Some(caller) => caller.child(fastrand::u64(..)),
            None => {
                let trace_id =
                    (u128::from(fastrand::u64(..)) << 64) | u128::from(fastrand::u64(..));
                let sampled = self.0.tracer.0.sampling.takes(trace_id);
                Context::root(trace_id, fastrand::u64(..), sampled)
            }
        };
        context.sampled &= self.0.tracer.0.sampling.is_on();
        // A second span of one request is not announced; it is of the same caller.
        let _ = self.0.begun.set(context.clone());
        Span {
            trace: self.clone(),
            context,
        }
    }
}

/// A span that runs.
pub(super) struct Span {
    trace: Trace,
    context: Context,
}

/// What a span says besides its figures.
pub(super) struct SpanInfo<'a> {
    pub(super) request_id: &'a str,
    pub(super) model: &'a str,
    pub(super) version: &'a str,
    pub(super) error: Option<(&'static str, &'a str)>,
}

impl Span {
    /// The trace's id in hexadecimal.
    pub(super) fn trace_id(&self) -> String {
        self.context.trace_id_text()
    }

    /// The request is over; it is sent if it is sampled.
    pub(super) fn end(self, finished: &RequestOutcome, info: &SpanInfo<'_>) {
        if !self.context.sampled {
            return;
        }
        let request = &self.trace.0;
        request.tracer.hand_over(Done {
            ended: SystemTime::now(),
            parent: request.caller.as_ref().map(|caller| caller.span_id),
            method: request.method.clone(),
            path: request.path.clone(),
            finished: *finished,
            request_id: info.request_id.to_owned(),
            model: info.model.to_owned(),
            version: info.version.to_owned(),
            error: info.error.map(|(code, message)| (code, message.to_owned())),
            context: self.context,
        });
    }
}
