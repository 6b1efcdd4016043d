//! One inference, from message to message, alone or on a stream.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::StreamExt;
use prost::Message;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelRef, Outputs};
use serin_wire::oip_grpc::prescan::{Prescan, prescan};
use serin_wire::oip_grpc::proto::ModelInferResponse;
use serin_wire::oip_grpc::{request, response};

use crate::context::RequestContext;
use crate::envelope::Envelope;
use crate::pipeline::{Reply, Served};
use crate::runtime::Resources;
use crate::server::stream::parts::Answer;
use crate::server::unary::{Decoded, Held, Reader, Received, UnaryProtocol, Writer};
use crate::tasks::infer::Inference;

/// A message, and the model and id that a scan found in it without decoding.
pub(super) struct Prescanned {
    pub(super) model: ModelRef,
    /// The request's own id; empty if it has none.
    pub(super) id: String,
    /// The message and its memory reservation, or why it cannot be read.
    pub(super) received: Result<Received, Fault>,
}

impl Prescanned {
    /// Scans a message, and reserves the memory of its bytes; decoding reserves more.
    pub(super) fn of(bytes: Bytes, context: &RequestContext, resources: &Resources) -> Self {
        let (found, received) = match prescan(&bytes, &resources.limits) {
            Err(fault) => (Prescan::default(), Err(fault)),
            Ok(found) => {
                let mut reservation = context.hold(&resources.memory);
                let grown = reservation.grow(bytes.len());
                (found, grown.map(|()| Received { bytes, reservation }))
            }
        };
        Self {
            model: found.model,
            id: found.id,
            received,
        }
    }

    /// Bytes of the message.
    pub(super) fn len(&self) -> usize {
        let received = self.received.as_ref();
        received.map_or(0, |received| received.bytes.len())
    }
}

/// `ModelInfer`: one message, one answer.
pub(super) struct GrpcInfer<'a> {
    /// The model as the message names it.
    pub(super) model: &'a ModelRef,
}

/// A message of `ModelStreamInfer`: an answer of one part or of many.
pub(super) struct GrpcStreamInfer<'a>(pub(super) GrpcInfer<'a>);

impl UnaryProtocol for GrpcInfer<'_> {
    type Task = Inference;
    /// The answer is in typed contents.
    type Requested = bool;
    type Answer = Held<ModelInferResponse>;

    async fn model(&self, _: &Bytes, _: &Resources) -> Result<Cow<'_, ModelRef>, Fault> {
        let version = self.model.version.as_deref().unwrap_or_default();
        request::model_ref(&self.model.name, version).map(|_| Cow::Borrowed(self.model))
    }

    async fn decode<M: Served>(
        &self,
        envelope: Envelope<'_>,
        _: &M,
        reader: Reader<'_>,
    ) -> Result<Decoded<Inference, bool>, Fault> {
        let Reader {
            resources,
            mut reservation,
            ..
        } = reader;
        let (message, limits) = (envelope.body.clone(), resources.limits.clone());
        let size = message.len();
        let decode = move || {
            let reserve = &mut |total| reservation.grow(total);
            let decoded = request::decode(&message, &limits, reserve)?;
            Ok((decoded, reservation))
        };
        let (decoded, reservation) = resources.cpu_pool.run_sized(size, decode).await?;
        Ok(Decoded {
            task: Inference {
                inputs: decoded.inputs,
                outputs: decoded.outputs,
            },
            requested: decoded.typed_answer,
            id: Some(decoded.id).filter(|id| !id.is_empty()),
            timeout: decoded.parameters.timeout,
            priority: decoded.parameters.priority,
            reservation,
        })
    }

    async fn encode(
        &self,
        reply: Reply,
        typed: bool,
        id: String,
        writer: Writer<'_>,
    ) -> Result<Held<ModelInferResponse>, Fault> {
        render(reply.whole()?, typed, id, writer).await
    }
}

impl UnaryProtocol for GrpcStreamInfer<'_> {
    type Task = Inference;
    type Requested = bool;
    type Answer = Answer<Held<ModelInferResponse>>;

    async fn model(&self, body: &Bytes, resources: &Resources) -> Result<Cow<'_, ModelRef>, Fault> {
        self.0.model(body, resources).await
    }

    async fn decode<M: Served>(
        &self,
        envelope: Envelope<'_>,
        model: &M,
        reader: Reader<'_>,
    ) -> Result<Decoded<Inference, bool>, Fault> {
        self.0.decode(envelope, model, reader).await
    }

    async fn encode(
        &self,
        reply: Reply,
        typed: bool,
        id: String,
        writer: Writer<'_>,
    ) -> Result<Answer<Held<ModelInferResponse>>, Fault> {
        match reply {
            Reply::Whole(outputs) => render(outputs, typed, id, writer).await.map(Answer::Whole),
            Reply::Stream(parts) => {
                let resources = writer.resources.clone();
                let first = writer.reservation;
                let rendered = parts.then(move |part| {
                    let (id, resources) = (id.clone(), resources.clone());
                    let reservation = first.another();
                    async move {
                        let resources = &resources;
                        let writer = Writer {
                            resources,
                            reservation,
                        };
                        render(part?, typed, id, writer).await
                    }
                });
                Ok(Answer::Parts(rendered.boxed()))
            }
        }
    }
}

async fn render(
    outputs: Outputs,
    typed: bool,
    id: String,
    writer: Writer<'_>,
) -> Result<Held<ModelInferResponse>, Fault> {
    let Writer {
        resources,
        mut reservation,
    } = writer;
    let (size, most) = (outputs.byte_size(), resources.limits.body_bytes);
    reservation.resize(outputs.held() + response::largest(&outputs, typed) + id.len())?;
    let encode = move || {
        let content = response::encode(outputs, id, typed);
        fits(&content, size, most).map(|()| Held {
            content,
            reservation,
        })
    };
    resources.cpu_pool.run_sized(size, encode).await
}

/// Checks that a response with `size` bytes of data fits a message; the transport would lose it.
///
/// # Errors
/// `TooLarge`.
fn fits(response: &ModelInferResponse, size: usize, most: usize) -> Result<(), Fault> {
    // No list takes more than ten times its data: a varint of a byte that is negative.
    if size.saturating_mul(10) < most {
        return Ok(());
    }
    match response.encoded_len() {
        bytes if bytes > most => Err(Fault::new(
            FaultKind::TooLarge,
            "answer_too_large",
            format!(
                "the answer has {bytes} bytes, and messages may have {most}: ask for fewer rows or outputs at once, or over REST"
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_no_message_can_hold_is_refused_with_its_size() {
        let response = ModelInferResponse {
            raw_output_contents: vec![Bytes::from(vec![0; 1000])],
            ..Default::default()
        };
        assert!(fits(&response, 1000, 1003).is_ok());
        let fault = fits(&response, 1000, 1002).unwrap_err();
        assert_eq!(fault.code, "answer_too_large");
        assert!(fault.message.contains("1003 bytes"), "{fault}");
    }
}
