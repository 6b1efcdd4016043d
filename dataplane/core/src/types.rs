//! The types that pass between layers: tensors, calls and outputs.

mod batching;
mod call;
mod datatype;
mod model;
mod signature;
mod statistics;
mod tensor;

pub use batching::Batching;
pub use call::{
    Call, CallMeta, CallerId, MOST_CLASSES, ModelRef, Outputs, RequestedOutput, Standing, Timing,
};
pub use datatype::Datatype;
pub use model::{Availability, Embedding, ModelDescription, ModelState};
pub use signature::{Dimension, Signature, TensorSpec};
pub use statistics::{BatchStatistics, ModelStatistics, Statistics, Tally};
pub use tensor::{Tensor, TensorData};
