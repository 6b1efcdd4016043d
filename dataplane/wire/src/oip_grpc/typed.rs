//! Tensors as typed lists: `InferTensorContents`, the form that people write by hand.

use bytes::Bytes;

use super::proto::InferTensorContents;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Tensor, TensorData};

/// Reads the list that belongs to the datatype; every other list must be empty.
///
/// # Errors
/// `BadTensor` for a list of another datatype, a count that is not the shape's, a value out of
/// range, and for FP16 and BF16, which have no list.
pub fn decode(
    name: &str,
    datatype: Datatype,
    shape: &[i64],
    contents: InferTensorContents,
) -> Result<TensorData, Fault> {
    refuse_other_lists(name, datatype, &contents)?;
    let InferTensorContents {
        bool_contents,
        int_contents,
        int64_contents,
        uint_contents,
        uint64_contents,
        fp32_contents,
        fp64_contents,
        bytes_contents,
    } = contents;
    let (count, data) = match datatype {
        Datatype::Bool => raw(&bool_contents, |value| [u8::from(*value)]),
        Datatype::Int8 => (
            int_contents.len(),
            narrowed::<i8, _, 1>(name, datatype, &int_contents, i8::to_le_bytes)?,
        ),
        Datatype::Int16 => (
            int_contents.len(),
            narrowed::<i16, _, 2>(name, datatype, &int_contents, i16::to_le_bytes)?,
        ),
        Datatype::Uint8 => (
            uint_contents.len(),
            narrowed::<u8, _, 1>(name, datatype, &uint_contents, u8::to_le_bytes)?,
        ),
        Datatype::Uint16 => (
            uint_contents.len(),
            narrowed::<u16, _, 2>(name, datatype, &uint_contents, u16::to_le_bytes)?,
        ),
        Datatype::Int32 => raw(&int_contents, |value| value.to_le_bytes()),
        Datatype::Uint32 => raw(&uint_contents, |value| value.to_le_bytes()),
        Datatype::Int64 => raw(&int64_contents, |value| value.to_le_bytes()),
        Datatype::Uint64 => raw(&uint64_contents, |value| value.to_le_bytes()),
        Datatype::Fp32 => raw(&fp32_contents, |value| value.to_le_bytes()),
        Datatype::Fp64 => raw(&fp64_contents, |value| value.to_le_bytes()),
        Datatype::Bytes => (bytes_contents.len(), TensorData::Elements(bytes_contents)),
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(bad(
                "unsupported_contents",
                format!(
                    "input '{name}': {datatype} has no typed contents, send it in raw_input_contents"
                ),
            ));
        }
    };
    match Tensor::element_count(shape) {
        Some(expected) if expected == count => Ok(data),
        Some(expected) => Err(bad(
            "shape_mismatch",
            format!("input '{name}': expected {expected} elements, got {count}"),
        )),
        None => Err(bad(
            "invalid_shape",
            format!(
                "input '{name}': shape {shape:?} has a negative dimension or too many elements"
            ),
        )),
    }
}

/// Writes the list that belongs to the tensor's datatype; `None` for FP16 and BF16, which have
/// none.
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

fn bad(code: &'static str, message: String) -> Fault {
    Fault::new(FaultKind::BadTensor, code, message)
}

/// Each list, and the datatypes whose elements it holds.
fn refuse_other_lists(
    name: &str,
    datatype: Datatype,
    contents: &InferTensorContents,
) -> Result<(), Fault> {
    use Datatype::{
        Bool, Bytes, Fp32, Fp64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64,
    };
    let lists: [(&str, bool, &[Datatype]); 8] = [
        ("bool_contents", contents.bool_contents.is_empty(), &[Bool]),
        (
            "int_contents",
            contents.int_contents.is_empty(),
            &[Int8, Int16, Int32],
        ),
        (
            "int64_contents",
            contents.int64_contents.is_empty(),
            &[Int64],
        ),
        (
            "uint_contents",
            contents.uint_contents.is_empty(),
            &[Uint8, Uint16, Uint32],
        ),
        (
            "uint64_contents",
            contents.uint64_contents.is_empty(),
            &[Uint64],
        ),
        ("fp32_contents", contents.fp32_contents.is_empty(), &[Fp32]),
        ("fp64_contents", contents.fp64_contents.is_empty(), &[Fp64]),
        (
            "bytes_contents",
            contents.bytes_contents.is_empty(),
            &[Bytes],
        ),
    ];
    match lists
        .iter()
        .find(|(_, empty, datatypes)| !empty && !datatypes.contains(&datatype))
    {
        None => Ok(()),
        Some((list, _, _)) => {
            let own = lists.iter().find(|(_, _, own)| own.contains(&datatype));
            let right = own.map_or("raw_input_contents", |(right, _, _)| right);
            Err(bad(
                "unsupported_contents",
                format!(
                    "input '{name}': {datatype} elements do not belong into {list}, send them in {right}"
                ),
            ))
        }
    }
}

