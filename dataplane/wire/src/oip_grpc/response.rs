//! [`Outputs`] to `ModelInferResponse`.

use std::collections::HashMap;

use super::proto::ModelInferResponse;
use super::proto::model_infer_response::InferOutputTensor;
use super::typed;
use crate::raw_tensor;
use serin_core::types::{Datatype, Outputs};

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
