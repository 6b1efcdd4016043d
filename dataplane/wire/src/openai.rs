//! OpenAI's interface under `/v1` and `/openai/v1`; its errors are in [`errors`](super::errors).

pub mod embeddings;
pub mod models;
