use proptest::prelude::*;
use prost::Message;

use super::super::proto::InferTensorContents;
use super::super::typed;
use super::*;

/// Reads the lists of `messages`, one after the other.
fn read(datatype: Datatype, shape: &[i64], messages: &[Vec<u8>]) -> Result<TensorData, Fault> {
    let whole = Bytes::from(messages.concat());
    crate::room::within(
        0,
        |_| Ok(()),
        |room| {
            let mut contents = Contents::new("x", datatype, shape, &whole, room);
            let mut at = 0;
            for message in messages {
                contents.merge(&whole[at..at + message.len()])?;
                at += message.len();
            }
            contents.finish()
        },
    )
}

fn one(
    datatype: Datatype,
    shape: &[i64],
    contents: &InferTensorContents,
) -> Result<TensorData, Fault> {
    read(datatype, shape, &[contents.encode_to_vec()])
}

#[test]
fn int8_out_of_range_is_refused_and_not_wrapped() {
    let contents = InferTensorContents {
        int_contents: vec![1, 300, -400],
        ..Default::default()
    };
    let fault = one(Datatype::Int8, &[3], &contents).unwrap_err();
    assert_eq!(fault.message, "input 'x': 300 is out of range for INT8");
    let contents = InferTensorContents {
        uint_contents: vec![u32::MAX],
        ..Default::default()
    };
    let fault = one(Datatype::Uint16, &[1], &contents).unwrap_err();
    assert_eq!(
        fault.message,
        "input 'x': 4294967295 is out of range for UINT16"
    );
}

#[test]
fn a_list_of_another_datatype_is_refused() {
    let contents = InferTensorContents {
        fp32_contents: vec![1.0],
        int_contents: vec![1],
        ..Default::default()
    };
    let fault = one(Datatype::Fp32, &[1], &contents).unwrap_err();
    assert_eq!(
        fault.message,
        "input 'x': FP32 elements do not belong into int_contents, send them in fp32_contents"
    );
}

#[test]
fn a_count_that_is_not_the_shapes_says_both() {
    let contents = InferTensorContents {
        fp32_contents: vec![1.0; 3],
        ..Default::default()
    };
    for expected in [4, 2] {
        let fault = one(Datatype::Fp32, &[expected], &contents).unwrap_err();
        let message = format!("input 'x': expected {expected} elements, got 3");
        assert_eq!(fault.message, message);
    }
    for shape in [&[-1][..], &[i64::MAX, 4]] {
        let fault = one(Datatype::Fp32, shape, &contents).unwrap_err();
        assert_eq!(fault.code, "invalid_shape");
    }
}

#[test]
fn fp16_must_come_raw() {
    let fault = one(Datatype::Fp16, &[0], &InferTensorContents::default()).unwrap_err();
    assert!(fault.message.contains("raw_input_contents"));
}

#[test]
fn a_packed_list_that_ends_within_an_element_is_refused() {
    for bytes in [
        &[6 << 3 | 2, 3, 0, 0, 0][..],
        &[1 << 3 | 2, 1, 0x80],
        &[8 << 3, 1],
    ] {
        let fault = read(Datatype::Fp32, &[1], &[bytes.to_vec()]).unwrap_err();
        assert_eq!(fault.code, "malformed_body", "{bytes:?}");
    }
}

#[test]
fn every_datatype_with_a_list_survives_it() {
    for datatype in Datatype::ALL {
        let data = match datatype.width() {
            None => TensorData::Elements(vec![Bytes::from_static(b"\xff\0"), Bytes::new()]),
            Some(width) => TensorData::Raw(Bytes::from([vec![1; width], vec![0; width]].concat())),
        };
        let tensor = Tensor {
            name: "x".into(),
            datatype,
            shape: vec![2],
            data,
        };
        match typed::encode(&tensor) {
            None => assert!(matches!(datatype, Datatype::Fp16 | Datatype::Bf16)),
            Some(contents) => assert_eq!(one(datatype, &[2], &contents).unwrap(), tensor.data),
        }
    }
}

