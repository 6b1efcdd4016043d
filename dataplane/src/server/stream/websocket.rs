//! The same messages over a WebSocket (RFC 6455): text messages both ways, one answer for each
//! request, in their order.

mod handshake;
mod metered;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_websockets::{
    CloseCode, Config, Error, Limits as MessageLimits, Message, ServerBuilder, WebSocketStream,
};

use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};

use self::metered::Metered;
use super::begin::{INFER_STREAM, begin, spawn};
use super::ordered::{Demand, Disconnected, Ended, Incoming, StreamTransport, serve};
use super::parts::Answer;
use super::request::{Answered, StreamRequest, StreamRequests};
use crate::context::RequestContext;
use crate::pipeline::Serve;
use crate::runtime::memory_budget::Reservation;
use crate::server::http::counted::{refuse_counted, refuse_on};
use crate::server::pace::SLOWEST;
use crate::server::path::model_of;
use crate::server::respond::refuse;
use crate::server::state::ServerState;
use crate::server::unary::Held;
use crate::telemetry::RequestRecord;

/// Largest message. Larger requests belong in a body, whose memory is released as it is read.
const MESSAGE_BYTES: usize = 16 << 20;

/// Time between two pings; a caller that answers them may be silent without limit.
const PING: Duration = Duration::from_secs(20);

/// Longest wait for the caller's half of closing.
const FAREWELL: Duration = Duration::from_secs(2);

/// `GET …/infer_stream`.
pub(super) async fn upgrade<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let model = match model_of(request.uri().path()) {
        Ok(model) => model,
        Err(fault) => return refuse_on(&state, INFER_STREAM, &fault, request),
    };
    let (mut parts, _) = request.into_parts();
    let context = RequestContext::of(&parts.extensions);
    if !handshake::is_asked_for(&parts.headers) {
        let fault = handshake::needed();
        let response = refuse_counted(&state, INFER_STREAM, &fault, &context);
        return handshake::with_alternatives(response);
    }
    let record = begin(&state, "websocket", &context, &model);
    let accepted = handshake::accept(&parts)
        .and_then(|accepted| Ok((accepted, context.budget()?)))
        .and_then(|accepted| state.service.model(&model).map(|_| accepted));
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let (response, budget, upgrade) = match (accepted, upgrade) {
        (Ok((response, budget)), Some(upgrade)) => (response, budget, upgrade),
        (accepted, _) => {
            let fault = accepted.err().unwrap_or_else(handshake::needed);
            let _settled = record.failed(&fault);
            return refuse(&fault, &context);
        }
    };
    let metrics = Arc::clone(&state.metrics);
    let requests = Arc::new(StreamRequests {
        state,
        context,
        headers: parts.headers,
        model,
        budget,
    });
    spawn(metrics, async move {
        // An error means that the caller left before the answer was sent.
        if let Ok(upgraded) = upgrade.await {
            serve_socket(requests, record, upgraded).await;
        }
    });
    response
}

async fn serve_socket<S: Serve>(
    requests: Arc<StreamRequests<S>>,
    record: RequestRecord<'static>,
    upgraded: Upgraded,
) {
    let state = Arc::clone(&requests.state);
    let limits = Arc::clone(&state.resources.limits);
    let longest = limits.body_bytes.min(MESSAGE_BYTES);
    let reservation = requests.share().hold();
    let metered = Metered::new(TokioIo::new(upgraded), reservation, longest);
    let socket = ServerBuilder::new()
        .limits(MessageLimits::default().max_payload_len(Some(longest)))
        // Answers of one run are sent together.
        .config(Config::default().flush_threshold(64 << 10))
        .serve(metered);
    let now = Instant::now();
    let mut caller = Caller {
        socket,
        unsent: Vec::new(),
        unwanted: None,
        record,
        number: 0,
        heard: now,
        ping_at: now + PING.min(limits.idle_timeout / 2),
        code: CloseCode::NORMAL_CLOSURE,
        limits,
        requests: Arc::clone(&requests),
    };
    let answer = |request| Arc::clone(&requests).answer(request);
    let ended = serve(&mut caller, &state.lifecycle, longest, answer).await;
    caller.end(ended).await;
}

