//! The reply to a request: whole, or a stream of parts.

use std::pin::Pin;

use futures_util::Stream;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::Outputs;

/// The parts of an answer, in their order. Dropping it cancels the rest.
pub type ReplyStream = Pin<Box<dyn Stream<Item = Result<Outputs, Fault>> + Send>>;

/// The answer to a [`Call`](serin_core::types::Call).
pub enum Reply {
    /// The whole answer.
    Whole(Outputs),
    /// Parts, each as soon as the model has made it.
    Stream(ReplyStream),
}

impl Reply {
    /// The answer for a protocol that has no answers of many parts.
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
