//! `POST …/infer`: from a body to a call, from a reply to a body, measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response};

use super::app::App;
use super::body::{self, Received};
use super::exchange::{Exchange, refusal};
use super::heavy::HEAVY_BYTES;
use super::routes::model_of;
use crate::fault::{Fault, FaultKind};
use crate::pipeline::Serve;
use crate::protocol::deadline;
use crate::protocol::oip_rest::{self, Answer, InferRequest, JSON_LENGTH_HEADER};
use crate::telemetry::Story;
use crate::types::{Call, CallMeta, ModelRef, Reply};

pub(super) const JSON_LENGTH: HeaderName = HeaderName::from_static(JSON_LENGTH_HEADER);

/// The handler of both infer paths.
pub(super) async fn infer<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let exchange = Exchange::of(&mut parts);
    let model = match model_of(parts.uri.path()) {
        Ok(model) => model,
        Err(fault) => {
            app.metrics.http_request("/v2/models/{name}/infer", 400);
            return refusal(&fault, &parts, &exchange);
        }
    };
    let inference = Inference {
        app: &app,
        parts: &parts,
        exchange: &exchange,
        model: &model,
    };
    let mut story = Story::begin(&app.metrics, exchange.about("rest", "infer", &model));
    match inference.run(body, &mut story).await {
        Ok((answer, request_bytes)) => {
            story.answered(request_bytes, answer.body.len());
            respond(answer)
        }
        Err(fault) => {
            story.failed(&fault);
            refusal(&fault, &parts, &exchange)
        }
    }
}

/// What is asked, of whom.
struct Inference<'a, S> {
    app: &'a Arc<App<S>>,
    parts: &'a Parts,
    exchange: &'a Exchange,
    model: &'a ModelRef,
}

impl<S: Serve> Inference<'_, S> {
    /// The answer, and how many bytes were asked with.
    async fn run(&self, body: Body, story: &mut Story<'_>) -> Result<(Answer, usize), Fault> {
        let app = self.app;
        let Received { bytes, held } = body::read(
            body,
            &self.parts.headers,
            &app.limits,
            &app.bodies,
            &app.heavy,
        )
        .await?;
        let request_bytes = bytes.len();
        let begun = Instant::now();
        let request = self.decode(bytes).await?;
        story.phases.decode = begun.elapsed();

        let id = request.id.unwrap_or_else(|| self.exchange.id().to_owned());
        let budget = [deadline::asked(&self.parts.headers)?, request.timeout]
            .into_iter()
            .flatten()
            .fold(app.limits.request_timeout, Duration::min);
        let call = Call {
            meta: CallMeta {
                request_id: self.exchange.id().to_owned(),
                id: id.clone(),
                received: self.exchange.received,
                deadline: self.exchange.received + budget,
                priority: request.priority,
            },
            model: self.model.clone(),
            inputs: request.inputs,
            outputs: request.outputs,
        };
        let reply = app.service.serve(call).await?;
        drop(held);

        story.phases.timing = Some(reply.timing);
        story.ran(&reply.model_version);
        let begun = Instant::now();
        let answer = self.encode(reply, id, request.forms).await?;
        story.phases.encode = begun.elapsed();
        Ok((answer, request_bytes))
    }

    async fn decode(&self, body: Bytes) -> Result<InferRequest, Fault> {
        let json_length = json_length(self.parts.headers.get(JSON_LENGTH), body.len())?;
        if json_length == Some(0) {
            let signature = self.app.service.describe(self.model)?.signature;
            return oip_rest::raw_request(body, &signature);
        }
        let json_length = json_length.unwrap_or(body.len());
        if json_length <= HEAVY_BYTES {
            return oip_rest::parse(&body, json_length, &self.app.limits);
        }
        let limits = Arc::clone(&self.app.limits);
        let parse = move || oip_rest::parse(&body, json_length, &limits);
        self.app.heavy.run(parse).await?
    }

    async fn encode(
        &self,
        reply: Reply,
        id: String,
        forms: oip_rest::Forms,
    ) -> Result<Answer, Fault> {
        let choice = self.app.api.non_finite;
        let size: usize = reply
            .outputs
            .iter()
            .map(crate::types::Tensor::byte_size)
            .sum();
        if size <= HEAVY_BYTES {
            return oip_rest::render(&reply, &id, &forms, choice);
        }
        let render = move || oip_rest::render(&reply, &id, &forms, choice);
        self.app.heavy.run(render).await?
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
