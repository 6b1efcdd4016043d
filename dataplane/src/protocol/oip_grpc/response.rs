//! From a [`Reply`] to a `ModelInferResponse`, and from a fault to a status.

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::proto::ModelInferResponse;
use super::proto::model_infer_response::InferOutputTensor;
use super::typed;
use crate::fault::Fault;
use crate::protocol::raw_tensor;
use crate::types::{Datatype, Reply};

/// The response in one form for all outputs: raw, or typed where that was asked for and every
/// output has a typed form (FP16 and BF16 have none).
pub(super) fn encode(reply: Reply, id: String, typed: bool) -> ModelInferResponse {
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
                parameters: std::collections::HashMap::new(),
                contents,
            }
        })
        .collect();
    ModelInferResponse {
        model_name: reply.model_name,
        model_version: reply.model_version,
        id,
        parameters: std::collections::HashMap::new(),
        outputs,
        raw_output_contents,
    }
}

/// The status of a fault; a fault that says when to come back pushes a client's retries back.
pub(super) fn status(fault: &Fault) -> Status {
    let mut status = Status::new(
        Code::from_i32(fault.kind.grpc_code()),
        fault.message.clone(),
    );
    if let Some(delay) = fault.retry_after {
        let millis = delay.as_millis().to_string();
        if let Ok(value) = MetadataValue::try_from(millis) {
            status
                .metadata_mut()
                .insert("grpc-retry-pushback-ms", value);
        }
    }
    status
}
