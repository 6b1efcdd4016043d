//! The driver of unary requests of all protocols.
//!
//! REST, OpenAI's interface, KServe's first protocol, gRPC, and each request of a stream use it. A
//! protocol names the model, decodes a body and encodes an answer; everything else is here.

use std::borrow::Cow;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use serin_core::fault::Fault;
use serin_core::types::{CallMeta, ModelRef, Standing};
use serin_wire::deadline;
use tokio::time::timeout_at;

use super::state::ServerState;
use crate::access::Admission;
use crate::context::RequestContext;
use crate::envelope::Envelope;
use crate::pipeline::{Infer, Served, WhenBusy};
use crate::routing::Route;
use crate::runtime::Resources;
use crate::runtime::memory_budget::Reservation;
use crate::tasks::{Task, TaskRun, Usage};

/// A body or message without its content coding, and its memory reservation.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) reservation: Reservation,
}

/// A received request of which only the header block has been read.
pub(super) struct Arrival<'a, R> {
    pub(super) context: &'a RequestContext,
    pub(super) headers: &'a HeaderMap,
    /// The start of its time; for a request of a stream later than the start of the stream.
    pub(super) begun: Instant,
    /// The caller's deadline.
    pub(super) deadline: Result<Instant, Fault>,
    pub(super) when_busy: WhenBusy,
    /// Reads the body. Pinned by the caller, so that it is moved nowhere.
    pub(super) read: R,
}

/// A decoded body.
pub(super) struct Decoded<T, A> {
    pub(super) task: T,
    /// The requested form of the answer.
    pub(super) requested: A,
    /// The id in the body, if it has one.
    pub(super) id: Option<String>,
    /// The timeout in the body, if it has one.
    pub(super) timeout: Option<Duration>,
    /// Its priority among its caller's requests; 1 is the highest, 0 the default.
    pub(super) priority: u64,
    /// Its memory reservation.
    pub(super) reservation: Reservation,
}

/// The resources of decoding.
pub(super) struct Reader<'a> {
    pub(super) resources: &'a Resources,
    pub(super) deadline: Instant,
    /// The body's reservation; it grows before more memory is allocated.
    pub(super) reservation: Reservation,
}

/// The resources of encoding.
pub(super) struct Writer<'a> {
    pub(super) resources: &'a Resources,
    /// The request's reservation. It is made the answer's: of what there is of it and of what it
    /// becomes, before that is allocated.
    pub(super) reservation: Reservation,
}

/// An answer, or a part of one, and its memory until it is sent.
pub(super) struct Held<T> {
    pub(super) content: T,
    pub(super) reservation: Reservation,
}

/// One protocol, or one operation of it.
pub(super) trait UnaryProtocol: Send + Sync {
    type Task: Task;
    type Requested: Send;
    type Answer: Send;

    /// The requested model: from the path, or by a scan of the undecoded body.
    fn model(
        &self,
        body: &Bytes,
        resources: &Resources,
    ) -> impl Future<Output = Result<Cow<'_, ModelRef>, Fault>> + Send;

    /// Decodes the body for the chosen model.
    fn decode<M: Served>(
        &self,
        envelope: Envelope<'_>,
        model: &M,
        reader: Reader<'_>,
    ) -> impl Future<Output = Result<Decoded<Self::Task, Self::Requested>, Fault>> + Send;

    /// Encodes the output; `id` is the id of the body, or else the id in the logs.
    fn encode(
        &self,
        output: <Self::Task as Task>::Output,
        requested: Self::Requested,
        id: String,
        writer: Writer<'_>,
    ) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// Receives the progress of a request.
pub(super) trait Progress: Send {
    /// The body was read.
    fn received(&mut self, bytes: usize);
    /// The requested model is known.
    fn named(&mut self, model: &ModelRef);
    /// The body was decoded.
    fn decoded(&mut self, took: Duration);
    /// This version of the model ran.
    fn ran(&mut self, version: &str, usage: Usage);
    /// The answer was encoded.
    fn encoded(&mut self, took: Duration);
}

/// Answers one request.
///
/// # Errors
/// The fault that ended it, of any step.
pub(super) async fn drive<P: UnaryProtocol, S: Infer, R>(
    state: &ServerState<S>,
    protocol: &P,
    arrival: Arrival<'_, R>,
    progress: &mut impl Progress,
) -> Result<P::Answer, Fault>
where
    R: Future<Output = Result<Received, Fault>> + Send + Unpin,
{
    let Arrival {
        context,
        headers,
        begun,
        deadline,
        when_busy,
        read,
    } = arrival;
    let resources = &state.resources;
    let latest = begun + resources.limits.request_timeout;

    // Read.
    let reading = in_time(*deadline.as_ref().unwrap_or(&latest), read);
    let Received {
        bytes: body,
        reservation,
    } = reading.await?;
    let deadline = deadline?;
    progress.received(body.len());
    let model = in_time(deadline, pin!(protocol.model(&body, resources))).await?;
    progress.named(&model);

    // Admit and choose, by the undecoded request.
    let envelope = Envelope {
        context,
        headers,
        model: &model,
        body: &body,
    };
    let Admission { preferred } = state.access.admit(&envelope)?;
    let Route::Local(target) = state.router.choose(&envelope)?;
    let serving = state.service.model(&target)?;

    // Decode, by the model that was chosen.
    let started = Instant::now();
    let reader = Reader {
        resources,
        deadline,
        reservation,
    };
    let mut decoded = in_time(deadline, pin!(protocol.decode(envelope, &*serving, reader))).await?;
    decoded.reservation.grow_by(decoded.task.copies())?;
    progress.decoded(started.elapsed());
    drop(body);

    // Run.
    let id = decoded.id.unwrap_or_else(|| context.id().to_owned());
    let own_deadline = decoded.timeout.and_then(|own| begun.checked_add(own));
    let meta = CallMeta {
        deadline: own_deadline.map_or(deadline, |own| own.min(deadline)),
        priority: decoded.priority,
        standing: Standing {
            caller: context.caller,
            preferred,
        },
    };
    let mut usage = Usage::default();
    let run = TaskRun {
        service: &*state.service,
        model: &serving,
        meta,
        when_busy,
        cpu_pool: &resources.cpu_pool,
        usage: &mut usage,
    };
    let output = state
        .lifecycle
        .until_cut_off(pin!(decoded.task.run(run)))
        .await?;
    progress.ran(&serving.description().version, usage);

    // Encode.
    let started = Instant::now();
    let writer = Writer {
        resources,
        reservation: decoded.reservation,
    };
    let answer = protocol
        .encode(output, decoded.requested, id, writer)
        .await?;
    progress.encoded(started.elapsed());
    Ok(answer)
}

/// The result of `work`, if it is there before the deadline. `work` is pinned by the caller: futures
/// are large, and each one that is passed by value is copied.
///
/// # Errors
/// Those of `work`, and `Timeout`.
async fn in_time<T>(
    deadline: Instant,
    mut work: impl Future<Output = Result<T, Fault>> + Unpin,
) -> Result<T, Fault> {
    // Most work completes at once and needs no timer.
    if let Some(done) = (&mut work).now_or_never() {
        return done;
    }
    let done = timeout_at(deadline.into(), work).await;
    done.unwrap_or_else(|_| Err(deadline::passed()))
}
