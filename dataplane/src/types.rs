//! What travels between the layers: tensors, calls and replies.

mod call;
mod datatype;
mod signature;
mod tensor;

pub use call::{Call, CallMeta, Cost, ModelRef, Reply, RequestedOutput, Timing};
pub use datatype::Datatype;
pub use signature::{Dimension, Signature, TensorSpec};
pub use tensor::{Tensor, TensorData};
