//! `POST /v1/embeddings`: texts become tensors, go the way of every request, and come back as
//! vectors.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::Response;

use crate::pipeline::Serve;
use crate::server::app::{self, App};
use crate::server::body::Received;
use crate::server::unary::{Answered, Unary};
use crate::telemetry::RequestRecord;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Call, ModelRef, RequestedOutput, Tensor};
use serin_engine::text::Embedder;
use serin_wire::openai::embeddings::{self, EmbeddingsRequest, Piece};

/// Bytes of text that are tokenized on a network thread: more takes longer than such a thread may
/// be held.
const QUICK_BYTES: usize = 1 << 10;

pub(super) async fn embed<S: Serve>(
    State(app): State<Arc<App<S>>>,
    request: Request,
) -> Response<Body> {
    let (unary, body) = Unary::of(&app, request);
    let unnamed = ModelRef {
        name: String::new(),
        version: None,
    };
    let mut record = unary.record("openai", "embedding", &unnamed);
    let outcome = match unary.deadline(None) {
        Ok(deadline) => {
            let embedding = Embedding {
                unary: &unary,
                deadline,
            };
            embedding.run(body, &mut record).await
        }
        Err(fault) => Err(fault),
    };
    unary.end(record, outcome)
}

/// What is asked, and until when an answer is of use.
struct Embedding<'a, S> {
    unary: &'a Unary<'a, S>,
    deadline: Instant,
}

impl<S: Serve> Embedding<'_, S> {
    async fn run(&self, body: Body, record: &mut RequestRecord<'_>) -> Result<Answered, Fault> {
        let app = self.unary.app;
        let Received { bytes, held } = self.unary.read(body).await?;
        let request_bytes = bytes.len();
        let begun = Instant::now();
        let request = self.decode(bytes).await?;
        let model = ModelRef {
            name: request.model.clone(),
            version: None,
        };
        record.set_model(model.clone());
        let embedder = app.service.embedder(&model)?;
        let (form, dimensions) = (request.form, request.dimensions);
        let texts = self.tokenize(&embedder, request).await?;
        record.phases.decode = begun.elapsed();
        let tokens = texts.iter().map(Vec::len).sum();

        let mut vectors = self.vectors(&embedder, &model, &texts, record).await?;
        drop(held);
        record.read_tokens(tokens);
        if let Some(dimensions) = dimensions {
            shorten(&mut vectors, dimensions)?;
        }

        let begun = Instant::now();
        let values: usize = vectors.iter().map(Vec::len).sum();
        let render = move || Ok(embeddings::render(&model.name, &vectors, form, tokens));
        let answer = app
            .heavy
            .run_sized(values * size_of::<f32>(), render)
            .await?;
        record.phases.encode = begun.elapsed();
        Ok(Answered {
            request_bytes,
            response: app::json(answer),
        })
    }

    async fn decode(&self, body: Bytes) -> Result<EmbeddingsRequest, Fault> {
        let app = self.unary.app;
        let (size, limits) = (body.len(), Arc::clone(&app.limits));
        let parse = move || embeddings::parse(&body, &limits);
        self.unary.in_time(app.heavy.run_sized(size, parse)).await
    }

    /// The tokens of each piece.
    async fn tokenize(
        &self,
        embedder: &Arc<Embedder>,
        request: EmbeddingsRequest,
    ) -> Result<Vec<Vec<u32>>, Fault> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Tokens(_) => 0,
        };
        let deadline = self.deadline;
        let bytes: usize = request.input.iter().map(text).sum();
        if bytes <= QUICK_BYTES {
            return tokens_of(embedder, request, || Instant::now() < deadline);
        }
        // Dropped with this future: nobody waits for the rest of the texts any more.
        let waiting = Arc::new(());
        let awaited = Arc::downgrade(&waiting);
        let embedder = Arc::clone(embedder);
        self.unary
            .app
            .heavy
            .run(move || {
                tokens_of(&embedder, request, || {
                    awaited.strong_count() > 0 && Instant::now() < deadline
                })
            })
            .await?
    }

    /// One vector for each text, in their order.
    async fn vectors(
        &self,
        embedder: &Arc<Embedder>,
        model: &ModelRef,
        texts: &[Vec<u32>],
        record: &mut RequestRecord<'_>,
    ) -> Result<Vec<Vec<f32>>, Fault> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let mut vectors = vec![Vec::new(); texts.len()];
        for group in embedder.groups(&lengths) {
            let together: Vec<&[u32]> = group.iter().map(|at| texts[*at].as_slice()).collect();
            let lengths: Vec<usize> = together.iter().map(|ids| ids.len()).collect();
            let call = Call {
                meta: self.unary.meta(None, self.deadline),
                model: model.clone(),
                inputs: embedder.inputs(&together),
                outputs: vec![RequestedOutput::values(embedder.output())],
            };
            let reply = self.unary.serve(call, record).await?;
            let output = reply.outputs.into_iter().next().ok_or_else(|| {
                Fault::new(
                    FaultKind::Internal,
                    "internal",
                    "the model's output is missing in its answer",
                )
            })?;
            let found = self.pooled(embedder, output, lengths).await?;
            for (place, vector) in group.into_iter().zip(found) {
                vectors[place] = vector;
            }
        }
        Ok(vectors)
    }

    async fn pooled(
        &self,
        embedder: &Arc<Embedder>,
        output: Tensor,
        lengths: Vec<usize>,
    ) -> Result<Vec<Vec<f32>>, Fault> {
        let (size, embedder) = (output.byte_size(), Arc::clone(embedder));
        let pool = move || embedder.vectors(&output, &lengths);
        self.unary.app.heavy.run_sized(size, pool).await
    }
}

/// The tokens of each piece, as long as `go_on`.
fn tokens_of(
    embedder: &Embedder,
    request: EmbeddingsRequest,
    go_on: impl Fn() -> bool,
) -> Result<Vec<Vec<u32>>, Fault> {
    let params: Vec<String> = (0..request.input.len())
        .map(|place| request.param(place))
        .collect();
    request
        .input
        .into_iter()
        .zip(params)
        .map(|(piece, param)| {
            if !go_on() {
                return Err(Fault::new(
                    FaultKind::Timeout,
                    "timeout",
                    "the deadline passed while texts were tokenized; send fewer at once",
                ));
            }
            match piece {
                Piece::Text(text) => embedder.tokenize(&text, &param),
                Piece::Tokens(ids) => embedder.check(ids, &param),
            }
        })
        .collect()
}

fn shorten(vectors: &mut [Vec<f32>], dimensions: usize) -> Result<(), Fault> {
    let has = vectors.first().map_or(0, Vec::len);
    if dimensions > has {
        let message = format!("'dimensions' is {dimensions}, the model's vectors have {has}");
        let fault = Fault::new(FaultKind::Unsupported, "unsupported_value", message);
        return Err(fault.with_param("dimensions"));
    }
    for vector in vectors {
        Embedder::shorten(vector, dimensions);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_dimensions_than_there_are_are_refused() {
        let mut vectors = vec![vec![1.0, 0.0]];
        assert!(shorten(&mut vectors, 2).is_ok());
        let fault = shorten(&mut vectors, 3).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("dimensions"));
    }
}
