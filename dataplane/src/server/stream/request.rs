//! One request of a stream, from its text to the text of its answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderMap;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelRef, Outputs};
use serin_crds::contract::policy::NonFinite;
use serin_wire::deadline;
use serin_wire::oip_rest::{self, Forms};

use super::parts::{Answer, StreamProgress};
use crate::context::RequestContext;
use crate::envelope::Envelope;
use crate::pipeline::{Reply, Serve, Served, WhenBusy};
use crate::runtime::Resources;
use crate::runtime::memory_budget::{Reservation, Share};
use crate::server::http::infer::{parsed, render};
use crate::server::respond::event;
use crate::server::state::ServerState;
use crate::server::unary::{
    Arrival, Decoded, Held, Reader, Received, UnaryProtocol, Writer, drive,
};
use crate::tasks::infer::Inference;

/// A received request.
#[derive(Debug)]
pub(super) struct StreamRequest {
    /// The number of its line or message; from 1.
    pub(super) number: u64,
    pub(super) text: Result<Bytes, Fault>,
    /// Its memory reservation.
    pub(super) reservation: Reservation,
}

/// Its answer, each part as JSON on one line.
pub(super) struct Answered {
    pub(super) answer: Answer<Held<Vec<u8>>>,
    /// The version that ran.
    pub(super) version: Option<String>,
    /// The id of the request, for a fault after the first part.
    pub(super) number: u64,
}

/// Answers the requests of one stream.
pub(super) struct StreamRequests<S> {
    pub(super) state: Arc<ServerState<S>>,
    pub(super) context: Arc<RequestContext>,
    pub(super) headers: HeaderMap,
    pub(super) model: ModelRef,
    /// The caller's timeout for each answer, if it has one.
    pub(super) budget: Option<Duration>,
}

impl<S: Serve> StreamRequests<S> {
    /// Answers one request among others; a fault is its answer. Where the model is busy it waits
    /// until its deadline; a unary request is refused instead.
    pub(super) async fn answer(self: Arc<Self>, request: StreamRequest) -> Answered {
        let StreamRequest {
            number,
            text,
            reservation,
        } = request;
        let id = text.as_ref().ok().cloned();
        let held = reservation.another();
        let received = text.map(|bytes| Received { bytes, reservation });
        let outcome = self
            .serve(received, Instant::now(), WhenBusy::Wait, number)
            .await;
        outcome.unwrap_or_else(|fault| {
            let id = id.and_then(|text| id_in(&text));
            Answered {
                answer: Answer::Whole(Held {
                    content: self.fault(&fault, id.as_deref(), Some(number)),
                    reservation: held,
                }),
                version: None,
                number,
            }
        })
    }

    /// Answers one request whose time began at `begun`.
    ///
    /// # Errors
    /// The fault of any step.
    pub(super) async fn serve(
        &self,
        received: Result<Received, Fault>,
        begun: Instant,
        when_busy: WhenBusy,
        number: u64,
    ) -> Result<Answered, Fault> {
        let limit = self.state.resources.limits.request_timeout;
        let arrival = Arrival {
            context: &self.context,
            headers: &self.headers,
            begun,
            deadline: Ok(begun + deadline::least(limit, [self.budget, None])),
            when_busy,
            read: std::future::ready(received),
        };
        let protocol = StreamInfer {
            model: &self.model,
            non_finite: self.state.api().non_finite,
        };
        let mut progress = StreamProgress::new(&self.state.metrics);
        let answer = drive(&self.state, &protocol, arrival, &mut progress).await?;
        Ok(Answered {
            answer: answer.while_in(progress.in_flight),
            version: progress.version,
            number,
        })
    }

    /// A fault after the first part of an answer.
    pub(super) fn held_fault(&self, fault: &Fault, number: u64) -> Held<Vec<u8>> {
        Held {
            content: self.fault(fault, None, Some(number)),
            reservation: self.state.resources.memory.hold(),
        }
    }

    /// The share of the stream's requests.
    pub(super) fn share(&self) -> Arc<Share> {
        self.context.stream_share(&self.state.resources.memory)
    }

    /// A fault as one answer among others.
    pub(super) fn fault(&self, fault: &Fault, id: Option<&str>, number: Option<u64>) -> Vec<u8> {
        event(fault, &self.context, id, number)
    }
}

/// A request of a stream: JSON without binary tensors, answered in one part or in many.
struct StreamInfer<'a> {
    model: &'a ModelRef,
    non_finite: NonFinite,
}

impl UnaryProtocol for StreamInfer<'_> {
    type Task = Inference;
    type Requested = Forms;
    type Answer = Answer<Held<Vec<u8>>>;

    async fn model(&self, _: &Bytes, _: &Resources) -> Result<Cow<'_, ModelRef>, Fault> {
        Ok(Cow::Borrowed(self.model))
    }

    async fn decode<M: Served>(
        &self,
        envelope: Envelope<'_>,
        _: &M,
        reader: Reader<'_>,
    ) -> Result<Decoded<Inference, Forms>, Fault> {
        let text = envelope.body.clone();
        let size = text.len();
        let decoded = parsed(text, size, reader).await?;
        if decoded.requested.any_binary() {
            return Err(Fault::new(
                FaultKind::Unsupported,
                "unsupported_parameter",
                "outputs of a stream are JSON: remove binary_data and binary_data_output, or use /infer",
            )
            .with_param("binary_data"));
        }
        Ok(decoded)
    }

    async fn encode(
        &self,
        reply: Reply,
        forms: Forms,
        id: String,
        writer: Writer<'_>,
    ) -> Result<Answer<Held<Vec<u8>>>, Fault> {
        let non_finite = self.non_finite;
        match reply {
            Reply::Whole(outputs) => line(outputs, forms, id, non_finite, writer)
                .await
                .map(Answer::Whole),
            Reply::Stream(parts) => {
                let resources = writer.resources.clone();
                let first = writer.reservation;
                let rendered = parts.then(move |part| {
                    let (forms, id, resources) = (forms.clone(), id.clone(), resources.clone());
                    let reservation = first.another();
                    async move {
                        let resources = &resources;
                        let writer = Writer {
                            resources,
                            reservation,
                        };
                        line(part?, forms, id, non_finite, writer).await
                    }
                });
                Ok(Answer::Parts(rendered.boxed()))
            }
        }
    }
}

async fn line(
    outputs: Outputs,
    forms: Forms,
    id: String,
    non_finite: NonFinite,
    writer: Writer<'_>,
) -> Result<Held<Vec<u8>>, Fault> {
    let answer = render(outputs, forms, id, non_finite, writer).await?;
    Ok(Held {
        content: Vec::from(answer.content.body),
        reservation: answer.reservation,
    })
}

/// Longest id that the answer to a bad request has.
const LONGEST_ID: usize = 1 << 10;

/// The id of a request that cannot be served, if it can be read.
fn id_in(text: &[u8]) -> Option<String> {
    oip_rest::id_of(text, LONGEST_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_bad_request_is_found_where_it_can_be_read() {
        assert_eq!(id_in(br#"{"inputs":7,"id":"a"}"#).as_deref(), Some("a"));
        assert_eq!(id_in(br#"{"inputs":7}"#), None);
        assert_eq!(id_in(br#"{"id":7}"#), None);
        assert_eq!(id_in(b"{"), None);
    }
}
