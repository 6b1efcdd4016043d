//! `ModelInferRequest`, from its bytes to tensors.

use bytes::Bytes;
use prost::Message;
use serin_core::Limits;
use serin_core::fault::Fault;
use serin_core::types::{Datatype, Tensor};
use serin_wire::oip_grpc::proto::model_infer_request::InferInputTensor;
use serin_wire::oip_grpc::proto::{InferTensorContents, ModelInferRequest};
use serin_wire::oip_grpc::request::{self, Decoded};
use serin_wire::oip_grpc::{prescan, typed};
use serin_wire::raw_tensor;

use super::checks;
use crate::{Target, prost_oracle};

pub const INFER: Target = Target {
    name: "grpc_infer",
    about: "a gRPC request is read as prost reads it, in no more memory than was reserved; its tensors are checked, and the same in raw and in typed contents",
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
    let bytes = Bytes::copy_from_slice(data);
    let (ours, most) = decoded(&bytes, &limits);
    if let Err(fault) = &ours {
        checks::fault(fault);
    }
    let message = match ModelInferRequest::decode(data) {
        Ok(message) => message,
        Err(error) => {
            // Prost counts the levels of unknown groups from the root of the message.
            let deep = error.to_string().contains("recursion limit");
            return assert!(ours.is_err() || deep, "prost refuses: {error}");
        }
    };
    let ours = match ours {
        Ok(ours) => ours,
        Err(fault) if fault.code == "too_many_tensors" => {
            let counts = [
                message.inputs.len(),
                message.outputs.len(),
                message.raw_input_contents.len(),
            ];
            return assert!(counts.iter().any(|count| *count > limits.tensors));
        }
        // Prost reads an entry of a map whatever its wire type says, and writes it as it should be.
        Err(fault) if fault.code == "malformed_body" => {
            let written = Bytes::from(message.encode_to_vec());
            let again = decoded(&written, &limits).0;
            let again = again.is_err_and(|again| again.code == "malformed_body");
            return assert!(!again, "{fault}");
        }
        Err(fault) => {
            let wanted = prost_oracle::inputs(&message, &limits);
            let listed = wanted
                .as_ref()
                .is_err_and(|codes| codes.contains(&fault.code));
            return assert!(listed, "{fault:?} instead of {wanted:?}");
        }
    };
    let found = prescan::prescan(data, &limits).expect("what can be decoded can be prescanned");
    assert_eq!(found.model, ours.model);
    assert_eq!(found.id, ours.id);
    assert_eq!(ours.model.name, message.model_name);
    assert_eq!(
        ours.model.version.as_deref().unwrap_or_default(),
        message.model_version
    );
    assert_eq!(ours.id, message.id);
    let names = ours.outputs.iter().map(|output| &output.name);
    assert!(names.eq(message.outputs.iter().map(|output| &output.name)));
    let inputs = ours.inputs;
    assert_eq!(prost_oracle::inputs(&message, &limits), Ok(inputs.clone()));
    let held = |input: &Tensor| {
        let typed = message.raw_input_contents.is_empty() && input.datatype != Datatype::Bytes;
        input.overhead() + if typed { input.byte_size() } else { 0 }
    };
    let held = inputs.iter().map(held).sum::<usize>() + data.len();
    assert!(most >= held, "{most} bytes reserved, {held} held");
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
        inputs_of(&raw, &limits).expect("raw contents read back"),
        inputs
    );
    if inputs
        .iter()
        .all(|input| !matches!(input.datatype, Datatype::Fp16 | Datatype::Bf16))
    {
        let typed = message_of(&inputs, typed::encode, Vec::new());
        assert_eq!(
            inputs_of(&typed, &limits).expect("typed contents read back"),
            inputs
        );
    }
}

/// The request, and the bytes that were reserved for it.
fn decoded(message: &Bytes, limits: &Limits) -> (Result<Decoded, Fault>, usize) {
    let mut most = 0;
    let decoded = request::decode(message, limits, &mut |total| {
        most = total;
        Ok(())
    });
    (decoded, most)
}

fn inputs_of(message: &ModelInferRequest, limits: &Limits) -> Result<Vec<Tensor>, Fault> {
    let (decoded, _) = decoded(&message.encode_to_vec().into(), limits);
    decoded.map(|decoded| decoded.inputs)
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
