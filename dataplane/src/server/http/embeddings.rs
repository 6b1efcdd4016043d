//! `POST /v1/embeddings`: OpenAI's interface.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::Response;
use serin_core::fault::Fault;
use serin_core::types::ModelRef;
use serin_wire::openai::embeddings::{self, EmbeddingsRequest, Form};

use super::answer::answer;
use crate::envelope::Envelope;
use crate::pipeline::{Serve, Served};
use crate::runtime::Resources;
use crate::server::recording::Labels;
use crate::server::respond::json;
use crate::server::state::ServerState;
use crate::server::unary::{Decoded, Reader, UnaryProtocol};
use crate::tasks::embed::{Embedding, Pieces, Vectors};

pub(super) async fn embed<S: Serve>(
    State(state): State<Arc<ServerState<S>>>,
    request: Request,
) -> Response<Body> {
    let unnamed = ModelRef {
        name: String::new(),
        version: None,
    };
    let labels = Labels {
        protocol: "openai",
        operation: "embedding",
    };
    answer(&state, &Embeddings, labels, &unnamed, request).await
}

/// Texts or token ids in, vectors out.
struct Embeddings;

impl UnaryProtocol for Embeddings {
    type Task = Embedding;
    /// The form of the vectors, and the model's name in the request.
    type Requested = (Form, String);
    type Answer = Response<Body>;

    async fn model(&self, body: &Bytes, resources: &Resources) -> Result<Cow<'_, ModelRef>, Fault> {
        // The name may stand behind everything else.
        let (size, body, limits) = (body.len(), body.clone(), Arc::clone(&resources.limits));
        let look = move || embeddings::model(&body, &limits);
        let named = resources.cpu_pool.run_sized(size, look).await?;
        Ok(Cow::Owned(named))
    }

    async fn decode<M: Served>(
        &self,
        envelope: Envelope<'_>,
        model: &M,
        reader: Reader<'_>,
    ) -> Result<Decoded<Embedding, (Form, String)>, Fault> {
        let embedder = model.embedder()?;
        let Reader {
            resources,
            deadline,
            reservation,
        } = reader;
        let (body, limits) = (envelope.body.clone(), Arc::clone(&resources.limits));
        let size = body.len();
        let parse = move || embeddings::parse(&body, &limits);
        let request = resources.cpu_pool.run_sized(size, parse).await?;
        let names: Vec<String> = (0..request.input.len())
            .map(|index| request.param(index))
            .collect();
        let EmbeddingsRequest {
            model,
            input,
            form,
            dimensions,
            ..
        } = request;
        let pieces = Pieces(input.into_iter().zip(names).collect());
        let texts = pieces
            .tokenize(embedder, deadline, &resources.cpu_pool)
            .await?;
        Ok(Decoded {
            task: Embedding { texts, dimensions },
            requested: (form, model),
            id: None,
            timeout: None,
            priority: 0,
            reservation,
        })
    }

    async fn encode(
        &self,
        output: Vectors,
        (form, model): (Form, String),
        _: String,
        resources: &Resources,
    ) -> Result<Response<Body>, Fault> {
        let Vectors { vectors, tokens } = output;
        let values: usize = vectors.iter().map(Vec::len).sum();
        let render = move || Ok(embeddings::render(&model, &vectors, form, tokens));
        let bytes = values * size_of::<f32>();
        resources.cpu_pool.run_sized(bytes, render).await.map(json)
    }
}