fn raw<T, const N: usize>(values: &[T], to_bytes: impl Fn(&T) -> [u8; N]) -> (usize, TensorData) {
    let bytes: Vec<u8> = values.iter().flat_map(to_bytes).collect();
    (values.len(), TensorData::Raw(Bytes::from(bytes)))
}

fn narrowed<T, V, const N: usize>(
    name: &str,
    datatype: Datatype,
    values: &[V],
    to_bytes: impl Fn(T) -> [u8; N],
) -> Result<TensorData, Fault>
where
    T: TryFrom<V>,
    V: Copy + std::fmt::Display,
{
    let mut bytes = Vec::with_capacity(values.len() * N);
    for value in values {
        let narrow = T::try_from(*value).map_err(|_| {
            bad(
                "invalid_value",
                format!("input '{name}': {value} is out of range for {datatype}"),
            )
        })?;
        bytes.extend_from_slice(&to_bytes(narrow));
    }
    Ok(TensorData::Raw(Bytes::from(bytes)))
}

fn list<T, const N: usize>(bytes: &Bytes, from_bytes: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements
        .iter()
        .map(|element| from_bytes(*element))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int8_out_of_range_is_refused_and_not_wrapped() {
        let contents = InferTensorContents {
            int_contents: vec![1, 300],
            ..Default::default()
        };
        let fault = decode("x", Datatype::Int8, &[2], contents).unwrap_err();
        assert_eq!(fault.message, "input 'x': 300 is out of range for INT8");
    }

    #[test]
    fn a_list_of_another_datatype_is_refused() {
        let contents = InferTensorContents {
            fp32_contents: vec![1.0],
            int_contents: vec![1],
            ..Default::default()
        };
        let fault = decode("x", Datatype::Fp32, &[1], contents).unwrap_err();
        assert!(fault.message.contains("int_contents"), "{}", fault.message);
    }

    #[test]
    fn a_count_that_is_not_the_shapes_says_both() {
        let contents = InferTensorContents {
            fp32_contents: vec![1.0; 3],
            ..Default::default()
        };
        let fault = decode("x", Datatype::Fp32, &[4], contents).unwrap_err();
        assert_eq!(fault.message, "input 'x': expected 4 elements, got 3");
    }

    #[test]
    fn fp16_must_come_raw() {
        let fault = decode("x", Datatype::Fp16, &[0], InferTensorContents::default()).unwrap_err();
        assert!(fault.message.contains("raw_input_contents"));
    }

    #[test]
    fn every_datatype_with_a_list_survives_it() {
        for datatype in Datatype::ALL {
            let data = match datatype.width() {
                None => TensorData::Elements(vec![Bytes::from_static(b"\xff\0"), Bytes::new()]),
                Some(width) => {
                    TensorData::Raw(Bytes::from([vec![1; width], vec![0; width]].concat()))
                }
            };
            let tensor = Tensor {
                name: "x".into(),
                datatype,
                shape: vec![2],
                data,
            };
            match encode(&tensor) {
                None => assert!(matches!(datatype, Datatype::Fp16 | Datatype::Bf16)),
                Some(contents) => {
                    assert_eq!(decode("x", datatype, &[2], contents).unwrap(), tensor.data);
                }
            }
        }
    }
}
