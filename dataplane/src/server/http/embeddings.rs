//! `POST /v1/embeddings`: OpenAI's interface.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::Response;
use serin_core::fault::Fault;
use serin_core::types::ModelRef;
use serin_wire::openai::embeddings::{self, EmbeddingsRequest, Form, Piece};
use serin_wire::room::Room;

use super::answer::answer;
use crate::envelope::Envelope;
use crate::pipeline::{Serve, Served};
use crate::runtime::Resources;
use crate::server::recording::Labels;
use crate::server::respond::held_json;
use crate::server::state::ServerState;
use crate::server::unary::{Decoded, Reader, UnaryProtocol, Writer};
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

/// Bytes that a tokenizer keeps of each token while it reads a text: ids, types, masks, offsets, and
/// the token's own text.
const PER_TOKEN: usize = 160;

/// Bytes for each token that a text may have, above which an embedder refuses it unread.
const BYTES_PER_TOKEN: usize = 256;

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
            mut reservation,
        } = reader;
        let (body, limits) = (envelope.body.clone(), Arc::clone(&resources.limits));
        let size = body.len();
        let parse = move || {
            let read = |room: &Room<'_>| embeddings::parse(&body, &limits, room);
            Ok((reservation.read(read)?, reservation))
        };
        let (request, mut reservation) = resources.cpu_pool.run_sized(size, parse).await?;
        // Ids, at most one for each byte, and what the tokenizer keeps of each meanwhile, of the text
        // that it reads.
        let texts = request.input.iter().map(Piece::bytes);
        let read = embedder
            .describe()
            .max_tokens
            .saturating_mul(BYTES_PER_TOKEN);
        let longest = texts.clone().max().unwrap_or(0).min(read);
        reservation.grow_by(texts.sum::<usize>() * size_of::<u32>() + longest * PER_TOKEN)?;
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
        writer: Writer<'_>,
    ) -> Result<Response<Body>, Fault> {
        let Writer {
            resources,
            mut reservation,
        } = writer;
        let Vectors { vectors, tokens } = output;
        let values: usize = vectors.iter().map(Vec::len).sum();
        let bytes = values * size_of::<f32>();
        let largest = embeddings::largest(&model, &vectors);
        reservation.resize(bytes + largest)?;
        let render = move || {
            let body = embeddings::render(&model, &vectors, form, tokens, largest);
            drop(vectors);
            reservation.shrink(body.len());
            Ok(held_json(body, reservation))
        };
        resources.cpu_pool.run_sized(bytes, render).await
    }
}
