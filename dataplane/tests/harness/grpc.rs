//! gRPC calls as bytes over HTTP/1, whose refusals stand in the header block.

use prost::Message;
use serin_wire::oip_grpc::proto::ModelInferRequest;
use serin_wire::oip_grpc::proto::model_infer_request::InferInputTensor;

use super::{Answer, Client};

pub const SERVICE: &str = "/inference.GRPCInferenceService/";

/// A message with its prefix (gRPC over HTTP/2, "Length-Prefixed-Message").
pub fn prefixed(message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![0];
    let length = u32::try_from(message.encoded_len()).expect("a short message");
    bytes.extend(length.to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes
}

/// One FP32 input `x` of two elements for a model.
pub fn infer(model: &str) -> Vec<u8> {
    prefixed(&ModelInferRequest {
        model_name: model.to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 2],
            ..Default::default()
        }],
        raw_input_contents: vec![vec![0; 8].into()],
        ..Default::default()
    })
}

/// Calls a method; `headers` end in CRLF.
pub async fn call(client: &mut Client, method: &str, headers: &str, message: &[u8]) -> Answer {
    let path = format!("{SERVICE}{method}");
    let headers = format!("Content-Type: application/grpc\r\nTE: trailers\r\n{headers}");
    client.request("POST", &path, &headers, message).await
}
