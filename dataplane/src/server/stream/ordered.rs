//! One stream of requests: several run at once, are answered in their order, and no faster than the
//! caller reads.
//!
//! The loop is the same over every protocol; a [`StreamTransport`] reads requests and sends answers.
//! Memory does not grow with the length of a stream.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::time::sleep_until;

use crate::runtime::lifecycle::Lifecycle;
use serin_core::fault::{Fault, FaultKind};

/// Requests of one stream that are served at once: enough for them to share runs of the model.
const IN_FLIGHT: usize = 32;

/// Bytes that are read ahead of the requests in flight, so that a disconnected caller is detected
/// although no further request is started.
const READ_AHEAD: usize = 64 << 10;

/// Approximate memory of a request that is read ahead, besides its own bytes.
const OVERHEAD: usize = 128;

/// During a drain, a stream without input for this long ends.
const QUIET: Duration = Duration::from_secs(1);

/// What the loop can take from its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Demand {
    /// There is room for another request.
    pub(in crate::server) requests: bool,
    /// Requests are being served: the caller may be waiting for them instead of sending more.
    pub(in crate::server) busy: bool,
}

/// Input from the peer.
#[derive(Debug)]
pub(in crate::server) enum Incoming<R> {
    /// A request, and how many bytes it holds.
    Request(R, usize),
    /// There are no more requests.
    End,
    /// Nothing after this can be read; earlier requests are answered first.
    Failed(Fault),
    /// The caller has left.
    Left,
}

/// The caller has left, or reads nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Disconnected;

/// The other end of a stream.
pub(in crate::server) trait StreamTransport: Send {
    /// The requests.
    type Request: Send;
    /// The answers.
    type Answer: Send;

    /// Waits for input from the caller; only for its disconnection where no request is wanted. No
    /// input is lost when the future is dropped.
    fn next(&mut self, wants: Demand) -> impl Future<Output = Incoming<Self::Request>> + Send;

    /// Sends answers, as soon as the caller takes them.
    fn send(
        &mut self,
        answers: Vec<Self::Answer>,
    ) -> impl Future<Output = Result<(), Disconnected>> + Send;
}

/// How a stream ended.
#[derive(Debug)]
pub(in crate::server) enum Ended {
    /// Every request was answered.
    Whole,
    /// Every request that could be read was answered, or the process stops; the fault is still to
    /// be sent.
    Failed(Fault),
    /// The caller disconnected; requests in flight are cancelled.
    Left,
}

/// Serves a stream to its end. `answer` serves one request; dropping its future cancels it. At
/// most `most_bytes` of requests are in flight, but for one that is larger.
pub(in crate::server) async fn serve<P, F>(
    peer: &mut P,
    lifecycle: &Lifecycle,
    most_bytes: usize,
    mut answer: impl FnMut(P::Request) -> F,
) -> Ended
where
    P: StreamTransport,
    F: Future<Output = P::Answer> + Send,
{
    let mut queue = Queue::new();
    let mut in_flight = FuturesOrdered::new();
    let mut bytes = 0;
    let mut end: Option<Result<(), Fault>> = None;
    let mut finishing = pin!(lifecycle.finishing());
    let mut cut = None;
    let mut last = Instant::now();
    loop {
        while let Some((request, weight)) =
            queue.pop(in_flight.len(), most_bytes.saturating_sub(bytes))
        {
            bytes += weight;
            in_flight.push_back(answer(request).map(move |answer| (answer, weight)));
        }
        if in_flight.is_empty()
            && let Some(end) = end
        {
            return end.map_or_else(Ended::Failed, |()| Ended::Whole);
        }
        let wants = Demand {
            requests: end.is_none() && queue.has_room(),
            busy: !in_flight.is_empty(),
        };
        let until = cut.map(|cut| stop_at(cut, last, wants.busy));
        tokio::select! {
            biased;
            Some((first, weight)) = in_flight.next(), if wants.busy => {
                let mut ready = vec![(first, weight)];
                // Those that shared its run are ready too.
                while let Some(Some(next)) = in_flight.next().now_or_never() {
                    ready.push(next);
                }
                while !ready.is_empty() {
                    let (answers, weights): (Vec<_>, Vec<_>) = ready.drain(..).unzip();
                    bytes -= weights.into_iter().sum::<usize>();
                    let mut sending = pin!(peer.send(answers));
                    // Meanwhile the others go on: what a model has answered is not left uncounted
                    // because the caller does not read.
                    let sent = loop {
                        tokio::select! {
                            biased;
                            sent = &mut sending => break sent,
                            Some(next) = in_flight.next(), if !in_flight.is_empty() => {
                                ready.push(next);
                            }
                        }
                    };
                    if sent.is_err() {
                        return Ended::Left;
                    }
                }
                last = Instant::now();
            }
            incoming = peer.next(wants) => {
                last = Instant::now();
                let mut incoming = Some(incoming);
                while let Some(next) = incoming {
                    match next {
                        Incoming::Request(request, weight) => queue.push(request, weight),
                        Incoming::End => end = Some(Ok(())),
                        Incoming::Failed(fault) => end = Some(Err(fault)),
                        Incoming::Left => return Ended::Left,
                    }
                    let wanted = end.is_none() && queue.has_room();
                    // More has often come with it, and is to share its run.
                    incoming = wanted.then(|| peer.next(wants).now_or_never()).flatten();
                }
            }
            at = &mut finishing, if cut.is_none() => cut = Some(at),
            () = sleep_until(until.unwrap_or(last).into()), if until.is_some() => {
                return Ended::Failed(stopping());
            }
        }
    }
}

/// When a stream ends although its caller goes on, once the process stops.
fn stop_at(cut: Instant, last: Instant, busy: bool) -> Instant {
    if busy { cut } else { cut.min(last + QUIET) }
}

fn stopping() -> Fault {
    Fault::new(
        FaultKind::NotReady,
        "model_not_ready",
        "the server is stopping; send the rest to another one",
    )
}

/// Requests that are read and not yet taken up.
struct Queue<R> {
    requests: VecDeque<(R, usize)>,
    bytes: usize,
}

impl<R> Queue<R> {
    fn new() -> Self {
        Self {
            requests: VecDeque::new(),
            bytes: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.bytes < READ_AHEAD
    }

    fn push(&mut self, request: R, weight: usize) {
        self.bytes += weight + OVERHEAD;
        self.requests.push_back((request, weight));
    }

    /// The next request, if it may join `in_flight` others that leave `room` bytes.
    fn pop(&mut self, in_flight: usize, room: usize) -> Option<(R, usize)> {
        let (_, weight) = self.requests.front()?;
        if in_flight >= IN_FLIGHT || (in_flight > 0 && *weight > room) {
            return None;
        }
        let (request, weight) = self.requests.pop_front()?;
        self.bytes -= weight + OVERHEAD;
        Some((request, weight))
    }
}

#[cfg(test)]
mod tests;
