//! Tensors as bytes: the format of gRPC's `raw_*_contents` and of REST's binary extension (Triton,
//! "Binary Tensor Data Extension").
//!
//! Fixed-width elements are little-endian, without padding. An element of BYTES is its length as a
//! little-endian `u32`, then its bytes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::room::Room;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Tensor, TensorData};

/// Bytes of the length that precedes each element of BYTES.
const LENGTH_PREFIX: usize = 4;

/// Reads the elements of the input `name` without copying them; the list of elements of BYTES is taken
/// from `room`.
///
/// # Errors
/// `BadTensor` when the bytes are not exactly what `shape` and `datatype` ask for, and what `room`
/// refuses with.
pub fn decode(
    name: &str,
    datatype: Datatype,
    shape: &[i64],
    bytes: Bytes,
    room: &Room<'_>,
) -> Result<TensorData, Fault> {
    let Some(count) = Tensor::element_count(shape) else {
        return Err(Fault::new(
            FaultKind::BadTensor,
            "invalid_shape",
            format!(
                "input '{name}': shape {shape:?} has a negative dimension or too many elements"
            ),
        ));
    };
    let Some(width) = datatype.width() else {
        return elements(name, count, bytes, room).map(TensorData::Elements);
    };
    if count.checked_mul(width) != Some(bytes.len()) {
        return Err(Fault::new(
            FaultKind::BadTensor,
            "size_mismatch",
            format!(
                "input '{name}': shape {shape:?} of {datatype} is {count} elements of {width} bytes, got {} bytes",
                bytes.len()
            ),
        ));
    }
    if datatype == Datatype::Bool
        && let Some(other) = bytes.iter().find(|byte| **byte > 1)
    {
        return Err(Fault::new(
            FaultKind::BadTensor,
            "invalid_value",
            format!("input '{name}': a BOOL is the byte 0 or 1, got {other}"),
        ));
    }
    Ok(TensorData::Raw(bytes))
}

fn elements(
    name: &str,
    count: usize,
    mut bytes: Bytes,
    room: &Room<'_>,
) -> Result<Vec<Bytes>, Fault> {
    check_lengths(name, count, &bytes)?;
    let mut elements = room.list(count)?;
    for _ in 0..count {
        let Some(prefix) = bytes.first_chunk::<LENGTH_PREFIX>() else {
            break;
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        let mut element = bytes.split_to(LENGTH_PREFIX + length);
        elements.push(element.split_off(LENGTH_PREFIX));
    }
    Ok(elements)
}

/// Checks that the bytes are exactly `count` elements, which the shape only claims, before a list of
/// them is made.
fn check_lengths(name: &str, count: usize, mut bytes: &[u8]) -> Result<(), Fault> {
    let wrong = |what: String| {
        Err(Fault::new(
            FaultKind::BadTensor,
            "size_mismatch",
            format!("input '{name}': {what}"),
        ))
    };
    for index in 0..count {
        let Some((prefix, rest)) = bytes.split_first_chunk::<LENGTH_PREFIX>() else {
            return wrong(format!(
                "expected {count} BYTES elements, the data ends after {index}"
            ));
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        let Some(rest) = rest.get(length..) else {
            return wrong(format!(
                "BYTES element {index} says it has {length} bytes, {} are left",
                rest.len()
            ));
        };
        bytes = rest;
    }
    if !bytes.is_empty() {
        return wrong(format!(
            "{} bytes are left after the {count} BYTES elements that the shape asks for",
            bytes.len()
        ));
    }
    Ok(())
}

/// The bytes of an output's elements; fixed-width ones are not copied.
pub fn encode(data: &TensorData) -> Bytes {
    match data {
        TensorData::Raw(bytes) => bytes.clone(),
        TensorData::Elements(elements) => {
            let size = elements
                .iter()
                .map(|element| LENGTH_PREFIX + element.len())
                .sum();
            let mut buffer = BytesMut::with_capacity(size);
            for element in elements {
                // The engine cannot hold an element of 4 GiB: bodies are far smaller.
                buffer.put_u32_le(u32::try_from(element.len()).unwrap_or(u32::MAX));
                buffer.put_slice(element);
            }
            buffer.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_any(
        name: &str,
        datatype: Datatype,
        shape: &[i64],
        bytes: Bytes,
    ) -> Result<TensorData, Fault> {
        crate::room::within(
            0,
            |_| Ok(()),
            |room| decode(name, datatype, shape, bytes, room),
        )
    }

    fn bytes_of(hex: &str) -> Bytes {
        Bytes::from(hex::decode(hex).unwrap())
    }

    #[test]
    fn the_golden_bytes_elements_read_and_write_the_same() {
        let wire = bytes_of("02000000ff00020000006869");
        let data = decode_any("s", Datatype::Bytes, &[2], wire.clone()).unwrap();
        let expected = [Bytes::from_static(b"\xff\x00"), Bytes::from_static(b"hi")];
        assert_eq!(data, TensorData::Elements(expected.to_vec()));
        assert_eq!(encode(&data), wire);
    }

    #[test]
    fn a_byte_too_few_or_too_many_is_refused() {
        for (datatype, shape, wire) in [
            (Datatype::Fp32, vec![2], "0000803f000000"),
            (Datatype::Fp32, vec![1], "0000803f00"),
            (Datatype::Bytes, vec![2], "0100000061"),
            (Datatype::Bytes, vec![1], "010000006100"),
            (Datatype::Bytes, vec![1], "ffffffff61"),
            (Datatype::Bytes, vec![1], "0100"),
            (Datatype::Fp64, vec![i64::MAX, 2], ""),
            (Datatype::Int8, vec![-1], "00"),
        ] {
            let fault = decode_any("x", datatype, &shape, bytes_of(wire)).unwrap_err();
            assert_eq!(
                fault.kind,
                FaultKind::BadTensor,
                "{datatype} {shape:?} {wire}"
            );
            assert!(fault.message.contains("'x'"), "{}", fault.message);
        }
    }

    #[test]
    fn a_bool_is_zero_or_one() {
        assert!(decode_any("b", Datatype::Bool, &[2], bytes_of("0100")).is_ok());
        assert!(decode_any("b", Datatype::Bool, &[2], bytes_of("0102")).is_err());
    }

    #[test]
    fn a_claim_of_many_elements_allocates_no_more_than_came() {
        let fault = decode_any("x", Datatype::Bytes, &[1 << 60], Bytes::new()).unwrap_err();
        assert!(fault.message.contains("ends after 0"));
    }

    proptest::proptest! {
        #[test]
        fn any_elements_survive_the_wire(elements: Vec<Vec<u8>>) {
            let shape = [i64::try_from(elements.len()).unwrap()];
            let data = TensorData::Elements(elements.into_iter().map(Bytes::from).collect());
            proptest::prop_assert_eq!(decode_any("x", Datatype::Bytes, &shape, encode(&data)).unwrap(), data);
        }

        #[test]
        fn any_bytes_are_read_or_refused(wire: Vec<u8>, rows in 0i64..9, kind in 0usize..14) {
            let _ = decode_any("x", Datatype::ALL[kind], &[rows], Bytes::from(wire));
        }
    }
}
