//! An embedder: everything around the model, from texts to tensors and from tensors to vectors.

use std::path::Path;

use bytes::Bytes;
use half::{bf16, f16};

use super::folder::{Folder, tokenizer_file};
use super::grouping::{self, Padding};
use super::measure;
use super::pooling;
use super::settings::Settings;
use super::tokens::Tokens;
use super::wiring::{Role, Wiring};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Embedding, Signature, Tensor, TensorData};

/// Largest `tokenizer.json` (large vocabularies have 35 MB). What is made of it has some fourteen times
/// its size.
const TOKENIZER_LIMIT: u64 = 64 << 20;

/// Tokens of a text where no file says how many the model takes.
const DEFAULT_TOKENS: usize = 512;

/// Most tokens of a text, whatever the files say: attention takes memory by the square of it.
const MOST_TOKENS: usize = 8192;

/// Bytes of a text for each token that it may have, at most: what is longer is refused unread, as
/// tokenizing takes time by the byte. (Of languages, Georgian has about 20 in common vocabularies.)
const BYTES_PER_TOKEN: usize = 256;

/// Bytes that a text may grow to by normalization for each token that it may have, at most: each takes
/// some 50 bytes of memory meanwhile.
const GROWN_PER_TOKEN: usize = 2048;

/// A tokenizer that takes fewer bytes for each token than this is of no use: words are longer.
const LEAST_PER_TOKEN: usize = 8;

/// Why a model is no embedder, for callers: without a path of this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEmbedder {
    /// It is another kind of model, or its folder lacks something.
    #[error("{0}")]
    Lacks(String),
    /// Its tokenizer takes more than any may.
    #[error("{0}")]
    Unfit(String),
}

impl<T: Into<String>> From<T> for NoEmbedder {
    fn from(reason: T) -> Self {
        Self::Lacks(reason.into())
    }
}

/// What a model's folder makes of texts.
pub struct Embedder {
    tokens: Tokens,
    settings: Settings,
    wiring: Wiring,
    max_tokens: usize,
    /// Bytes of the longest text that is taken.
    max_bytes: usize,
}

impl Embedder {
    /// Reads what stands beside a model. `path` is the model's place: a folder, or its file.
    ///
    /// # Errors
    /// [`NoEmbedder`].
    pub fn load(path: &Path, signature: &Signature) -> Result<Self, NoEmbedder> {
        let folder = Folder::open(path).ok_or(
            "its source is a file; an embedder is a folder with model.onnx and tokenizer.json",
        )?;
        let bytes = tokenizer_file(path).and_then(|file| file.metadata().ok());
        if bytes.is_some_and(|file| file.len() > TOKENIZER_LIMIT) {
            return Err(NoEmbedder::Unfit(format!(
                "tokenizer.json is larger than {} MiB",
                TOKENIZER_LIMIT >> 20
            )));
        }
        let json = folder
            .read("tokenizer.json", TOKENIZER_LIMIT)?
            .ok_or("its folder has no tokenizer.json")?;
        let wiring = Wiring::of(signature)?;
        let settings = Settings::read(&folder, wiring.pools_itself)?;
        let tokens = Tokens::read(&json)?;
        let width = match wiring.padding {
            Padding::Fixed(width) => Some(width),
            Padding::Longest | Padding::None => None,
        };
        let max_tokens = [settings.max_tokens, tokens.cuts_at]
            .into_iter()
            .flatten()
            .min()
            .or(width)
            .unwrap_or(DEFAULT_TOKENS)
            .min(width.unwrap_or(MOST_TOKENS))
            .clamp(1, MOST_TOKENS);
        let grown = tokens.growth().longest(max_tokens * GROWN_PER_TOKEN);
        if grown < max_tokens * LEAST_PER_TOKEN {
            return Err(NoEmbedder::Unfit(format!(
                "tokenizer.json may make a text of {} bytes {} bytes long by its normalizer, and {} are taken; \
                 export the tokenizer without the replacements that grow",
                max_tokens * LEAST_PER_TOKEN,
                tokens.growth().of(max_tokens * LEAST_PER_TOKEN),
                max_tokens * GROWN_PER_TOKEN
            )));
        }
        Ok(Self {
            tokens,
            settings,
            wiring,
            max_tokens,
            max_bytes: grown.min(max_tokens * BYTES_PER_TOKEN),
        })
    }

