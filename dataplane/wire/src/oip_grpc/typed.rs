//! Tensors to typed lists (`InferTensorContents`), the form that people write by hand.

use bytes::Bytes;

use super::proto::InferTensorContents;
use serin_core::types::{Datatype, Tensor, TensorData};

/// The list of the tensor's datatype; `None` for FP16 and BF16, which have none.
pub fn encode(tensor: &Tensor) -> Option<InferTensorContents> {
    let mut contents = InferTensorContents::default();
    match (&tensor.data, tensor.datatype) {
        (TensorData::Elements(elements), _) => contents.bytes_contents = elements.clone(),
        (TensorData::Raw(bytes), datatype) => match datatype {
            Datatype::Bool => contents.bool_contents = list(bytes, |[byte]| byte != 0),
            Datatype::Int8 => contents.int_contents = list(bytes, |b| i8::from_le_bytes(b).into()),
            Datatype::Int16 => {
                contents.int_contents = list(bytes, |b| i16::from_le_bytes(b).into());
            }
            Datatype::Int32 => contents.int_contents = list(bytes, i32::from_le_bytes),
            Datatype::Int64 => contents.int64_contents = list(bytes, i64::from_le_bytes),
            Datatype::Uint8 => contents.uint_contents = list(bytes, |[byte]| byte.into()),
            Datatype::Uint16 => {
                contents.uint_contents = list(bytes, |b| u16::from_le_bytes(b).into());
            }
            Datatype::Uint32 => contents.uint_contents = list(bytes, u32::from_le_bytes),
            Datatype::Uint64 => contents.uint64_contents = list(bytes, u64::from_le_bytes),
            Datatype::Fp32 => contents.fp32_contents = list(bytes, f32::from_le_bytes),
            Datatype::Fp64 => contents.fp64_contents = list(bytes, f64::from_le_bytes),
            Datatype::Fp16 | Datatype::Bf16 | Datatype::Bytes => return None,
        },
    }
    Some(contents)
}

fn list<T, const N: usize>(bytes: &Bytes, from_bytes: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements
        .iter()
        .map(|element| from_bytes(*element))
        .collect()
}