/// The other end of the socket.
struct Caller<S> {
    /// First, so that a panic is recorded before the caller sees the end of the stream.
    record: RequestRecord<'static>,
    socket: WebSocketStream<Metered<TokioIo<Upgraded>>>,
    /// The memory of answers that are not sent yet.
    unsent: Vec<Reservation>,
    /// The time since which there was no room for a request.
    unwanted: Option<Instant>,
    limits: Arc<Limits>,
    /// Messages read.
    number: u64,
    /// The last sign of life of the caller.
    heard: Instant,
    ping_at: Instant,
    /// What the socket is closed with when it fails.
    code: CloseCode,
    requests: Arc<StreamRequests<S>>,
}

impl<S: Serve> Caller<S> {
    async fn end(mut self, ended: Ended) {
        let (code, reason) = match &ended {
            Ended::Left => return,
            Ended::Whole => (CloseCode::NORMAL_CLOSURE, String::new()),
            Ended::Failed(fault) if self.code == CloseCode::NORMAL_CLOSURE => {
                (CloseCode::GOING_AWAY, fault.message.clone())
            }
            Ended::Failed(fault) => (self.code, fault.message.clone()),
        };
        // A reason is at most 123 bytes, of which the code's two are counted elsewhere.
        let end = reason.floor_char_boundary(120.min(reason.len()));
        let close = Message::close(Some(code), &reason[..end]);
        // The record is settled before the end is sent.
        let _settled = match ended {
            Ended::Failed(fault) => self.record.failed(&fault),
            _ => self.record.ended(),
        };
        let farewell = async {
            // A socket that is closed already refuses this, and is still read to its end.
            let _ = self.socket.send(close).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    /// Appends a part of an answer to the next send; it is counted before the caller can have it.
    async fn feed(&mut self, part: Held<Vec<u8>>) -> Result<(), Disconnected> {
        self.record.part();
        self.unsent.push(part.reservation);
        let fed = self.socket.feed(Message::text(part.content));
        let fed = timeout(self.limits.stall_timeout, fed).await;
        fed.map_err(|_| Disconnected)?.map_err(|_| Disconnected)
    }

    async fn flush(&mut self) -> Result<(), Disconnected> {
        let flushed = timeout(self.limits.stall_timeout, self.socket.flush()).await;
        self.unsent.clear();
        flushed.map_err(|_| Disconnected)?.map_err(|_| Disconnected)
    }

    /// The deadline of the next sign of life: later while a large message arrives at the minimum pace,
    /// which ends with the time that a request has, pings or not.
    fn silent_at(&self) -> Instant {
        let socket = self.socket.get_ref();
        let at_pace = Duration::from_secs_f64(socket.unfinished() as f64 / SLOWEST);
        let silent = self.heard + self.limits.idle_timeout + at_pace;
        match socket.begun() {
            Some(begun) => silent.min(begun + self.limits.request_timeout),
            None => silent,
        }
    }

    /// The input of a message; none for one that only shows that the caller is alive.
    async fn take(&mut self, message: Message, busy: bool) -> Option<Incoming<StreamRequest>> {
        if message.is_ping() || message.is_pong() {
            let payload = message.as_payload().len();
            self.socket.get_mut().passed(payload);
        }
        // A message that has begun ends within the pace: it holds memory until then.
        if message.is_text() || self.socket.get_ref().unfinished() == 0 {
            self.heard = Instant::now();
        }
        if message.is_ping() {
            // The answer is sent before the next message is read; unread answers would accumulate.
            return self.flush().await.is_err().then_some(Incoming::Left);
        }
        if message.is_text() {
            self.number += 1;
            let text = Bytes::from(message.into_payload());
            let bytes = text.len();
            let row = StreamRequest {
                number: self.number,
                text: Ok(text),
                reservation: self.socket.get_mut().finished(),
            };
            return Some(Incoming::Request(row, bytes));
        }
        if message.is_binary() {
            self.code = CloseCode::UNSUPPORTED_DATA;
            return Some(Incoming::Failed(refused("send requests as text messages")));
        }
        if !message.is_close() {
            return None;
        }
        if !busy {
            return Some(Incoming::End);
        }
        // A caller that wants its answers waits for them before it closes. The close is answered here.
        let _ = timeout(FAREWELL, self.socket.next()).await;
        Some(Incoming::Left)
    }

    fn broken(&mut self, error: &Error) -> Incoming<StreamRequest> {
        let longest = self.limits.body_bytes.min(MESSAGE_BYTES);
        match error {
            Error::Io(_) if self.socket.get_ref().is_refused() => {
                self.code = CloseCode::SERVICE_OVERLOAD;
                Incoming::Failed(Fault::new(
                    FaultKind::Overloaded,
                    "overloaded",
                    "too many requests are being read at once; try again shortly",
                ))
            }
            Error::PayloadTooLong { .. } => {
                self.code = CloseCode::MESSAGE_TOO_BIG;
                Incoming::Failed(Fault::new(
                    FaultKind::TooLarge,
                    "payload_too_large",
                    format!("a message is larger than {longest} bytes; send fewer rows in it"),
                ))
            }
            Error::Protocol(_) => {
                self.code = CloseCode::PROTOCOL_ERROR;
                Incoming::Failed(refused("the framing of the WebSocket is broken"))
            }
            _ => Incoming::Left,
        }
    }

    /// Sends a ping: shows the caller that the server is alive, and detects a dead caller.
    async fn ping(&mut self) -> Result<(), Disconnected> {
        self.ping_at = Instant::now() + PING.min(self.limits.idle_timeout / 2);
        let sent = self.socket.feed(Message::ping(Bytes::new())).await;
        sent.map_err(|_| Disconnected)?;
        self.flush().await
    }
}

fn refused(message: &str) -> Fault {
    Fault::new(FaultKind::Malformed, "malformed_body", message)
}

impl<S: Serve> StreamTransport for Caller<S> {
    type Request = StreamRequest;
    type Answer = Answered;

    async fn next(&mut self, wants: Demand) -> Incoming<StreamRequest> {
        // Time in which no request was wanted is not the caller's.
        if !wants.requests {
            self.unwanted.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.unwanted.take() {
            self.socket.get_mut().excuse(since);
        }
        loop {
            let ping_at = self.ping_at;
            // A message may begin while this waits: its deadline is looked at now and then.
            let look_at = Instant::now() + self.limits.request_timeout / 4;
            let look_at = look_at.min(self.silent_at());
            tokio::select! {
                biased;
                message = self.socket.next(), if wants.requests => {
                    let incoming = match message {
                        Some(Ok(message)) => self.take(message, wants.busy).await,
                        Some(Err(error)) => Some(self.broken(&error)),
                        None => Some(Incoming::Left),
                    };
                    if let Some(incoming) = incoming {
                        return incoming;
                    }
                }
                () = sleep_until(ping_at) => {
                    if self.ping().await.is_err() {
                        return Incoming::Left;
                    }
                }
                () = sleep_until(look_at), if wants.requests => {
                    if Instant::now() < self.silent_at() {
                        continue;
                    }
                    self.code = CloseCode::GOING_AWAY;
                    let idle = self.limits.idle_timeout.as_secs_f64();
                    let message = match self.socket.get_ref().unfinished() {
                        0 => format!("nothing came for {idle} s, not even an answer to a ping"),
                        _ => format!(
                            "a message came too slowly: {idle} s, 1 s for each KiB, and {} s in all",
                            self.limits.request_timeout.as_secs_f64()
                        ),
                    };
                    return Incoming::Failed(Fault::new(FaultKind::SlowBody, "slow_body", message));
                }
            }
        }
    }

    async fn send(&mut self, answers: Vec<Answered>) -> Result<(), Disconnected> {
        let begun = Instant::now();
        for answered in answers {
            if let Some(version) = &answered.version {
                self.record.set_version(version);
            }
            match answered.answer {
                Answer::Whole(whole) => self.feed(whole).await?,
                Answer::Parts(mut parts) => {
                    while let Some(part) = parts.next().await {
                        let part = part.unwrap_or_else(|fault| {
                            self.requests.held_fault(&fault, answered.number)
                        });
                        self.feed(part).await?;
                        self.flush().await?;
                    }
                }
            }
        }
        self.flush().await?;
        // Nothing could be read while its answers were written.
        self.heard = Instant::now();
        self.socket.get_mut().excuse(begun);
        Ok(())
    }
}
