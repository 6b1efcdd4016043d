//! The body of a response, written directly from the tensors' bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use half::{bf16, f16};
use serde_json::ser::{CompactFormatter, Formatter};
use serin_crds::contract::policy::NonFinite;

use super::Forms;
use crate::{non_finite, raw_tensor};
use serin_core::fault::Fault;
use serin_core::types::{Datatype, Outputs, Tensor, TensorData};

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// JSON, and after it the data of binary outputs.
    pub body: Bytes,
    /// Bytes of JSON when binary data follows; the body is then `application/octet-stream`.
    pub json_length: Option<usize>,
}

/// Renders a reply; `forms` are those of the request, `choice` is the service's `nonFinite`, and
/// `largest` is what [`largest`](super::largest) says of it.
///
/// # Errors
/// `Inference` for a float that JSON has no number for, where the service refuses those.
pub fn render(
    reply: &Outputs,
    id: &str,
    forms: &Forms,
    choice: NonFinite,
    largest: usize,
) -> Result<Answer, Fault> {
    let in_json = reply.outputs.iter().enumerate();
    let in_json = in_json.filter(|(index, _)| !forms.is_binary(*index));
    non_finite::check(in_json.map(|(_, output)| output), choice)?;
    // Address space in one piece: memory comes with what is written, and nothing is moved.
    let mut out = Vec::with_capacity(largest);
    let mut binary: Vec<Bytes> = Vec::new();
    out.extend_from_slice(b"{\"model_name\":");
    string(&mut out, &reply.model_name);
    out.extend_from_slice(b",\"model_version\":");
    string(&mut out, &reply.model_version);
    out.extend_from_slice(b",\"id\":");
    string(&mut out, id);
    out.extend_from_slice(b",\"outputs\":[");
    for (index, tensor) in reply.outputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let buffer = forms
            .is_binary(index)
            .then(|| raw_tensor::encode(&tensor.data));
        output(&mut out, tensor, buffer.as_ref(), choice);
        binary.extend(buffer);
    }
    out.extend_from_slice(b"]}");
    let json_length = (!binary.is_empty()).then_some(out.len());
    for buffer in &binary {
        out.extend_from_slice(buffer);
    }
    Ok(Answer {
        body: Bytes::from(out),
        json_length,
    })
}

fn output(out: &mut Vec<u8>, tensor: &Tensor, binary: Option<&Bytes>, choice: NonFinite) {
    out.extend_from_slice(b"{\"name\":");
    string(out, &tensor.name);
    out.extend_from_slice(b",\"shape\":[");
    for (index, extent) in tensor.shape.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        number(out, |json, out| json.write_i64(out, *extent));
    }
    out.extend_from_slice(b"],\"datatype\":\"");
    out.extend_from_slice(tensor.datatype.as_str().as_bytes());
    out.push(b'"');
    match (binary, &tensor.data) {
        (Some(buffer), _) => {
            out.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
            number(out, |json, out| json.write_u64(out, buffer.len() as u64));
            out.push(b'}');
        }
        (None, TensorData::Raw(bytes)) => {
            out.extend_from_slice(b",\"data\":[");
            numbers(out, tensor.datatype, bytes, choice);
            out.push(b']');
        }
        (None, TensorData::Elements(elements)) => strings(out, elements),
    }
    out.push(b'}');
}

/// BYTES as strings where all are UTF-8, else all as base64 with a parameter that says so.
fn strings(out: &mut Vec<u8>, elements: &[Bytes]) {
    let text: Result<Vec<&str>, _> = elements
        .iter()
        .map(|one| std::str::from_utf8(one))
        .collect();
    match text {
        Ok(text) => {
            out.extend_from_slice(b",\"data\":[");
            separated(out, &text, |out, one| string(out, one));
        }
        Err(_) => {
            out.extend_from_slice(b",\"parameters\":{\"content_type\":\"base64\"},\"data\":[");
            separated(out, elements, |out, one| {
                out.push(b'"');
                out.extend_from_slice(STANDARD.encode(one).as_bytes());
                out.push(b'"');
            });
        }
    }
    out.push(b']');
}

/// Writes each, with commas between.
pub(crate) fn separated<T>(out: &mut Vec<u8>, all: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, one);
    }
}

/// Writes little-endian elements as JSON values, comma-separated.
pub(crate) fn numbers(out: &mut Vec<u8>, datatype: Datatype, bytes: &[u8], choice: NonFinite) {
    /// One loop per element type: the type is not looked at again for each element.
    macro_rules! each {
        ($element:ty, $write:expr) => {{
            let (chunks, _) = bytes.as_chunks::<{ size_of::<$element>() }>();
            separated(out, chunks, |out, chunk| {
                let value = <$element>::from_le_bytes(*chunk);
                $write(out, value);
            });
        }};
    }
    macro_rules! integers {
        ($element:ty, $write:ident) => {
            each!($element, |out: &mut Vec<u8>, value| {
                number(out, |json, out| json.$write(out, value));
            })
        };
    }
    match datatype {
        Datatype::Bool => each!(u8, |out: &mut Vec<u8>, value| {
            let word: &[u8] = if value == 0 { b"false" } else { b"true" };
            out.extend_from_slice(word);
        }),
        Datatype::Uint8 => integers!(u8, write_u8),
        Datatype::Uint16 => integers!(u16, write_u16),
        Datatype::Uint32 => integers!(u32, write_u32),
        Datatype::Uint64 => integers!(u64, write_u64),
        Datatype::Int8 => integers!(i8, write_i8),
        Datatype::Int16 => integers!(i16, write_i16),
        Datatype::Int32 => integers!(i32, write_i32),
        Datatype::Int64 => integers!(i64, write_i64),
        Datatype::Fp16 => each!(f16, |out, value: f16| single(out, value.to_f32(), choice)),
        Datatype::Bf16 => each!(bf16, |out, value: bf16| single(out, value.to_f32(), choice)),
        Datatype::Fp32 => each!(f32, |out, value| single(out, value, choice)),
        Datatype::Fp64 => each!(f64, |out: &mut Vec<u8>, value: f64| {
            if value.is_finite() {
                number(out, |json, out| json.write_f64(out, value));
            } else {
                non_finite::write(out, value, choice);
            }
        }),
        // BYTES never is `Raw`.
        Datatype::Bytes => {}
    }
}

fn single(out: &mut Vec<u8>, value: f32, choice: NonFinite) {
    if value.is_finite() {
        number(out, |json, out| json.write_f32(out, value));
    } else {
        non_finite::write(out, value.into(), choice);
    }
}

/// Writes one number by serde_json's formatter; writing to a vector does not fail.
fn number(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut CompactFormatter, &mut Vec<u8>) -> std::io::Result<()>,
) {
    let _ = write(&mut CompactFormatter, out);
}

/// Writes a string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Serialising a string to a vector does not fail.
    let _ = serde_json::to_writer(out, text);
}
