//! Texts in, one vector for each out.

use std::sync::Arc;
use std::time::Instant;

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Call, RequestedOutput, Tensor};
use serin_engine::text::Embedder;
use serin_wire::openai::embeddings::Piece;

use super::{Task, TaskRun};
use crate::pipeline::{Infer, Served};
use crate::runtime::cpu_pool::CpuPool;

/// Bytes of text that are tokenized on a network thread: more takes longer than such a thread may
/// be held.
const INLINE_TEXT: usize = 1 << 10;

/// Pieces of text to embed, each with the name by which errors call it.
pub struct Pieces(pub Vec<(Piece, String)>);

/// Texts as token ids.
pub struct Embedding {
    /// The ids of each text.
    pub texts: Vec<Vec<u32>>,
    /// Components of each vector, where fewer than the model's are wanted.
    pub dimensions: Option<usize>,
}

/// One vector for each text, in their order.
pub struct Vectors {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// Token ids that were read.
    pub tokens: usize,
}

impl Pieces {
    /// The ids of each piece. Cancelled work, and work past its deadline, stops between
    /// two pieces.
    ///
    /// # Errors
    /// The embedder's faults, and `Timeout`.
    pub async fn tokenize(
        self,
        embedder: &Arc<Embedder>,
        deadline: Instant,
        cpu_pool: &CpuPool,
    ) -> Result<Vec<Vec<u32>>, Fault> {
        let length = |(piece, _): &(Piece, String)| match piece {
            Piece::Text(text) => text.len(),
            Piece::Tokens(_) => 0,
        };
        let bytes: usize = self.0.iter().map(length).sum();
        if bytes <= INLINE_TEXT {
            return self.token_ids(embedder, || Instant::now() < deadline);
        }
        // Dropped with this future.
        let waiting = Arc::new(());
        let awaited = Arc::downgrade(&waiting);
        let embedder = Arc::clone(embedder);
        let in_time = move || awaited.strong_count() > 0 && Instant::now() < deadline;
        cpu_pool
            .run(move || self.token_ids(&embedder, in_time))
            .await?
    }

    fn token_ids(
        self,
        embedder: &Embedder,
        in_time: impl Fn() -> bool,
    ) -> Result<Vec<Vec<u32>>, Fault> {
        let ids = self.0.into_iter().map(|(piece, name)| {
            if !in_time() {
                return Err(Fault::new(
                    FaultKind::Timeout,
                    "timeout",
                    "the deadline passed while texts were tokenized; send fewer at once",
                ));
            }
            match piece {
                Piece::Text(text) => embedder.tokenize(&text, &name),
                Piece::Tokens(ids) => embedder.check(ids, &name),
            }
        });
        ids.collect()
    }
}

impl Task for Embedding {
    type Output = Vectors;

    /// Ids, masks and types of 64 bits, of one group of texts at a time; padding at most doubles them.
    fn copies(&self) -> usize {
        let tokens: usize = self.texts.iter().map(Vec::len).sum();
        tokens * 2 * 3 * size_of::<i64>()
    }

    async fn run<S: Infer>(self, mut on: TaskRun<'_, S>) -> Result<Vectors, Fault> {
        let embedder = Arc::clone(on.model.embedder()?);
        let lengths: Vec<usize> = self.texts.iter().map(Vec::len).collect();
        let mut vectors = vec![Vec::new(); self.texts.len()];
        for group in embedder.groups(&lengths) {
            let together: Vec<&[u32]> = group.iter().map(|at| self.texts[*at].as_slice()).collect();
            let found = run_group(&embedder, &together, &mut on).await?;
            for (place, vector) in group.into_iter().zip(found) {
                vectors[place] = vector;
            }
        }
        if let Some(dimensions) = self.dimensions {
            shorten(&mut vectors, dimensions)?;
        }
        let tokens = lengths.iter().sum();
        on.usage.tokens = tokens;
        Ok(Vectors { vectors, tokens })
    }
}

/// The vectors of texts that run in one batch.
async fn run_group<S: Infer>(
    embedder: &Arc<Embedder>,
    texts: &[&[u32]],
    on: &mut TaskRun<'_, S>,
) -> Result<Vec<Vec<f32>>, Fault> {
    let call = Call {
        meta: on.meta,
        inputs: embedder.inputs(texts),
        outputs: vec![RequestedOutput::values(embedder.output())],
    };
    let reply = on.service.infer(on.model, call, on.when_busy).await?;
    let outputs = reply.whole()?;
    on.usage.timing = on.usage.timing.then(outputs.timing);
    let output = outputs.outputs.into_iter().next().ok_or_else(|| {
        Fault::new(
            FaultKind::Internal,
            "internal",
            "the model's output is missing in its answer",
        )
    })?;
    let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
    pooled(embedder, output, lengths, on.cpu_pool).await
}

async fn pooled(
    embedder: &Arc<Embedder>,
    output: Tensor,
    lengths: Vec<usize>,
    cpu_pool: &CpuPool,
) -> Result<Vec<Vec<f32>>, Fault> {
    let (size, embedder) = (output.byte_size(), Arc::clone(embedder));
    cpu_pool
        .run_sized(size, move || embedder.vectors(&output, &lengths))
        .await
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
