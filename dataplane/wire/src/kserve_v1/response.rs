//! `{"predictions": ...}`: one value for each row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serin_crds::contract::policy::NonFinite;

use crate::non_finite;
use crate::oip_rest::response::{numbers, separated, string};
use crate::oip_rest::size;
use serin_core::fault::Fault;
use serin_core::types::{Outputs, Tensor, TensorData};

/// Most bytes of a response: the values, a pair of brackets and a comma for each list of each level,
/// and the names of the outputs in each row.
pub fn largest(reply: &Outputs) -> usize {
    let outputs = reply.outputs.iter().map(|output| {
        let mut lists = 1usize;
        let mut brackets = 3usize;
        for extent in &output.shape {
            let extent = usize::try_from(*extent).unwrap_or(0);
            lists = lists.saturating_mul(extent);
            brackets = brackets.saturating_add(lists.saturating_mul(3));
        }
        let rows = output.rows().unwrap_or(1).max(1);
        let names = rows.saturating_mul(size::text(&output.name) + 4);
        let values = size::values(output).saturating_add(brackets);
        values.saturating_add(names)
    });
    outputs.fold(64, usize::saturating_add)
}

/// Renders a response of at most `largest` bytes: the rows of a single output as nested lists; of several outputs an object for
/// each row or, if their numbers of rows differ, one object of whole tensors.
///
/// # Errors
/// `Inference` for a float that JSON has no number for, where the service refuses those.
pub fn render(reply: &Outputs, choice: NonFinite, largest: usize) -> Result<Bytes, Fault> {
    non_finite::check(&reply.outputs, choice)?;
    let mut out = Vec::with_capacity(largest);
    out.extend_from_slice(b"{\"predictions\":");
    let rows = reply.outputs.first().and_then(Tensor::rows);
    let alike = reply.outputs.iter().all(|output| output.rows() == rows);
    match (reply.outputs.as_slice(), rows) {
        ([output], _) => nested(&mut out, output, &output.shape, 0, choice),
        (outputs, Some(rows)) if alike => {
            out.push(b'[');
            for row in 0..rows {
                if row > 0 {
                    out.push(b',');
                }
                object(&mut out, outputs, |out, output| {
                    let inner = output.shape.get(1..).unwrap_or_default();
                    nested(out, output, inner, row * count(inner), choice);
                });
            }
            out.push(b']');
        }
        (outputs, _) => object(&mut out, outputs, |out, output| {
            nested(out, output, &output.shape, 0, choice);
        }),
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}

fn object(out: &mut Vec<u8>, outputs: &[Tensor], write: impl Fn(&mut Vec<u8>, &Tensor)) {
    out.push(b'{');
    separated(out, outputs, |out, output| {
        string(out, &output.name);
        out.push(b':');
        write(out, output);
    });
    out.push(b'}');
}

/// Elements of a shape; an output's fits its data.
fn count(shape: &[i64]) -> usize {
    Tensor::element_count(shape).unwrap_or(0)
}

/// Writes the elements from `start` as lists of this shape.
fn nested(out: &mut Vec<u8>, tensor: &Tensor, shape: &[i64], start: usize, choice: NonFinite) {
    match shape {
        [] => elements(out, tensor, start, 1, choice),
        [length] => {
            out.push(b'[');
            let length = usize::try_from(*length).unwrap_or(0);
            elements(out, tensor, start, length, choice);
            out.push(b']');
        }
        [length, inner @ ..] => {
            out.push(b'[');
            for at in 0..usize::try_from(*length).unwrap_or(0) {
                if at > 0 {
                    out.push(b',');
                }
                nested(out, tensor, inner, start + at * count(inner), choice);
            }
            out.push(b']');
        }
    }
}

fn elements(out: &mut Vec<u8>, tensor: &Tensor, start: usize, count: usize, choice: NonFinite) {
    match &tensor.data {
        TensorData::Raw(bytes) => {
            let width = tensor.datatype.width().unwrap_or(1);
            let part = bytes.get(start * width..(start + count) * width);
            numbers(out, tensor.datatype, part.unwrap_or_default(), choice);
        }
        TensorData::Elements(all) => {
            let part = all.get(start..start + count).unwrap_or_default();
            separated(out, part, |out, element| {
                match std::str::from_utf8(element) {
                    Ok(text) => string(out, text),
                    // As TensorFlow Serving has it, whose protocol this is.
                    Err(_) => {
                        let text = format!("{{\"b64\":\"{}\"}}", STANDARD.encode(element));
                        out.extend_from_slice(text.as_bytes());
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_core::types::{Datatype, Timing};

    fn floats(name: &str, shape: &[i64], values: &[f32]) -> Tensor {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Tensor {
            name: name.to_owned(),
            datatype: Datatype::Fp32,
            shape: shape.to_vec(),
            data: TensorData::Raw(bytes.into()),
        }
    }

    fn words(name: &str, shape: &[i64], words: &[&[u8]]) -> Tensor {
        Tensor {
            datatype: Datatype::Bytes,
            data: TensorData::Elements(
                words
                    .iter()
                    .map(|word| Bytes::copy_from_slice(word))
                    .collect(),
            ),
            ..floats(name, shape, &[])
        }
    }

    fn rendered(outputs: Vec<Tensor>) -> String {
        let reply = Outputs {
            model_name: "m".into(),
            model_version: "1".into(),
            outputs,
            timing: Timing::default(),
        };
        let body = render(&reply, NonFinite::String, largest(&reply)).unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn an_only_output_is_nested_lists() {
        let cases = [
            (
                vec![2, 2],
                vec![1.0, 2.0, 3.0, 4.0],
                "[[1.0,2.0],[3.0,4.0]]",
            ),
            (vec![2], vec![1.0, f32::NAN], r#"[1.0,"NaN"]"#),
            (vec![2, 1, 1], vec![1.0, 2.0], "[[[1.0]],[[2.0]]]"),
            (vec![0, 4], vec![], "[]"),
            (vec![2, 0], vec![], "[[],[]]"),
            (vec![], vec![5.0], "5.0"),
        ];
        for (shape, values, expected) in cases {
            let expected = format!(r#"{{"predictions":{expected}}}"#);
            assert_eq!(rendered(vec![floats("y", &shape, &values)]), expected);
        }
    }

    #[test]
    fn several_outputs_are_an_object_for_each_row() {
        let label = words("label", &[2], &[b"a", b"\xff"]);
        let score = floats("score", &[2, 2], &[0.5, 0.25, 1.0, 2.0]);
        assert_eq!(
            rendered(vec![label, score]),
            r#"{"predictions":[{"label":"a","score":[0.5,0.25]},{"label":{"b64":"/w=="},"score":[1.0,2.0]}]}"#
        );
    }

    #[test]
    fn outputs_without_common_rows_are_whole() {
        let outputs = vec![floats("a", &[1], &[1.0]), floats("b", &[2], &[2.0, 3.0])];
        assert_eq!(
            rendered(outputs),
            r#"{"predictions":{"a":[1.0],"b":[2.0,3.0]}}"#
        );
    }
}
