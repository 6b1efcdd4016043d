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
use crate::telemetry::RequestRecord;

/// The answer, which begins at once: what is wrong with a request is that request's answer.
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
        lines: Lines::new(body, &state.resources),
        out,
        framing,
        record,
        ran: false,
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

/// The other end of the stream.
struct Caller<S> {
    lines: Lines,
    out: Out,
    framing: Framing,
    record: RequestRecord<'static>,
    /// The record knows which version ran.
    ran: bool,
    /// Since when no request was wanted.
    unwanted: Option<Instant>,
    requests: Arc<StreamRequests<S>>,
}

impl<S: Serve> Caller<S> {
    /// Settles the record, then ends the stream.
    async fn end(self, ended: Ended) {
        // One that has left is noted by the record itself; one that leaves now does not see the end.
        let _ = match ended {
            Ended::Whole => {
                self.record.ended();
                self.out.end().await
            }
            Ended::Failed(fault) => {
                self.record.failed(&fault);
                self.out.refuse(fault).await
            }
            Ended::Left => Err(Disconnected),
        };
    }

    fn note_version(&mut self, version: Option<&str>) {
        if let (false, Some(version)) = (self.ran, version) {
            self.record.ran(version);
            self.ran = true;
        }
    }

    /// Hands over what so many parts came to, which are counted before the caller can have them.
    async fn hand_over(&mut self, data: &mut Vec<u8>, count: usize) -> Result<(), Disconnected> {
        if data.is_empty() {
            return Ok(());
        }
        self.record.sent(count);
        let begun = Instant::now();
        self.out.data(std::mem::take(data)).await?;
        self.lines.excuse(begun);
        Ok(())
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
        let mut data = Vec::new();
        let mut count = 0;
        for answered in answers {
            self.note_version(answered.version.as_deref());
            match answered.answer {
                // Answers of one run go out together.
                Answer::Whole(json) => {
                    self.framing.write(&mut data, &json);
                    count += 1;
                }
                Answer::Parts(mut parts) => {
                    while let Some(part) = parts.next().await {
                        let fault =
                            |fault| self.requests.fault(&fault, None, Some(answered.number));
                        let json = part.unwrap_or_else(fault);
                        self.framing.write(&mut data, &json);
                        self.hand_over(&mut data, count + 1).await?;
                        count = 0;
                    }
                }
            }
        }
        self.hand_over(&mut data, count).await
    }
}