    /// Tries texts up to the longest that it takes: the bytes of the longest that take bearable time.
    ///
    /// # Errors
    /// [`NoEmbedder::Unfit`] where those are too few for any use.
    pub fn measure(&self) -> Result<usize, NoEmbedder> {
        let longest = measure::longest_text(&self.tokens, self.max_bytes);
        if longest < self.max_tokens * LEAST_PER_TOKEN {
            return Err(NoEmbedder::Unfit(format!(
                "tokenizer.json takes more than 2 s for a text of {} bytes; export the tokenizer with simpler rules",
                self.max_tokens * LEAST_PER_TOKEN
            )));
        }
        Ok(longest)
    }

    /// Takes no text of more than so many bytes.
    #[must_use]
    pub fn taking(mut self, max_bytes: usize) -> Self {
        self.max_bytes = self.max_bytes.min(max_bytes);
        self
    }

    /// How it embeds, for descriptions.
    pub fn describe(&self) -> Embedding {
        Embedding {
            max_tokens: self.max_tokens,
            pooling: self
                .settings
                .pooling
                .map_or("model", super::pooling::Pooling::as_str),
            normalised: self.settings.normalise,
        }
    }

    /// The ids of a text, special tokens included; `param` names it in errors.
    ///
    /// # Errors
    /// `Unsupported` for a text that is too long. It is never cut.
    pub fn tokenize(&self, text: &str, param: &str) -> Result<Vec<u32>, Fault> {
        if text.len().saturating_add(self.settings.prefix.len()) > self.max_bytes {
            return Err(self.too_long(param, &format!("{} bytes", text.len())));
        }
        let tokenized = if self.settings.prefix.is_empty() {
            self.tokens.of(text)
        } else {
            self.tokens.of(&format!("{}{text}", self.settings.prefix))
        };
        let ids = tokenized.map_err(|reason| {
            Fault::new(
                FaultKind::Inference,
                "inference_error",
                format!("'{param}' cannot be tokenized: {reason}"),
            )
        })?;
        self.check(ids, param)
    }

    /// Checks ids that a caller made: they are taken as they are, no special token is added.
    ///
    /// # Errors
    /// `Unsupported` for too many of them, and for an id that the vocabulary does not have.
    pub fn check(&self, ids: Vec<u32>, param: &str) -> Result<Vec<u32>, Fault> {
        if ids.len() > self.max_tokens {
            return Err(self.too_long(param, &format!("{} tokens", ids.len())));
        }
        let largest = self.tokens.largest_id();
        match ids.iter().find(|id| **id > largest) {
            None => Ok(ids),
            Some(id) => Err(Fault::new(
                FaultKind::Unsupported,
                "unsupported_value",
                format!("'{param}': there is no token {id}, the largest is {largest}"),
            )
            .with_param(param)),
        }
    }

    fn too_long(&self, param: &str, has: &str) -> Fault {
        Fault::new(
            FaultKind::Unsupported,
            "context_length_exceeded",
            format!(
                "'{param}' has {has}, the model takes {} tokens at most; shorten or split it",
                self.max_tokens
            ),
        )
        .with_param(param)
    }

    /// Which texts run together, by their place; `lengths` are their tokens.
    pub fn groups(&self, lengths: &[usize]) -> Vec<Vec<usize>> {
        grouping::groups(lengths, self.wiring.padding, self.wiring.rows)
    }

    /// The model's inputs for texts that run together, the shorter ones padded at their end.
    pub fn inputs(&self, texts: &[&[u32]]) -> Vec<Tensor> {
        let width = match self.wiring.padding {
            Padding::Fixed(width) => width,
            Padding::Longest | Padding::None => {
                // At least one: models fail on rows of nothing.
                texts.iter().map(|ids| ids.len()).max().unwrap_or(1).max(1)
            }
        };
        let shape = vec![texts.len() as i64, width as i64];
        let padding = self.tokens.padding_id();
        self.wiring
            .inputs
            .iter()
            .map(|(role, input)| {
                let value = |text: &[u32], at: usize| match role {
                    Role::Ids => text.get(at).copied().unwrap_or(padding),
                    Role::Mask => u32::from(at < text.len()),
                    Role::Types => 0,
                };
                let values = texts
                    .iter()
                    .flat_map(|text| (0..width).map(|at| value(text, at)));
                Tensor {
                    name: input.name.clone(),
                    datatype: input.datatype,
                    shape: shape.clone(),
                    data: TensorData::Raw(whole_numbers(input.datatype, values)),
                }
            })
            .collect()
    }

