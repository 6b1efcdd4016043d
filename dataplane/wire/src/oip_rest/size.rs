//! The most bytes that an answer can have in JSON: its memory is reserved before it is written.

use super::Forms;
use serin_core::types::{Datatype, Outputs, Tensor, TensorData};

/// What a response has besides names, shapes and data, and each output of it.
const FRAME: usize = 256;
const OUTPUT: usize = 128;

/// Digits of an extent, and its comma.
const EXTENT: usize = 21;

/// Most bytes of a response's body, and of what is made on the way to it.
pub fn largest(reply: &Outputs, id: &str, forms: &Forms) -> usize {
    let head = FRAME + text(&reply.model_name) + text(&reply.model_version) + text(id);
    let outputs = reply.outputs.iter().enumerate().map(|(index, tensor)| {
        let data = if forms.is_binary(index) {
            binary(tensor)
        } else {
            values(tensor)
        };
        let shape = tensor.shape.len().saturating_mul(EXTENT);
        data.saturating_add(OUTPUT + text(&tensor.name) + shape)
    });
    outputs.fold(head, usize::saturating_add)
}

/// Bytes of a tensor after the JSON: texts are joined first.
fn binary(tensor: &Tensor) -> usize {
    match &tensor.data {
        TensorData::Raw(bytes) => bytes.len(),
        TensorData::Elements(elements) => 2 * (tensor.byte_size() + 4 * elements.len()),
    }
}

/// Most bytes of a tensor's values, each with its comma.
pub(crate) fn values(tensor: &Tensor) -> usize {
    match &tensor.data {
        TensorData::Raw(bytes) => {
            let count = bytes.len() / tensor.datatype.width().unwrap_or(1);
            count.saturating_mul(number(tensor.datatype))
        }
        TensorData::Elements(elements) => elements.iter().map(|element| bytes(element)).sum(),
    }
}

/// Most bytes of a number and its comma, or of the word that stands for one.
pub(crate) const fn number(datatype: Datatype) -> usize {
    match datatype {
        Datatype::Bool | Datatype::Int16 => 7,
        Datatype::Uint8 => 4,
        Datatype::Int8 => 5,
        Datatype::Uint16 => 6,
        Datatype::Uint32 => 11,
        Datatype::Int32 => 12,
        Datatype::Uint64 | Datatype::Int64 => 21,
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 => 17,
        Datatype::Fp64 | Datatype::Bytes => 26,
    }
}

/// Most bytes of an element of BYTES: a string or base64, in quotes or in an object of its own.
fn bytes(element: &[u8]) -> usize {
    let base64 = element.len().div_ceil(3) * 4;
    escaped(element).max(base64) + 12
}

/// Bytes of a text as a string.
pub(crate) fn text(text: &str) -> usize {
    escaped(text.as_bytes()) + 2
}

fn escaped(text: &[u8]) -> usize {
    let one = |byte: &u8| match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serin_core::types::Timing;
    use serin_crds::contract::policy::NonFinite;

    use super::*;
    use crate::kserve_v1;
    use crate::oip_rest::response::render;

    fn reply(name: String, outputs: Vec<Tensor>) -> Outputs {
        Outputs {
            model_name: name,
            model_version: "1".to_owned(),
            outputs,
            timing: Timing::default(),
        }
    }

    fn fits(outputs: Vec<Tensor>, name: String) {
        let reply = reply(name, outputs);
        for binary_by_default in [false, true] {
            let forms = Forms {
                binary_by_default,
                listed: Vec::new(),
            };
            let most = largest(&reply, "an id", &forms);
            let answer = render(&reply, "an id", &forms, NonFinite::String, most).unwrap();
            assert!(answer.body.len() <= most, "{reply:?}");
        }
        let most = kserve_v1::largest(&reply);
        let body = kserve_v1::render(&reply, NonFinite::String, most).unwrap();
        assert!(body.len() <= most, "{reply:?}: {} of {most}", body.len());
    }

    #[test]
    fn the_widest_value_of_each_datatype_is_counted() {
        for datatype in Datatype::ALL {
            let Some(width) = datatype.width() else {
                continue;
            };
            // Among these are the least and the largest integers, -1, and odd floats of every kind.
            for pattern in [
                [0x00, 0x80],
                [0xff, 0x7f],
                [0xff, 0xff],
                [0xff, 0xfe],
                [0x5a, 0xa5],
                [0x01, 0x00],
                [0xf7, 0xc2],
            ] {
                let mut one = vec![pattern[0]; width];
                one[width - 1] = pattern[1];
                if datatype == Datatype::Bool {
                    one = vec![0];
                }
                let tensor = Tensor {
                    name: "y".to_owned(),
                    datatype,
                    shape: vec![100],
                    data: TensorData::Raw(Bytes::from(one.repeat(100))),
                };
                fits(vec![tensor], "m".to_owned());
            }
        }
    }

    #[test]
    fn lists_of_lists_and_empty_ones_are_counted() {
        for shape in [
            vec![100, 1, 1, 1],
            vec![1, 1, 100],
            vec![100, 0],
            vec![0, 7],
            vec![],
        ] {
            let count = Tensor::element_count(&shape).unwrap();
            let tensor = |name: &str| Tensor {
                name: name.to_owned(),
                datatype: Datatype::Int64,
                shape: shape.clone(),
                data: TensorData::Raw(Bytes::from(vec![0x80; 8 * count])),
            };
            fits(vec![tensor("y")], "m".to_owned());
            fits(
                vec![tensor("a"), tensor("a name of some length")],
                "m".to_owned(),
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_is_longer_than_what_was_counted(elements: Vec<Vec<u8>>, name: String, model: String) {
            let tensor = Tensor {
                name,
                datatype: Datatype::Bytes,
                shape: vec![i64::try_from(elements.len()).unwrap()],
                data: TensorData::Elements(elements.into_iter().map(Bytes::from).collect()),
            };
            fits(vec![tensor], model);
        }

        #[test]
        fn no_float_is_longer_than_what_was_counted(values: Vec<f64>, singles: Vec<f32>) {
            let tensor = |datatype, count: usize, bytes: Vec<u8>| Tensor {
                name: "y".to_owned(),
                datatype,
                shape: vec![i64::try_from(count).unwrap()],
                data: TensorData::Raw(Bytes::from(bytes)),
            };
            let doubles = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let floats = singles.iter().flat_map(|value| value.to_le_bytes()).collect();
            fits(vec![tensor(Datatype::Fp64, values.len(), doubles)], "m".to_owned());
            fits(vec![tensor(Datatype::Fp32, singles.len(), floats)], "m".to_owned());
        }
    }
}
