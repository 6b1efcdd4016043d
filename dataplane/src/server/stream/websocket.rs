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

use self::metered::Metered;
use super::super::app::App;
use super::super::body::SLOWEST;
use super::super::exchange::{Exchange, refusal};
use super::super::routes::{model_of, refuse};
use super::request::{Answered, StreamRequest, StreamRequests};
use super::{begin, spawn};
use crate::pipeline::Serve;
use crate::server::ordered_stream::{
    Demand, Disconnected, Ended, Incoming, StreamTransport, serve,
};
use crate::telemetry::RequestRecord;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::deadline;

/// Largest message: what is larger belongs in a body, whose memory is given back as it is read.
const MESSAGE_BYTES: usize = 16 << 20;

/// Between two pings; a caller that answers them may be silent for ever.
const PING: Duration = Duration::from_secs(20);

/// For the caller's half of closing.
const FAREWELL: Duration = Duration::from_secs(2);

/// `GET …/infer_stream`.
pub(super) async fn upgrade<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let model = match model_of(request.uri().path()) {
        Ok(model) => model,
        Err(fault) => return refuse(&app, "/v2/models/{name}/infer_stream", &fault, request),
    };
    if !handshake::is_asked_for(request.headers()) {
        let fault = handshake::needed();
        let response = refuse(&app, "/v2/models/{name}/infer_stream", &fault, request);
        return handshake::with_alternatives(response);
    }
    let (mut parts, _) = request.into_parts();
    let exchange = Exchange::of(&mut parts);
    let record = begin(&app, "websocket", &exchange, &model);
    let asked = handshake::accept(&parts)
        .and_then(|accepted| Ok((accepted, deadline::asked(&parts.headers)?)))
        .and_then(|asked| app.service.describe(&model).map(|_| asked));
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let (response, budget, upgrade) = match (asked, upgrade) {
        (Ok((accepted, budget)), Some(upgrade)) => (accepted, budget, upgrade),
        (asked, _) => {
            let fault = asked.err().unwrap_or_else(handshake::needed);
            let _settled = record.failed(&fault);
            return refusal(&fault, &parts, &exchange);
        }
    };
    let rows = Arc::new(StreamRequests::new(&app, model, exchange.id(), budget));
    let metrics = Arc::clone(&app.metrics);
    spawn(metrics, async move {
        // An error means that the caller left before the answer was sent.
        if let Ok(upgraded) = upgrade.await {
            serve_socket(rows, record, upgraded).await;
        }
    });
    response
}

async fn serve_socket<S: Serve>(
    rows: Arc<StreamRequests<S>>,
    record: RequestRecord<'static>,
    upgraded: Upgraded,
) {
    let app = Arc::clone(&rows.app);
    let longest = app.limits.body_bytes.min(MESSAGE_BYTES);
    let metered = Metered::new(TokioIo::new(upgraded), app.bodies.hold(), longest);
    let socket = ServerBuilder::new()
        .limits(MessageLimits::default().max_payload_len(Some(longest)))
        // Answers of one run go out together.
        .config(Config::default().flush_threshold(64 << 10))
        .serve(metered);
    let now = Instant::now();
    let mut caller = Caller {
        socket,
        limits: Arc::clone(&app.limits),
        record,
        number: 0,
        heard: now,
        ping_at: now + PING.min(app.limits.idle_timeout / 2),
        code: CloseCode::NORMAL_CLOSURE,
    };
    let ended = serve(&mut caller, &app.lifecycle, longest, |row| {
        Arc::clone(&rows).answer(row)
    })
    .await;
    caller.end(ended).await;
}

/// The other end of the socket.
struct Caller {
    /// Dropped before the socket, whose caller then finds the request counted.
    record: RequestRecord<'static>,
    socket: WebSocketStream<Metered<TokioIo<Upgraded>>>,
    limits: Arc<Limits>,
    /// Messages read.
    number: u64,
    /// When the caller was last known to be there.
    heard: Instant,
    ping_at: Instant,
    /// What the socket is closed with when it fails.
    code: CloseCode,
}

impl Caller {
    async fn end(mut self, ended: Ended) {
        // Before the close frame, after which the caller waits for nothing.
        let _settled = match &ended {
            Ended::Left => return,
            Ended::Whole => self.record.ended(),
            Ended::Failed(fault) => self.record.failed(fault),
        };
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
        let farewell = async {
            // One that is closed already refuses this, and is read to its end all the same.
            let _ = self.socket.send(close).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn flush(&mut self) -> Result<(), Disconnected> {
        let flushed = timeout(self.limits.stall_timeout, self.socket.flush()).await;
        flushed.map_err(|_| Disconnected)?.map_err(|_| Disconnected)
    }

    /// Until when something must be heard: longer while a large message comes at a fair pace.
    fn silent_at(&self) -> Instant {
        let unread = self.socket.get_ref().unfinished();
        self.heard + self.limits.idle_timeout + Duration::from_secs_f64(unread as f64 / SLOWEST)
    }

    /// What a message means; nothing for those that only show that the caller is there.
    async fn take(&mut self, message: Message, busy: bool) -> Option<Incoming<StreamRequest>> {
        if message.is_ping() || message.is_pong() {
            let payload = message.as_payload().len();
            self.socket.get_mut().passed(payload);
        }
        // Whoever has begun a message is heard by its end: memory is held for it until then.
        if message.is_text() || self.socket.get_ref().unfinished() == 0 {
            self.heard = Instant::now();
        }
        if message.is_ping() {
            // Its answer goes out before the next is read: answers that nobody reads would pile up.
            return self.flush().await.is_err().then_some(Incoming::Left);
        }
        if message.is_text() {
            self.number += 1;
            let text = Bytes::from(message.into_payload());
            let bytes = text.len();
            let row = StreamRequest {
                number: self.number,
                text: Ok(text),
                held: Some(self.socket.get_mut().finished()),
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
        // Whoever wants its answers waits for them before it closes; here its half is answered.
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

    /// Shows the caller that the server is there, and asks whether it is.
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

impl StreamTransport for Caller {
    type Request = StreamRequest;
    type Answer = Answered;

    async fn next(&mut self, wants: Demand) -> Incoming<StreamRequest> {
        loop {
            let ping_at = self.ping_at;
            let silent_at = self.silent_at();
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
                () = sleep_until(silent_at), if wants.requests => {
                    self.code = CloseCode::GOING_AWAY;
                    let idle = self.limits.idle_timeout.as_secs_f64();
                    let message = match self.socket.get_ref().unfinished() {
                        0 => format!("nothing came for {idle} s, not even an answer to a ping"),
                        _ => format!("a message came too slowly: {idle} s, and 1 s for each KiB"),
                    };
                    return Incoming::Failed(Fault::new(FaultKind::SlowBody, "slow_body", message));
                }
            }
        }
    }

    async fn send(&mut self, answers: Vec<Answered>) -> Result<(), Disconnected> {
        let stall = self.limits.stall_timeout;
        self.record.parts(answers.len());
        for answer in answers {
            if let Some(version) = &answer.version {
                self.record.set_version(version);
            }
            let fed = timeout(stall, self.socket.feed(Message::text(answer.json))).await;
            fed.map_err(|_| Disconnected)?.map_err(|_| Disconnected)?;
        }
        self.flush().await?;
        // While its answers were written nothing could be heard.
        self.heard = Instant::now();
        Ok(())
    }
}
