//! `POST …/infer`: the Open Inference Protocol over REST.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelRef, Outputs};
use serin_crds::contract::policy::NonFinite;
use serin_wire::oip_rest::{self, Forms, InferRequest, JSON_LENGTH_HEADER};
use serin_wire::room::Room;

use super::answer::answer;
use super::counted::refuse_on;
use crate::envelope::Envelope;
use crate::pipeline::{Reply, Serve, Served};
use crate::runtime::Resources;
use crate::runtime::memory_budget::Reservation;
use crate::server::path::model_of;
use crate::server::recording::Labels;
use crate::server::state::ServerState;
use crate::server::unary::{Decoded, Held, Reader, UnaryProtocol, Writer};
use crate::tasks::infer::Inference;

/// Announces bytes of JSON before binary tensors.
pub(in crate::server) const JSON_LENGTH: HeaderName = HeaderName::from_static(JSON_LENGTH_HEADER);

/// The handler of both infer paths.
pub(super) async fn infer<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let model = match model_of(request.uri().path()) {
        Ok(model) => model,
        Err(fault) => return refuse_on(&state, "/v2/models/{name}/infer", &fault, request),
    };
    let protocol = RestInfer {
        model: &model,
        non_finite: state.api().non_finite,
    };
    let labels = Labels {
        protocol: "rest",
        operation: "infer",
    };
    answer(&state, &protocol, labels, &model, request).await
}

/// JSON, or JSON and binary tensors, or one binary tensor.
struct RestInfer<'a> {
    model: &'a ModelRef,
    non_finite: NonFinite,
}

impl UnaryProtocol for RestInfer<'_> {
    type Task = Inference;
    type Requested = Forms;
    type Answer = Response<Body>;

    async fn model(&self, _: &Bytes, _: &Resources) -> Result<Cow<'_, ModelRef>, Fault> {
        Ok(Cow::Borrowed(self.model))
    }

    async fn decode<M: Served>(
        &self,
        envelope: Envelope<'_>,
        model: &M,
        reader: Reader<'_>,
    ) -> Result<Decoded<Inference, Forms>, Fault> {
        let (body, size) = (envelope.body.clone(), envelope.body.len());
        let cpu_pool = &reader.resources.cpu_pool;
        let json_length = json_length(envelope.headers.get(JSON_LENGTH), body.len())?;
        if json_length == Some(0) {
            let signature = Arc::clone(&model.description().signature);
            let mut reservation = reader.reservation;
            let read = move || {
                let raw = |room: &Room<'_>| oip_rest::raw_request(body, &signature, room);
                let request = reservation.read(raw)?;
                Ok(decoded(request, reservation))
            };
            return cpu_pool.run_sized(size, read).await;
        }
        let json_length = json_length.unwrap_or(size);
        parsed(body, json_length, reader).await
    }

    async fn encode(
        &self,
        reply: Reply,
        forms: Forms,
        id: String,
        writer: Writer<'_>,
    ) -> Result<Response<Body>, Fault> {
        let outputs = reply.whole()?;
        let answer = render(outputs, forms, id, self.non_finite, writer).await?;
        Ok(respond(answer))
    }
}

/// Reads JSON, and binary data after it, off the network's threads where there is much.
///
/// # Errors
/// As [`oip_rest::parse`], and `Overloaded`.
pub(in crate::server) async fn parsed(
    body: Bytes,
    json_length: usize,
    reader: Reader<'_>,
) -> Result<Decoded<Inference, Forms>, Fault> {
    let Reader {
        resources,
        mut reservation,
        ..
    } = reader;
    let (limits, size) = (Arc::clone(&resources.limits), body.len());
    let parse = move || {
        let read = |room: &Room<'_>| oip_rest::parse(&body, json_length, &limits, room);
        let request = reservation.read(read)?;
        Ok(decoded(request, reservation))
    };
    // Binary data is looked through as well, where it is of BYTES or BOOL.
    resources.cpu_pool.run_sized(size, parse).await
}

/// A decoded request of any form.
fn decoded(request: InferRequest, reservation: Reservation) -> Decoded<Inference, Forms> {
    Decoded {
        task: Inference {
            inputs: request.inputs,
            outputs: request.outputs,
        },
        requested: request.forms,
        id: request.id,
        timeout: request.timeout,
        priority: request.priority,
        reservation,
    }
}

/// Writes outputs, off the network's threads where they are large.
///
/// # Errors
/// `Inference` for a value that JSON has no number for, where the policy says so; `Overloaded`, before
/// anything is written.
pub(in crate::server) async fn render(
    outputs: Outputs,
    forms: Forms,
    id: String,
    non_finite: NonFinite,
    writer: Writer<'_>,
) -> Result<Held<oip_rest::Answer>, Fault> {
    let Writer {
        resources,
        mut reservation,
    } = writer;
    let largest = oip_rest::largest(&outputs, &id, &forms);
    reservation.resize(outputs.held() + largest)?;
    let size = outputs.byte_size();
    let render = move || {
        let content = oip_rest::render(&outputs, &id, &forms, non_finite, largest)?;
        drop(outputs);
        reservation.shrink(content.body.len());
        Ok(Held {
            content,
            reservation,
        })
    };
    resources.cpu_pool.run_sized(size, render).await
}

/// The bytes of JSON that the header announces, if it is there.
pub(in crate::server) fn json_length(
    header: Option<&HeaderValue>,
    body: usize,
) -> Result<Option<usize>, Fault> {
    let Some(header) = header else {
        return Ok(None);
    };
    let text = header.to_str().unwrap_or("?");
    let decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(length) if decimal && length <= body => Ok(Some(length)),
        _ => Err(Fault::new(
            FaultKind::Malformed,
            "invalid_header",
            format!(
                "Inference-Header-Content-Length must be a number from 0 to the body's {body} bytes, got '{}'",
                text.chars().take(40).collect::<String>()
            ),
        )
        .with_param(JSON_LENGTH_HEADER)),
    }
}

fn respond(answer: Held<oip_rest::Answer>) -> Response<Body> {
    let Held {
        content: answer,
        reservation,
    } = answer;
    let mut response = Response::new(Body::from(answer.body));
    reservation.keep(response.extensions_mut());
    let content_type = match answer.json_length {
        None => "application/json",
        Some(length) => {
            response
                .headers_mut()
                .insert(JSON_LENGTH, HeaderValue::from(length));
            "application/octet-stream"
        }
    };
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_length_is_decimal_and_within_the_body() {
        let length = |text: &str| json_length(Some(&HeaderValue::from_str(text).unwrap()), 10);
        assert_eq!(length("0").unwrap(), Some(0));
        assert_eq!(length("10").unwrap(), Some(10));
        assert_eq!(json_length(None, 10).unwrap(), None);
        for text in [
            "11",
            "-1",
            "+1",
            "",
            "1.0",
            "0x1",
            "99999999999999999999999",
        ] {
            assert_eq!(length(text).unwrap_err().code, "invalid_header", "{text}");
        }
    }
}
