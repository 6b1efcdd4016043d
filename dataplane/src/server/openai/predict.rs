//! `POST /v1/models/{name}:predict`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::Response;

use crate::pipeline::Serve;
use crate::server::app::{self, App};
use crate::server::body::Received;
use crate::server::unary::{Answered, Unary};
use crate::telemetry::RequestRecord;
use serin_core::fault::Fault;
use serin_core::types::{Call, ModelRef, Reply, Tensor};
use serin_wire::kserve_v1;

pub(super) async fn predict<S: Serve>(
    app: &Arc<App<S>>,
    request: Request,
    model: ModelRef,
) -> Response<Body> {
    let (unary, body) = Unary::of(app, request);
    let mut record = unary.record("rest", "predict", &model);
    let prediction = Prediction {
        unary: &unary,
        model: &model,
    };
    let outcome = prediction.run(body, &mut record).await;
    unary.end(record, outcome)
}

/// What is asked, of whom.
struct Prediction<'a, S> {
    unary: &'a Unary<'a, S>,
    model: &'a ModelRef,
}

impl<S: Serve> Prediction<'_, S> {
    async fn run(&self, body: Body, record: &mut RequestRecord<'_>) -> Result<Answered, Fault> {
        let Received { bytes, held } = self.unary.read(body).await?;
        let request_bytes = bytes.len();
        let begun = Instant::now();
        let call = Call {
            meta: self.unary.meta(None, self.unary.deadline(None)?),
            model: self.model.clone(),
            inputs: self.decode(bytes).await?,
            outputs: Vec::new(),
        };
        record.phases.decode = begun.elapsed();
        let reply = self.unary.serve(call, record).await?;
        drop(held);

        let begun = Instant::now();
        let response = app::json(self.encode(reply).await?);
        record.phases.encode = begun.elapsed();
        Ok(Answered {
            request_bytes,
            response,
        })
    }

    async fn decode(&self, body: Bytes) -> Result<Vec<Tensor>, Fault> {
        let app = self.unary.app;
        let signature = app.service.describe(self.model)?.signature;
        let (size, limits) = (body.len(), Arc::clone(&app.limits));
        let parse = move || kserve_v1::parse(&body, &signature, &limits);
        self.unary.in_time(app.heavy.run_sized(size, parse)).await
    }

    async fn encode(&self, reply: Reply) -> Result<Bytes, Fault> {
        let app = self.unary.app;
        let (size, choice) = (reply.byte_size(), app.api().non_finite);
        let render = move || kserve_v1::render(&reply, choice);
        app.heavy.run_sized(size, render).await
    }
}
