//! [`Outputs`] to `ModelInferResponse`.

use std::collections::HashMap;

use bytes::Bytes;

use super::proto::ModelInferResponse;
use super::proto::model_infer_response::InferOutputTensor;
use super::typed;
use crate::raw_tensor;
use serin_core::types::{Datatype, Outputs, Tensor, TensorData};

/// Most bytes that a response takes besides its outputs: its lists, and the encoded message.
pub fn largest(reply: &Outputs, typed: bool) -> usize {
    let outputs = reply.outputs.iter().map(|tensor| {
        let names = 128 + tensor.name.len() + 10 * tensor.shape.len();
        names + if typed { listed(tensor) } else { raw(tensor) }
    });
    let head = 64 + reply.model_name.len() + reply.model_version.len();
    outputs.fold(head, usize::saturating_add)
}

/// Raw bytes are encoded once; texts are joined first.
fn raw(tensor: &Tensor) -> usize {
    match &tensor.data {
        TensorData::Raw(bytes) => bytes.len(),
        TensorData::Elements(elements) => 2 * (tensor.byte_size() + 4 * elements.len()),
    }
}

/// A list of 32 or 64 bits for each number, and at most ten bytes on the wire.
fn listed(tensor: &Tensor) -> usize {
    match &tensor.data {
        TensorData::Raw(bytes) => {
            let width = tensor.datatype.width().unwrap_or(1);
            bytes.len() / width * (width.max(4) + 10)
        }
        TensorData::Elements(elements) => {
            elements.len() * (size_of::<Bytes>() + 6) + tensor.byte_size()
        }
    }
}

/// The response, with all outputs in one form: typed if `typed` and every output has a typed form
/// (FP16 and BF16 have none), else raw.
pub fn encode(reply: Outputs, id: String, typed: bool) -> ModelInferResponse {
    let typed = typed
        && reply
            .outputs
            .iter()
            .all(|output| !matches!(output.datatype, Datatype::Fp16 | Datatype::Bf16));
    let mut raw_output_contents = Vec::new();
    let outputs = reply
        .outputs
        .into_iter()
        .map(|tensor| {
            let contents = if typed {
                typed::encode(&tensor)
            } else {
                raw_output_contents.push(raw_tensor::encode(&tensor.data));
                None
            };
            InferOutputTensor {
                name: tensor.name,
                datatype: tensor.datatype.as_str().to_owned(),
                shape: tensor.shape,
                parameters: HashMap::new(),
                contents,
            }
        })
        .collect();
    ModelInferResponse {
        model_name: reply.model_name,
        model_version: reply.model_version,
        id,
        parameters: HashMap::new(),
        outputs,
        raw_output_contents,
    }
}
