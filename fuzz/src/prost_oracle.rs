//! The tensors of a `ModelInferRequest` that prost has decoded: slow, simple, and another way than the
//! reader's, which is compared with it.

use crate::memory::any;
use bytes::Bytes;
use serin_core::Limits;
use serin_core::types::{Datatype, Tensor, TensorData};
use serin_wire::oip_grpc::proto::infer_parameter::ParameterChoice::{
    self, BoolParam, Int64Param, Uint64Param,
};
use serin_wire::oip_grpc::proto::model_infer_request::InferInputTensor;
use serin_wire::oip_grpc::proto::{InferParameter, InferTensorContents, ModelInferRequest};
use serin_wire::raw_tensor;

/// The tensors of a request, or the codes of the faults that refuse it.
pub fn inputs(
    message: &ModelInferRequest,
    limits: &Limits,
) -> Result<Vec<Tensor>, Vec<&'static str>> {
    if message.model_name.is_empty() {
        return Err(vec!["missing_field"]);
    }
    let parameters = message.parameters.iter();
    let refused: Vec<_> = parameters
        .filter_map(|(name, value)| refused(name, value.parameter_choice.as_ref()))
        .collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    let classes = |value: &InferParameter| match value.parameter_choice {
        Some(Int64Param(count)) => (1..=1000).contains(&count),
        Some(Uint64Param(count)) => (1..=1000).contains(&count),
        _ => false,
    };
    let mut outputs = message.outputs.iter();
    if !outputs.all(|output| output.parameters.get("classification").is_none_or(classes)) {
        return Err(vec!["invalid_parameter"]);
    }
    let (inputs, raw) = (&message.inputs, &message.raw_input_contents);
    let both = inputs.iter().any(|input| input.contents.is_some());
    if !raw.is_empty() && (raw.len() != inputs.len() || both) {
        return Err(vec!["raw_contents_mismatch"]);
    }
    let tensors = inputs.iter().enumerate();
    tensors
        .map(|(at, input)| tensor(input, raw.get(at), limits))
        .collect::<Result<_, _>>()
        .map_err(|code| vec![code])
}

fn refused(name: &str, value: Option<&ParameterChoice>) -> Option<&'static str> {
    let good = match name {
        "triton_enable_empty_final_response" | "binary_data_output" => {
            matches!(value, Some(BoolParam(_)))
        }
        "timeout" | "priority" => matches!(value, Some(Int64Param(0..) | Uint64Param(_))),
        "sequence_id" | "sequence_start" | "sequence_end" => return Some("not_implemented"),
        _ if name.starts_with("triton_") => return Some("unsupported_parameter"),
        _ => true,
    };
    (!good).then_some("invalid_parameter")
}

fn tensor(
    input: &InferInputTensor,
    raw: Option<&Bytes>,
    limits: &Limits,
) -> Result<Tensor, &'static str> {
    if input.parameters.contains_key("shared_memory_region") {
        return Err("not_implemented");
    }
    let datatype = Datatype::parse(&input.datatype).ok_or("unknown_datatype")?;
    if input.shape.len() > limits.dimensions {
        return Err("too_many_dimensions");
    }
    let data = match raw {
        Some(bytes) => {
            any(|room| raw_tensor::decode(&input.name, datatype, &input.shape, bytes.clone(), room))
                .map_err(|fault| fault.code)?
        }
        None => {
            let (count, data) = typed(datatype, &input.contents.clone().unwrap_or_default())?;
            match Tensor::element_count(&input.shape) {
                None => return Err("invalid_shape"),
                Some(expected) if expected != count => return Err("shape_mismatch"),
                Some(_) => data,
            }
        }
    };
    match &data {
        TensorData::Elements(elements)
            if elements.iter().any(|one| one.len() > limits.element_bytes) =>
        {
            Err("element_too_large")
        }
        _ => Ok(Tensor {
            name: input.name.clone(),
            datatype,
            shape: input.shape.clone(),
            data,
        }),
    }
}

/// The elements in the list of the datatype, which is the only one that has any.
fn typed(
    datatype: Datatype,
    lists: &InferTensorContents,
) -> Result<(usize, TensorData), &'static str> {
    let own = match datatype {
        Datatype::Bool => lists.bool_contents.len(),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => lists.int_contents.len(),
        Datatype::Int64 => lists.int64_contents.len(),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => lists.uint_contents.len(),
        Datatype::Uint64 => lists.uint64_contents.len(),
        Datatype::Fp32 => lists.fp32_contents.len(),
        Datatype::Fp64 => lists.fp64_contents.len(),
        Datatype::Bytes => lists.bytes_contents.len(),
        Datatype::Fp16 | Datatype::Bf16 => return Err("unsupported_contents"),
    };
    let all = lists.bool_contents.len()
        + lists.int_contents.len()
        + lists.int64_contents.len()
        + lists.uint_contents.len()
        + lists.uint64_contents.len()
        + lists.fp32_contents.len()
        + lists.fp64_contents.len()
        + lists.bytes_contents.len();
    if own != all {
        return Err("unsupported_contents");
    }
    let narrow = |bytes: Option<Vec<u8>>| bytes.ok_or("invalid_value");
    let bytes = match datatype {
        Datatype::Bool => lists.bool_contents.iter().map(|it| u8::from(*it)).collect(),
        Datatype::Int8 => narrow(each(&lists.int_contents, |it| {
            Some(i8::try_from(it).ok()?.to_le_bytes())
        }))?,
        Datatype::Int16 => narrow(each(&lists.int_contents, |it| {
            Some(i16::try_from(it).ok()?.to_le_bytes())
        }))?,
        Datatype::Uint8 => narrow(each(&lists.uint_contents, |it| {
            Some(u8::try_from(it).ok()?.to_le_bytes())
        }))?,
        Datatype::Uint16 => narrow(each(&lists.uint_contents, |it| {
            Some(u16::try_from(it).ok()?.to_le_bytes())
        }))?,
        Datatype::Int32 => narrow(each(&lists.int_contents, |it| Some(it.to_le_bytes())))?,
        Datatype::Uint32 => narrow(each(&lists.uint_contents, |it| Some(it.to_le_bytes())))?,
        Datatype::Int64 => narrow(each(&lists.int64_contents, |it| Some(it.to_le_bytes())))?,
        Datatype::Uint64 => narrow(each(&lists.uint64_contents, |it| Some(it.to_le_bytes())))?,
        Datatype::Fp32 => narrow(each(&lists.fp32_contents, |it| Some(it.to_le_bytes())))?,
        Datatype::Fp64 => narrow(each(&lists.fp64_contents, |it| Some(it.to_le_bytes())))?,
        _ => return Ok((own, TensorData::Elements(lists.bytes_contents.clone()))),
    };
    Ok((own, TensorData::Raw(bytes.into())))
}

fn each<T: Copy, const N: usize>(
    values: &[T],
    bytes: impl Fn(T) -> Option<[u8; N]>,
) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for value in values {
        all.extend(bytes(*value)?);
    }
    Some(all)
}
