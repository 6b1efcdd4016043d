//! `POST /v1/models/{name}:predict`: KServe's first protocol.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::Response;
use serin_core::fault::Fault;
use serin_core::types::ModelRef;
use serin_crds::contract::policy::NonFinite;
use serin_wire::kserve_v1;
use serin_wire::room::Room;

use super::answer::answer;
use crate::envelope::Envelope;
use crate::pipeline::{Reply, Serve, Served};
use crate::runtime::Resources;
use crate::server::recording::Labels;
use crate::server::respond::held_json;
use crate::server::state::ServerState;
use crate::server::unary::{Decoded, Reader, UnaryProtocol, Writer};
use crate::tasks::infer::Inference;

pub(super) async fn predict<S: Serve>(
    state: &ServerState<S>,
    request: Request,
    model: ModelRef,
) -> Response<Body> {
    let protocol = Predict {
        model: &model,
        non_finite: state.api().non_finite,
    };
    let labels = Labels {
        protocol: "rest",
        operation: "predict",
    };
    answer(state, &protocol, labels, &model, request).await
}

/// Instances in, predictions out.
struct Predict<'a> {
    model: &'a ModelRef,
    non_finite: NonFinite,
}

impl UnaryProtocol for Predict<'_> {
    type Task = Inference;
    type Requested = ();
    type Answer = Response<Body>;

    async fn model(&self, _: &Bytes, _: &Resources) -> Result<Cow<'_, ModelRef>, Fault> {
        Ok(Cow::Borrowed(self.model))
    }

    async fn decode<M: Served>(
        &self,
        envelope: Envelope<'_>,
        model: &M,
        reader: Reader<'_>,
    ) -> Result<Decoded<Inference, ()>, Fault> {
        let signature = Arc::clone(&model.description().signature);
        let Reader {
            resources,
            mut reservation,
            ..
        } = reader;
        let (body, limits) = (envelope.body.clone(), Arc::clone(&resources.limits));
        let size = body.len();
        let parse = move || {
            let read = |room: &Room<'_>| kserve_v1::parse(&body, &signature, &limits, room);
            Ok((reservation.read(read)?, reservation))
        };
        let (inputs, reservation) = resources.cpu_pool.run_sized(size, parse).await?;
        Ok(Decoded {
            task: Inference {
                inputs,
                outputs: Vec::new(),
            },
            requested: (),
            id: None,
            timeout: None,
            priority: 0,
            reservation,
        })
    }

    async fn encode(
        &self,
        reply: Reply,
        (): (),
        _: String,
        writer: Writer<'_>,
    ) -> Result<Response<Body>, Fault> {
        let Writer {
            resources,
            mut reservation,
        } = writer;
        let (outputs, choice) = (reply.whole()?, self.non_finite);
        let largest = kserve_v1::largest(&outputs);
        reservation.resize(outputs.held() + largest)?;
        let size = outputs.byte_size();
        let render = move || {
            let body = kserve_v1::render(&outputs, choice, largest)?;
            drop(outputs);
            reservation.shrink(body.len());
            Ok(held_json(body, reservation))
        };
        resources.cpu_pool.run_sized(size, render).await
    }
}
