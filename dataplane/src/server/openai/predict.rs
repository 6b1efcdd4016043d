//! `POST /v1/models/{name}:predict`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::fault::Fault;
use crate::pipeline::Serve;
use crate::protocol::kserve_v1;
use crate::server::app::{self, App};
use crate::server::body::{self, Received};
use crate::server::exchange::{Exchange, refusal};
use crate::server::heavy::HEAVY_BYTES;
use crate::telemetry::Story;
use crate::types::{Call, CallMeta, ModelRef, Tensor};

pub(super) async fn predict<S: Serve>(
    app: &Arc<App<S>>,
    request: Request,
    model: ModelRef,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let exchange = Exchange::of(&mut parts);
    let prediction = Prediction {
        app,
        parts: &parts,
        exchange: &exchange,
        model: &model,
    };
    let mut story = Story::begin(&app.metrics, exchange.about("rest", "predict", &model));
    match prediction.run(body, &mut story).await {
        Ok((answer, request_bytes)) => {
            story.answered(request_bytes, answer.len());
            app::json(answer)
        }
        Err(fault) => {
            story.failed(&fault);
            refusal(&fault, &parts, &exchange)
        }
    }
}

/// What is asked, of whom.
struct Prediction<'a, S> {
    app: &'a Arc<App<S>>,
    parts: &'a Parts,
    exchange: &'a Exchange,
    model: &'a ModelRef,
}

impl<S: Serve> Prediction<'_, S> {
    /// The answer, and how many bytes were asked with.
    async fn run(&self, body: Body, story: &mut Story<'_>) -> Result<(Bytes, usize), Fault> {
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
        let inputs = self.decode(bytes).await?;
        story.phases.decode = begun.elapsed();
        let call = Call {
            meta: CallMeta {
                request_id: self.exchange.id().to_owned(),
                id: self.exchange.id().to_owned(),
                received: self.exchange.received,
                deadline: self.exchange.received + app.limits.request_timeout,
                priority: 0,
            },
            model: self.model.clone(),
            inputs,
            outputs: Vec::new(),
        };
        let reply = app.service.serve(call).await?;
        drop(held);

        story.phases.timing = Some(reply.timing);
        story.ran(&reply.model_version);
        let begun = Instant::now();
        let choice = app.api.non_finite;
        let size: usize = reply.outputs.iter().map(Tensor::byte_size).sum();
        let answer = if size <= HEAVY_BYTES {
            kserve_v1::render(&reply, choice)?
        } else {
            let render = move || kserve_v1::render(&reply, choice);
            app.heavy.run(render).await??
        };
        story.phases.encode = begun.elapsed();
        Ok((answer, request_bytes))
    }

    async fn decode(&self, body: Bytes) -> Result<Vec<Tensor>, Fault> {
        let app = self.app;
        let signature = app.service.describe(self.model)?.signature;
        if body.len() <= HEAVY_BYTES {
            return kserve_v1::parse(&body, &signature, &app.limits);
        }
        let limits = Arc::clone(&app.limits);
        app.heavy
            .run(move || kserve_v1::parse(&body, &signature, &limits))
            .await?
    }
}