/// A list as prost holds it, of the datatype that its field number from 1 to 8 belongs to.
fn of_prost(list: u8, contents: &InferTensorContents) -> (Datatype, usize, TensorData) {
    fn raw<T, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> (usize, TensorData) {
        let bytes: Vec<u8> = values.iter().flat_map(bytes).collect();
        (values.len(), TensorData::Raw(bytes.into()))
    }
    let lists = contents;
    let (datatype, (count, data)) = match list {
        1 => (
            Datatype::Bool,
            raw(&lists.bool_contents, |it| [u8::from(*it)]),
        ),
        2 => (
            Datatype::Int32,
            raw(&lists.int_contents, |it| it.to_le_bytes()),
        ),
        3 => (
            Datatype::Int64,
            raw(&lists.int64_contents, |it| it.to_le_bytes()),
        ),
        4 => (
            Datatype::Uint32,
            raw(&lists.uint_contents, |it| it.to_le_bytes()),
        ),
        5 => (
            Datatype::Uint64,
            raw(&lists.uint64_contents, |it| it.to_le_bytes()),
        ),
        6 => (
            Datatype::Fp32,
            raw(&lists.fp32_contents, |it| it.to_le_bytes()),
        ),
        7 => (
            Datatype::Fp64,
            raw(&lists.fp64_contents, |it| it.to_le_bytes()),
        ),
        _ => {
            let elements = lists.bytes_contents.clone();
            (
                Datatype::Bytes,
                (elements.len(), TensorData::Elements(elements)),
            )
        }
    };
    (datatype, count, data)
}

/// One field of a list, packed or not, as any writer may encode it.
fn a_field(list: u8) -> BoxedStrategy<Vec<u8>> {
    let packed = move |bytes: Vec<u8>| {
        let mut field = vec![list << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        [field, bytes].concat()
    };
    let alone = move |wire_type: u8, bytes: Vec<u8>| [vec![list << 3 | wire_type], bytes].concat();
    let number = any::<u64>().prop_map(|number| {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(number, &mut bytes);
        bytes
    });
    let many = |one: BoxedStrategy<Vec<u8>>| {
        proptest::collection::vec(one, 0..5).prop_map(|all| all.concat())
    };
    match list {
        1..=5 => prop_oneof![
            number.clone().prop_map(move |bytes| alone(0, bytes)),
            many(number.boxed()).prop_map(packed),
        ]
        .boxed(),
        6 | 7 => {
            let width = if list == 6 { 4 } else { 8 };
            let float = proptest::collection::vec(any::<u8>(), width);
            let wire_type = if list == 6 { 5 } else { 1 };
            prop_oneof![
                float.clone().prop_map(move |bytes| alone(wire_type, bytes)),
                many(float.boxed()).prop_map(packed),
            ]
            .boxed()
        }
        _ => proptest::collection::vec(any::<u8>(), 0..9)
            .prop_map(packed)
            .boxed(),
    }
}

proptest! {
    /// However the lists are packed, split and spread over several messages.
    #[test]
    fn lists_are_what_prost_reads(
        (list, messages) in (1_u8..=8).prop_flat_map(|list| {
            let message = proptest::collection::vec(a_field(list), 0..4).prop_map(|all| all.concat());
            (Just(list), proptest::collection::vec(message, 1..3))
        }),
    ) {
        let lists = InferTensorContents::decode(&messages.concat()[..]).unwrap();
        let (datatype, count, data) = of_prost(list, &lists);
        let shape = [i64::try_from(count).unwrap()];
        // Compared by their bytes: a NaN is not equal to itself.
        prop_assert_eq!(read(datatype, &shape, &messages).unwrap(), data);
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_by_prost(
        message in proptest::collection::vec(any::<u8>(), 0..40), kind in 0_usize..14,
    ) {
        let ours = read(Datatype::ALL[kind], &[1], std::slice::from_ref(&message));
        let malformed = ours.is_err_and(|fault| fault.code == "malformed_body");
        prop_assert_eq!(malformed, InferTensorContents::decode(&message[..]).is_err());
    }
}
