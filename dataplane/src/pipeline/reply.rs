//! What comes of a request: one answer, or answers of many parts.

use std::pin::Pin;

use futures_util::Stream;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::Outputs;

/// The parts of an answer, in their order. Dropping it gives the rest up.
pub type ReplyStream = Pin<Box<dyn Stream<Item = Result<Outputs, Fault>> + Send>>;

/// The answer to a [`Call`](serin_core::types::Call).
pub enum Reply {
    /// All of it at once.
    Whole(Outputs),
    /// One part after another, while the model makes them.
    Stream(ReplyStream),
}

impl Reply {
    /// The answer of a protocol that has room for one.
    ///
    /// # Errors
    /// `Unsupported` for an answer of many parts.
    pub fn whole(self) -> Result<Outputs, Fault> {
        match self {
            Self::Whole(outputs) => Ok(outputs),
            Self::Stream(_) => Err(Fault::new(
                FaultKind::Unsupported,
                "unsupported_value",
                "the model answers in parts: ask it by /infer_stream, or by ModelStreamInfer over gRPC",
            )
            .with_param("model")),
        }
    }
}
