//! `ModelInferRequest`, from its bytes to tensors.

use bytes::Bytes;
use prost::Message;
use serin_core::Limits;
use serin_core::fault::Fault;
use serin_core::types::{Datatype, Tensor};
use serin_wire::oip_grpc::proto::model_infer_request::{
    InferInputTensor, InferRequestedOutputTensor,
};
use serin_wire::oip_grpc::proto::{InferTensorContents, ModelInferRequest};
use serin_wire::oip_grpc::{prescan, request, typed};
use serin_wire::raw_tensor;

use super::checks;
use crate::Target;

pub const INFER: Target = Target {
    name: "grpc_infer",
    about: "a gRPC request takes no more memory than the prescan says; its tensors are checked, and the same in raw and in typed contents",
    run: infer,
    seeds,
    dictionary: &[
        "FP32",
        "BYTES",
        "INT8",
        "UINT64",
        "BOOL",
        "FP16",
        "timeout",
        "priority",
        "binary_data_output",
    ],
    longest: 2048,
};

fn seeds() -> Vec<Vec<u8>> {
    let input = |datatype: &str, shape: &[i64]| InferInputTensor {
        name: "x".into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        ..Default::default()
    };
    let mut typed = input("INT8", &[2, 1]);
    typed.contents = Some(InferTensorContents {
        int_contents: vec![-1, 7],
        ..Default::default()
    });
    let mut texts = input("BYTES", &[2]);
    texts.contents = Some(InferTensorContents {
        bytes_contents: vec![Bytes::from_static(b"hi"), Bytes::from_static(b"\xff\0")],
        ..Default::default()
    });
    let request = |inputs, raw: &[&'static [u8]]| ModelInferRequest {
        model_name: "m".into(),
        inputs,
        raw_input_contents: raw.iter().map(|bytes| Bytes::from_static(bytes)).collect(),
        ..Default::default()
    };
    [
        request(vec![input("FP32", &[1])], &[b"\0\0\x80\x3f"]),
        request(vec![typed, texts], &[]),
        request(
            vec![input("BYTES", &[1]), input("BOOL", &[2])],
            &[b"\x01\0\0\0a", b"\x01\0"],
        ),
    ]
    .iter()
    .map(Message::encode_to_vec)
    .collect()
}

fn infer(data: &[u8]) {
    let limits = Limits {
        tensors: 8,
        dimensions: 4,
        element_bytes: 64,
        ..Limits::default()
    };
    let prescanned = prescan::prescan(data, &limits);
    if let Err(fault) = &prescanned {
        checks::fault(fault);
    }
    let Ok(message) = ModelInferRequest::decode(data) else {
        return;
    };
    match prescanned {
        Ok(found) => {
            assert_eq!(found.model.name, message.model_name);
            assert_eq!(
                found.model.version.unwrap_or_default(),
                message.model_version
            );
            assert_eq!(found.id, message.id);
            let held = held(&message);
            assert!(found.memory >= held, "{} < {held}", found.memory);
        }
        // Prost reads an entry of a map whatever its wire type says, and writes it as it should be.
        Err(fault) if fault.code == "malformed_body" => {
            match prescan::prescan(&message.encode_to_vec(), &limits) {
                Ok(_) => return,
                Err(fault) => return assert_eq!(fault.code, "too_many_tensors"),
            }
        }
        Err(fault) => return assert_eq!(fault.code, "too_many_tensors"),
    }
    let inputs = match inputs_of(message, &limits) {
        Ok(inputs) => inputs,
        Err(fault) => return checks::fault(&fault),
    };
    assert!(inputs.len() <= limits.tensors);
    inputs
        .iter()
        .for_each(|input| checks::tensor(input, &limits));
    let raw = message_of(
        &inputs,
        |_| None,
        inputs
            .iter()
            .map(|input| raw_tensor::encode(&input.data))
            .collect(),
    );
    assert_eq!(
        inputs_of(raw, &limits).expect("raw contents read back"),
        inputs
    );
    if inputs
        .iter()
        .all(|input| !matches!(input.datatype, Datatype::Fp16 | Datatype::Bf16))
    {
        let typed = message_of(&inputs, typed::encode, Vec::new());
        assert_eq!(
            inputs_of(typed, &limits).expect("typed contents read back"),
            inputs
        );
    }
}

fn inputs_of(message: ModelInferRequest, limits: &Limits) -> Result<Vec<Tensor>, Fault> {
    request::decode(message, limits).map(|decoded| decoded.inputs)
}

/// Bytes of the lists of a message, which are more in memory than they were on the wire.
fn held(message: &ModelInferRequest) -> usize {
    let lists = |tensor: &InferInputTensor| {
        size_of_val(tensor)
            + size_of_val(&tensor.shape[..])
            + tensor.contents.as_ref().map_or(0, |contents| {
                size_of_val(&contents.bool_contents[..])
                    + size_of_val(&contents.int_contents[..])
                    + size_of_val(&contents.int64_contents[..])
                    + size_of_val(&contents.uint_contents[..])
                    + size_of_val(&contents.uint64_contents[..])
                    + size_of_val(&contents.fp32_contents[..])
                    + size_of_val(&contents.fp64_contents[..])
                    + size_of_val(&contents.bytes_contents[..])
            })
    };
    message.inputs.iter().map(lists).sum::<usize>()
        + message.outputs.len() * size_of::<InferRequestedOutputTensor>()
        + size_of_val(&message.raw_input_contents[..])
}

fn message_of(
    tensors: &[Tensor],
    contents: impl Fn(&Tensor) -> Option<InferTensorContents>,
    raw_input_contents: Vec<Bytes>,
) -> ModelInferRequest {
    let inputs = tensors.iter().map(|tensor| InferInputTensor {
        name: tensor.name.clone(),
        datatype: tensor.datatype.as_str().into(),
        shape: tensor.shape.clone(),
        parameters: std::collections::HashMap::new(),
        contents: contents(tensor),
    });
    ModelInferRequest {
        model_name: "m".into(),
        inputs: inputs.collect(),
        raw_input_contents,
        ..Default::default()
    }
}
