//! OpenAI's interface under `/v1` and `/openai/v1`; [`errors`](super::errors) renders its errors.

pub mod embeddings;
pub mod models;
