//! The body of a stream's answer, and the channel to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::options::Framing;
use super::ordered::Disconnected;
use crate::context::RequestContext;
use crate::runtime::memory_budget::{Attached, Reservation};
use crate::server::respond::{defect, event};
use crate::telemetry::Settled;
use serin_core::fault::Fault;
use serin_wire::sse;

/// Prevents nginx, and proxies that follow it, from buffering a stream.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A message to the caller.
enum Outgoing {
    /// Bytes, which hold their memory until the caller has them.
    Data(Bytes),
    /// The HTTP answer in place of events, if that has not begun.
    Refused(Fault),
    End,
}

/// The sender of a stream's task.
pub(super) struct Out {
    sender: mpsc::Sender<Outgoing>,
    stall: Duration,
}

/// The form of messages to the caller.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) framing: Framing,
    /// The form of errors after the start of the answer.
    pub(super) context: Arc<RequestContext>,
    /// The time without bytes after which a comment is sent, where the form has one.
    pub(super) keep_alive: Option<Duration>,
}

/// The two ends of a stream. A caller that takes nothing for `stall` is
/// disconnected.
pub(super) fn channel(style: Style, stall: Duration) -> (Out, Events) {
    // One: a part is made only when the caller has taken the one before.
    let (sender, receiver) = mpsc::channel(1);
    let keep_alive = style
        .keep_alive
        .filter(|_| style.framing == Framing::Events);
    let events = Events {
        receiver,
        first: None,
        timer: keep_alive.map(|after| Box::pin(sleep(after))),
        style: Style {
            keep_alive,
            ..style
        },
        over: false,
    };
    (Out { sender, stall }, events)
}

impl Out {
    /// Returns when the caller has disconnected.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Waits until the caller has taken the previous message.
    pub(super) async fn room(&self) -> Result<Room<'_>, Disconnected> {
        let room = timeout(self.stall, self.sender.reserve()).await;
        let room = room.map_err(|_| Disconnected)?;
        room.map(Room).map_err(|_| Disconnected)
    }
}

/// Room for the next part: the caller is connected.
pub(super) struct Room<'o>(mpsc::Permit<'o, Outgoing>);

impl Room<'_> {
    /// Sends bytes with the memory that they are held in.
    pub(super) fn data(self, data: Vec<u8>, held: Vec<Reservation>) {
        self.0.send(Outgoing::Data(Bytes::from_owner(Attached::new(
            data.into(),
            held,
        ))));
    }

    /// Fails the stream: by its status if nothing was sent, else by a last event.
    pub(super) fn refuse(self, fault: Fault, _: Settled) {
        self.0.send(Outgoing::Refused(fault));
    }

    /// Without this the answer is cut off, so that the caller sees that it is incomplete.
    pub(super) fn end(self, _: Settled) {
        self.0.send(Outgoing::End);
    }
}

/// The receiver of the caller's side.
pub(super) struct Events {
    receiver: mpsc::Receiver<Outgoing>,
    first: Option<Outgoing>,
    style: Style,
    timer: Option<Pin<Box<Sleep>>>,
    over: bool,
}

impl Events {
    /// Waits for the first answer, at most as long as a header block may take.
    ///
    /// # Errors
    /// A fault that is known before the header: it has an HTTP status.
    pub(super) async fn begun(mut self) -> Result<Self, Fault> {
        let first = match self.style.keep_alive {
            Some(patience) => timeout(patience, self.receiver.recv()).await,
            None => Ok(self.receiver.recv().await),
        };
        match first {
            Ok(Some(Outgoing::Refused(fault))) => Err(fault),
            Ok(Some(first)) => {
                self.first = Some(first);
                Ok(self)
            }
            Ok(None) => Err(defect(&self.style.context)),
            Err(_) => {
                self.first = Some(Outgoing::Data(Bytes::from_static(sse::KEEP_ALIVE)));
                Ok(self)
            }
        }
    }

    /// The answer. Its status is 200 from here on.
    pub(super) fn respond(self) -> Response<Body> {
        let content_type = HeaderValue::from_static(self.style.framing.content_type());
        let mut response = Response::new(Body::new(self));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response
    }

    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let (Some(timer), Some(after)) = (&mut self.timer, self.style.keep_alive) else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        timer.as_mut().reset(Instant::now() + after);
        Poll::Ready(Bytes::from_static(sse::KEEP_ALIVE))
    }

    fn last_event(&self, fault: &Fault) -> Bytes {
        let json = event(fault, &self.style.context, None, None);
        let mut out = Vec::new();
        self.style.framing.write(&mut out, &json);
        out.into()
    }
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let outgoing = match self.first.take() {
            Some(first) => Some(first),
            None => match self.receiver.poll_recv(cx) {
                Poll::Ready(outgoing) => outgoing,
                Poll::Pending => Some(Outgoing::Data(ready!(self.poll_keep_alive(cx)))),
            },
        };
        let data = match outgoing {
            Some(Outgoing::Data(data)) => data,
            Some(Outgoing::Refused(fault)) => {
                self.over = true;
                self.last_event(&fault)
            }
            Some(Outgoing::End) => {
                self.over = true;
                return Poll::Ready(None);
            }
            // The task has ended or panicked.
            None => {
                self.over = true;
                let cut = io::Error::other("the stream was cut off");
                return Poll::Ready(Some(Err(cut)));
            }
        };
        let keep_alive = self.style.keep_alive;
        if let (Some(timer), Some(after)) = (&mut self.timer, keep_alive) {
            timer.as_mut().reset(Instant::now() + after);
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quiet_event_stream_sends_comments_unless_it_is_not_to() {
        let request = http::Request::new(());
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let context = Arc::new(RequestContext::begin(&request, peer, None));
        for (framing, keep_alive, comments) in [
            (Framing::Events, Some(Duration::from_secs(1)), 3),
            (Framing::Events, None, 0),
            (Framing::Lines, Some(Duration::from_secs(1)), 0),
        ] {
            let style = Style {
                framing,
                context: Arc::clone(&context),
                keep_alive,
            };
            let (_out, events) = channel(style, Duration::from_secs(9));
            let mut body = events.respond().into_body();
            let mut found = 0;
            let reading = async {
                while let Some(Ok(frame)) = body.frame().await {
                    assert_eq!(frame.into_data().unwrap(), sse::KEEP_ALIVE);
                    found += 1;
                }
            };
            assert!(timeout(Duration::from_millis(3500), reading).await.is_err());
            assert_eq!(found, comments, "{framing:?} {keep_alive:?}");
        }
    }
}
