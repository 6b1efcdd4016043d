//! Texts to token ids, and a model's hidden states to one vector for each text: what an embedder
//! needs besides its model.
//!
//! A model's folder says how (the layout of sentence-transformers): `tokenizer.json`, and beside it
//! how tokens are pooled, whether vectors are normalised and how long a text may be.

mod embedder;
mod folder;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grouping;
mod growth;
mod measure;
mod pooling;
mod settings;
mod tokens;
mod wiring;

pub use embedder::{Embedder, NoEmbedder};
pub use folder::tokenizer_file;
