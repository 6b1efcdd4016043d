//! Tensors as bytes: the binary extension of REST and the raw contents of gRPC.

use crate::memory::any;
use arbitrary::Unstructured;
use bytes::Bytes;
use serin_core::Limits;
use serin_core::types::{Datatype, Dimension, Signature, Tensor, TensorData, TensorSpec};
use serin_wire::oip_rest::raw_request;
use serin_wire::raw_tensor;

use super::checks;
use crate::Target;

pub const RAW_TENSOR: Target = Target {
    name: "raw_tensor",
    about: "a tensor's bytes are taken whole or refused, and written back the same",
    run: tensor,
    seeds: || {
        vec![
            [&[13, 1, 2][..], b"\x02\0\0\0\xff\0\x02\0\0\0hi"].concat(),
            [&[11, 2, 1, 2][..], &[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]].concat(),
            vec![0, 1, 2, 1, 0],
            vec![13, 0, 1, 0, 0, 0, b'x'],
        ]
    },
    dictionary: &["\u{1}\0\0\0", "\0\0\0\0"],
    longest: 1024,
};

/// Extents that have gone wrong in other servers.
const EXTENTS: [i64; 12] = [
    0,
    1,
    2,
    3,
    5,
    8,
    255,
    -1,
    1 << 31,
    1 << 62,
    i64::MAX,
    i64::MIN,
];

fn tensor(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let datatype = *input.choose(&Datatype::ALL).expect("a datatype");
    let rank = input.int_in_range(0..=4).expect("a rank");
    let shape: Vec<i64> = (0..rank)
        .map(|_| *input.choose(&EXTENTS).expect("an extent"))
        .collect();
    let wire = Bytes::copy_from_slice(input.take_rest());
    match any(|room| raw_tensor::decode("x", datatype, &shape, wire.clone(), room)) {
        Err(fault) => {
            checks::fault(&fault);
            assert!(!fits(datatype, &shape, &wire), "refused: {fault:?}");
        }
        Ok(data) => {
            assert!(fits(datatype, &shape, &wire), "taken: {data:?}");
            assert_eq!(
                raw_tensor::encode(&data),
                wire,
                "written otherwise than read"
            );
            let tensor = Tensor {
                name: "x".into(),
                datatype,
                shape,
                data,
            };
            checks::tensor(&tensor, &Limits::default());
        }
    }
}

/// The rule of the extension once more, by another way.
fn fits(datatype: Datatype, shape: &[i64], wire: &[u8]) -> bool {
    let mut count: u128 = 1;
    for extent in shape {
        let Ok(extent) = u128::try_from(*extent) else {
            return false;
        };
        // Five extents below 2^63 may exceed even this; a zero after that is refused as well.
        let Some(product) = count
            .checked_mul(extent)
            .filter(|product| *product <= u128::from(u64::MAX))
        else {
            return false;
        };
        count = product;
    }
    match datatype.width() {
        Some(width) => {
            count * width as u128 == wire.len() as u128
                && (datatype != Datatype::Bool || wire.iter().all(|byte| *byte < 2))
        }
        None => {
            let (mut at, mut found) = (0, 0);
            while at < wire.len() {
                let Some(prefix) = wire.get(at..at + 4) else {
                    return false;
                };
                let length = prefix
                    .iter()
                    .rev()
                    .fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
                at += 4 + length;
                found += 1;
            }
            at == wire.len() && found == count
        }
    }
}

pub const RAW_REQUEST: Target = Target {
    name: "raw_request",
    about: "a body without JSON becomes a tensor that fits the model's input, or is refused",
    run: request,
    seeds: || {
        vec![
            [&[11, 2, 0, 2][..], &[0; 16]].concat(),
            [&[13, 1, 0][..], b"hello"].concat(),
            vec![8, 3, 1, 0, 4, 1],
        ]
    },
    dictionary: &[],
    longest: 512,
};

/// Dimensions that a model's file may declare; `None` is variable.
const DIMENSIONS: [Option<i64>; 8] = [
    None,
    Some(1),
    Some(2),
    Some(0),
    Some(3),
    Some(i64::MAX),
    Some(1 << 40),
    Some(7),
];

fn request(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let datatype = *input.choose(&Datatype::ALL).expect("a datatype");
    let rank = input.int_in_range(0..=5).expect("a rank");
    let dimensions: Vec<Dimension> = (0..rank)
        .map(|_| match input.choose(&DIMENSIONS).expect("a dimension") {
            Some(extent) => Dimension::Fixed(*extent),
            None => Dimension::Variable(String::new()),
        })
        .collect();
    let signature = Signature {
        inputs: vec![TensorSpec {
            name: "x".into(),
            datatype,
            shape: (rank < 5).then_some(dimensions),
            optional: false,
        }],
        outputs: Vec::new(),
        unserved_outputs: Vec::new(),
        producer: None,
    };
    let body = Bytes::copy_from_slice(input.take_rest());
    match any(|room| raw_request(body.clone(), &signature, room)) {
        Err(fault) => checks::fault(&fault),
        Ok(request) => {
            let [input] = request.inputs.as_slice() else {
                panic!("{} inputs", request.inputs.len());
            };
            checks::tensor(input, &Limits::default());
            let dimensions = signature.inputs[0].shape.as_deref().unwrap_or_default();
            assert_eq!(dimensions.len(), input.shape.len());
            for (dimension, extent) in dimensions.iter().zip(&input.shape) {
                assert!(
                    matches!(dimension, Dimension::Variable(_))
                        || *dimension == Dimension::Fixed(*extent)
                );
            }
            match &input.data {
                TensorData::Raw(bytes) => assert_eq!(*bytes, body),
                TensorData::Elements(elements) => assert_eq!(elements.as_slice(), [body]),
            }
        }
    }
}
