//! The messages of `ModelStreamInfer`. Each marks whether it is the last of its request, as in
//! Triton.

use serin_core::fault::Fault;
use serin_core::types::ModelRef;
use serin_wire::oip_grpc::proto::infer_parameter::ParameterChoice;
use serin_wire::oip_grpc::proto::{InferParameter, ModelInferResponse, ModelStreamInferResponse};

/// Marks on every answer whether it is the last of its request.
const FINAL_RESPONSE: &str = "triton_final_response";

/// The model and id of a message without outputs.
pub(super) struct ResponseIdentity {
    pub(super) model: ModelRef,
    /// The request's id, or the stream's where it has none.
    pub(super) id: String,
}

impl ResponseIdentity {
    fn response(self) -> ModelInferResponse {
        ModelInferResponse {
            model_name: self.model.name,
            model_version: self.model.version.unwrap_or_default(),
            id: self.id,
            ..Default::default()
        }
    }
}

/// An answer, or a part of one.
pub(super) fn part(mut response: ModelInferResponse, last: bool) -> ModelStreamInferResponse {
    let last = InferParameter {
        parameter_choice: Some(ParameterChoice::BoolParam(last)),
    };
    response.parameters.insert(FINAL_RESPONSE.to_owned(), last);
    ModelStreamInferResponse {
        error_message: String::new(),
        infer_response: Some(response),
    }
}

/// The end of an answer of many parts.
pub(super) fn end(identity: ResponseIdentity) -> ModelStreamInferResponse {
    part(identity.response(), true)
}

/// A failure, which ends its request's answer and no more.
pub(super) fn fault(fault: Fault, identity: ResponseIdentity) -> ModelStreamInferResponse {
    ModelStreamInferResponse {
        error_message: fault.message,
        ..end(identity)
    }
}
