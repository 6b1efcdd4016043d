//! The way of one request, whatever its protocol.
//!
//! REST, OpenAI's interface, KServe's first protocol, gRPC, and each request of a stream take it. A
//! protocol says which model is meant, reads a body and writes an answer; everything else is here.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use serin_core::fault::Fault;
use serin_core::types::{CallMeta, ModelRef};
use serin_wire::deadline;
use tokio::time::timeout_at;

use super::state::ServerState;
use crate::context::RequestContext;
use crate::envelope::Envelope;
use crate::pipeline::{Infer, Served, WhenBusy};
use crate::routing::Route;
use crate::runtime::Resources;
use crate::runtime::memory_budget::Reservation;
use crate::tasks::{Task, TaskRun, Usage};

/// A body or message without its content coding, and its share of the memory for requests.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) reservation: Reservation,
}

/// A request that has come, and of which nothing but the header block has been read.
pub(super) struct Arrival<'a, R> {
    pub(super) context: &'a RequestContext,
    pub(super) headers: &'a HeaderMap,
    /// When its time began: within a stream later than the stream's own.
    pub(super) begun: Instant,
    /// When its caller stops to wait.
    pub(super) deadline: Result<Instant, Fault>,
    pub(super) when_busy: WhenBusy,
    /// Reads the body.
    pub(super) read: R,
}

/// What a protocol made of a body.
pub(super) struct Decoded<T, A> {
    pub(super) task: T,
    /// How the answer is to be written.
    pub(super) asked: A,
    /// The request's own id, where its body has one.
    pub(super) id: Option<String>,
    /// How long its caller waits, where its body says so.
    pub(super) timeout: Option<Duration>,
    /// Its place among others that wait; 1 is first, 0 the default.
    pub(super) priority: u64,
    /// Bytes that it holds besides the body's.
    pub(super) overhead: usize,
}

/// How answers are written.
pub(super) struct Reader<'a> {
    pub(super) resources: &'a Resources,
    pub(super) deadline: Instant,
}

/// One protocol, or one operation of it.
pub(super) trait UnaryProtocol: Send + Sync {
    type Task: Task;
    type Asked: Send;
    type Answer: Send;

    /// The model that is meant: from the path, or by a look at the body that does not decode it.
    fn model(&self, body: &Bytes, resources: &Resources) -> Result<ModelRef, Fault>;

    /// Reads the body by the model that was chosen.
    fn decode<M: Served>(
        &self,
        envelope: Envelope<'_>,
        model: &M,
        reader: Reader<'_>,
    ) -> impl Future<Output = Result<Decoded<Self::Task, Self::Asked>, Fault>> + Send;

    /// Writes what came of it; `id` is the request's own, or the one that it goes by in logs.
    fn encode(
        &self,
        output: <Self::Task as Task>::Output,
        asked: Self::Asked,
        id: String,
        resources: &Resources,
    ) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// What is noted of a request on its way.
pub(super) trait Progress: Send {
    /// The body was read.
    fn received(&mut self, bytes: usize);
    /// The model that is meant.
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
/// The one fault that ends it, at whichever step.
pub(super) async fn drive<P: UnaryProtocol, S: Infer, R>(
    state: &ServerState<S>,
    protocol: &P,
    arrival: Arrival<'_, R>,
    progress: &mut impl Progress,
) -> Result<P::Answer, Fault>
where
    R: Future<Output = Result<Received, Fault>> + Send,
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
        mut reservation,
    } = reading.await?;
    let deadline = deadline?;
    progress.received(body.len());
    let model = protocol.model(&body, resources)?;
    progress.named(&model);

    // Admit and choose, by the undecoded request.
    let envelope = Envelope {
        context,
        headers,
        model: &model,
        body: &body,
    };
    state.access.admit(&envelope)?;
    let Route::Local(target) = state.router.choose(&envelope)?;
    let serving = state.service.model(&target)?;

    // Decode, by the model that was chosen.
    let started = Instant::now();
    let reader = Reader {
        resources,
        deadline,
    };
    let decoding = in_time(deadline, protocol.decode(envelope, &*serving, reader));
    let decoded = decoding.await?;
    progress.decoded(started.elapsed());
    reservation.grow(body.len() + decoded.overhead)?;
    drop(body);

    // Run.
    let id = decoded.id.unwrap_or_else(|| context.id().to_owned());
    let own_deadline = decoded.timeout.and_then(|own| begun.checked_add(own));
    let meta = CallMeta {
        deadline: own_deadline.map_or(deadline, |own| own.min(deadline)),
        priority: decoded.priority,
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
    let output = state.lifecycle.until_cut_off(decoded.task.run(run)).await?;
    drop(reservation);
    progress.ran(&serving.description().version, usage);

    // Encode.
    let started = Instant::now();
    let answer = protocol
        .encode(output, decoded.asked, id, resources)
        .await?;
    progress.encoded(started.elapsed());
    Ok(answer)
}

/// What `work` comes to before the caller stops to wait.
///
/// # Errors
/// Those of `work`, and `Timeout`.
async fn in_time<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let mut work = pin!(work);
    // Mostly it is done at once, and nobody need look at the clock.
    if let Some(done) = work.as_mut().now_or_never() {
        return done;
    }
    let done = timeout_at(deadline.into(), work).await;
    done.unwrap_or_else(|_| Err(deadline::passed()))
}
