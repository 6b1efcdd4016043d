//! `POST …/infer`: from a body to a call, from a reply to a body, measured.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response};

use super::app::App;
use super::body::Received;
use super::exchange::refusal;
use super::routes::model_of;
use super::unary::{Answered, Unary};
use crate::pipeline::Serve;
use crate::telemetry::RequestRecord;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Call, CallMeta, ModelRef, Reply, Tensor};
use serin_wire::oip_rest::{self, Answer, InferRequest, JSON_LENGTH_HEADER};

pub(super) const JSON_LENGTH: HeaderName = HeaderName::from_static(JSON_LENGTH_HEADER);

/// The handler of both infer paths.
pub(super) async fn infer<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let (unary, body) = Unary::of(&app, request);
    let model = match model_of(unary.parts.uri.path()) {
        Ok(model) => model,
        Err(fault) => {
            app.metrics.http_request("/v2/models/{name}/infer", 400);
            return refusal(&fault, &unary.parts, &unary.exchange);
        }
    };
    let mut record = unary.record("rest", "infer", &model);
    let inference = Inference {
        unary: &unary,
        model: &model,
    };
    let outcome = inference.run(body, &mut record).await;
    unary.end(record, outcome)
}

/// What is asked, of whom.
struct Inference<'a, S> {
    unary: &'a Unary<'a, S>,
    model: &'a ModelRef,
}

impl<S: Serve> Inference<'_, S> {
    async fn run(&self, body: Body, record: &mut RequestRecord<'_>) -> Result<Answered, Fault> {
        let Received { bytes, mut held } = self.unary.read(body).await?;
        let request_bytes = bytes.len();
        let begun = Instant::now();
        let request = self.decode(bytes).await?;
        record.phases.decode = begun.elapsed();
        // Texts take more than what they came in.
        held.grow(request_bytes + request.inputs.iter().map(Tensor::overhead).sum::<usize>())?;

        let deadline = self.unary.deadline(request.timeout)?;
        let meta = self.unary.meta(request.id, deadline);
        let id = meta.id.clone();
        let call = Call {
            meta: CallMeta {
                priority: request.priority,
                ..meta
            },
            model: self.model.clone(),
            inputs: request.inputs,
            outputs: request.outputs,
        };
        let reply = self.unary.serve(call, record).await?;
        drop(held);

        let begun = Instant::now();
        let answer = self.encode(reply, id, request.forms).await?;
        record.phases.encode = begun.elapsed();
        Ok(Answered {
            request_bytes,
            response: respond(answer),
        })
    }

    async fn decode(&self, body: Bytes) -> Result<InferRequest, Fault> {
        let app = self.unary.app;
        let json_length = json_length(self.unary.parts.headers.get(JSON_LENGTH), body.len())?;
        if json_length == Some(0) {
            let signature = app.service.describe(self.model)?.signature;
            return oip_rest::raw_request(body, &signature);
        }
        let json_length = json_length.unwrap_or(body.len());
        let limits = Arc::clone(&app.limits);
        let parse = move || oip_rest::parse(&body, json_length, &limits);
        let parsing = app.heavy.run_sized(json_length, parse);
        self.unary.in_time(parsing).await
    }

    async fn encode(
        &self,
        reply: Reply,
        id: String,
        forms: oip_rest::Forms,
    ) -> Result<Answer, Fault> {
        let app = self.unary.app;
        let (size, choice) = (reply.byte_size(), app.api().non_finite);
        let render = move || oip_rest::render(&reply, &id, &forms, choice);
        app.heavy.run_sized(size, render).await
    }
}

/// The bytes of JSON that the header announces, if it is there.
pub(super) fn json_length(
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

fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
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