    /// The output that [`vectors`](Self::vectors) reads.
    pub fn output(&self) -> &str {
        &self.wiring.output
    }

    /// One vector for each text of a run; `lengths` are their tokens, in the order of the inputs.
    ///
    /// # Errors
    /// `Inference` where the output is no such thing.
    pub fn vectors(&self, output: &Tensor, lengths: &[usize]) -> Result<Vec<Vec<f32>>, Fault> {
        let values = floats(output).ok_or_else(|| self.odd(output))?;
        let extents: Vec<usize> = output
            .shape
            .iter()
            .map(|extent| usize::try_from(*extent).unwrap_or(0))
            .collect();
        let mut vectors: Vec<Vec<f32>> = match (extents.as_slice(), self.settings.pooling) {
            ([rows, width], _) if *rows == lengths.len() && *width > 0 => {
                values.chunks_exact(*width).map(<[f32]>::to_vec).collect()
            }
            ([rows, tokens, width], Some(pooling)) if *rows == lengths.len() && *width > 0 => {
                if lengths.iter().any(|length| length > tokens) {
                    return Err(self.odd(output));
                }
                let of_text = (tokens * width).max(1);
                values
                    .chunks_exact(of_text)
                    .zip(lengths)
                    .map(|(states, length)| pooling.pool(states, *width, *length))
                    .collect()
            }
            _ => return Err(self.odd(output)),
        };
        if vectors.len() != lengths.len() {
            return Err(self.odd(output));
        }
        if vectors.iter().flatten().any(|value| !value.is_finite()) {
            return Err(Fault::new(
                FaultKind::Inference,
                "inference_error",
                "the model's vector holds a value that is no finite number",
            ));
        }
        if self.settings.normalise {
            for vector in &mut vectors {
                pooling::normalise(vector);
            }
        }
        Ok(vectors)
    }

    fn odd(&self, output: &Tensor) -> Fault {
        Fault::new(
            FaultKind::Inference,
            "inference_error",
            format!(
                "the model's output '{}' has shape {:?}, which is neither a vector for each text nor a state for each of its tokens",
                self.wiring.output, output.shape
            ),
        )
    }

    /// The first `dimensions` values of a vector.
    pub fn shorten(vector: &mut Vec<f32>, dimensions: usize) {
        pooling::shorten(vector, dimensions);
    }
}

fn whole_numbers(datatype: Datatype, values: impl Iterator<Item = u32>) -> Bytes {
    let mut bytes = Vec::new();
    for value in values {
        if datatype == Datatype::Int32 {
            // Ids of a vocabulary, which ends far below.
            bytes.extend_from_slice(&(value as i32).to_le_bytes());
        } else {
            bytes.extend_from_slice(&i64::from(value).to_le_bytes());
        }
    }
    Bytes::from(bytes)
}

/// The elements of a tensor of floats.
fn floats(tensor: &Tensor) -> Option<Vec<f32>> {
    let TensorData::Raw(bytes) = &tensor.data else {
        return None;
    };
    macro_rules! each {
        ($element:ty, $convert:expr) => {{
            let (chunks, _) = bytes.as_chunks::<{ size_of::<$element>() }>();
            let read = |chunk: &[u8; size_of::<$element>()]| <$element>::from_le_bytes(*chunk);
            Some(chunks.iter().map(read).map($convert).collect())
        }};
    }
    match tensor.datatype {
        Datatype::Fp32 => each!(f32, |value| value),
        Datatype::Fp16 => each!(f16, f16::to_f32),
        Datatype::Bf16 => each!(bf16, bf16::to_f32),
        Datatype::Fp64 => each!(f64, |value| value as f32),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
