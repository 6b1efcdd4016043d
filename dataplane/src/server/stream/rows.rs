//! Requests in, answers out, over HTTP: full duplex, no faster than the caller reads.

use std::sync::Arc;

use axum::body::Body;
use futures_util::StreamExt;
use http::Response;
use tokio::time::Instant;

use super::begin::spawn;
use super::events::{Out, Style, channel};
use super::lines::Lines;
use super::options::Framing;
use super::ordered::{Demand, Disconnected, Ended, Incoming, StreamTransport, serve};
use super::parts::Answer;
use super::request::{Answered, StreamRequest, StreamRequests};
use crate::pipeline::Serve;
use crate::runtime::memory_budget::Reservation;
use crate::server::unary::Held;
use crate::telemetry::RequestRecord;

/// The answer. It begins at once: the fault of a request is the answer to that request.
pub(super) fn respond<S: Serve>(
    requests: Arc<StreamRequests<S>>,
    framing: Framing,
    record: RequestRecord<'static>,
    body: Body,
) -> Response<Body> {
    let state = Arc::clone(&requests.state);
    let limits = Arc::clone(&state.resources.limits);
    let style = Style {
        framing,
        context: Arc::clone(&requests.context),
        keep_alive: state.keep_alive(),
    };
    let (out, events) = channel(style, limits.stall_timeout);
    let mut caller = Caller {
        lines: Lines::new(body, &state.resources, requests.share()),
        out,
        framing,
        record,
        unwanted: None,
        requests: Arc::clone(&requests),
    };
    spawn(Arc::clone(&state.metrics), async move {
        let answer = |request| Arc::clone(&requests).answer(request);
        let ended = serve(&mut caller, &state.lifecycle, limits.body_bytes, answer).await;
        caller.end(ended).await;
    });
    events.respond()
}

/// Bytes of answers above which no further one is sent together with them.
const TOGETHER: usize = 64 << 10;

/// The other end of the stream.
struct Caller<S> {
    /// First, so that a panic is recorded before the caller sees the end of the stream.
    record: RequestRecord<'static>,
    lines: Lines,
    out: Out,
    framing: Framing,
    /// The time since which there was no room for a request.
    unwanted: Option<Instant>,
    requests: Arc<StreamRequests<S>>,
}

impl<S: Serve> Caller<S> {
    /// Settles the record, then ends the stream.
    async fn end(self, ended: Ended) {
        // The record itself notes a caller that has disconnected or reads nothing.
        let Ok(room) = self.out.room().await else {
            return;
        };
        match ended {
            Ended::Whole => room.end(self.record.ended()),
            Ended::Failed(fault) => {
                let settled = self.record.failed(&fault);
                room.refuse(fault, settled);
            }
            Ended::Left => {}
        }
    }

    /// Sends the text of this many parts, which are counted before the caller can have them.
    async fn hand_over(&mut self, text: &mut Text, count: usize) -> Result<(), Disconnected> {
        if text.data.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let room = self.out.room().await?;
        self.record.parts(count);
        let Text { data, held } = std::mem::take(text);
        room.data(data, held);
        self.lines.excuse(begun);
        Ok(())
    }
}

/// Answers that are sent together, and their memory.
#[derive(Default)]
struct Text {
    data: Vec<u8>,
    held: Vec<Reservation>,
}

impl Text {
    fn add(&mut self, framing: Framing, part: Held<Vec<u8>>) {
        framing.write(&mut self.data, &part.content);
        self.held.push(part.reservation);
    }
}

impl<S: Serve> StreamTransport for Caller<S> {
    type Request = StreamRequest;
    type Answer = Answered;

    async fn next(&mut self, demand: Demand) -> Incoming<StreamRequest> {
        if !demand.requests {
            self.unwanted.get_or_insert_with(Instant::now);
            self.out.closed().await;
            return Incoming::Left;
        }
        if let Some(since) = self.unwanted.take() {
            self.lines.excuse(since);
        }
        tokio::select! {
            biased;
            () = self.out.closed() => Incoming::Left,
            incoming = self.lines.next(demand.busy) => incoming,
        }
    }

    async fn send(&mut self, answers: Vec<Answered>) -> Result<(), Disconnected> {
        let mut text = Text::default();
        let mut count = 0;
        for answered in answers {
            if let Some(version) = &answered.version {
                self.record.set_version(version);
            }
            match answered.answer {
                // Answers of one run are sent together.
                Answer::Whole(whole) => {
                    text.add(self.framing, whole);
                    count += 1;
                    if text.data.len() > TOGETHER {
                        self.hand_over(&mut text, count).await?;
                        count = 0;
                    }
                }
                Answer::Parts(mut parts) => {
                    while let Some(part) = parts.next().await {
                        let part = part.unwrap_or_else(|fault| {
                            self.requests.held_fault(&fault, answered.number)
                        });
                        text.add(self.framing, part);
                        self.hand_over(&mut text, count + 1).await?;
                        count = 0;
                    }
                }
            }
        }
        self.hand_over(&mut text, count).await
    }
}
