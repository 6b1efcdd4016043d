//! An example request that a model accepts, made from its signature.

use serde::Serialize;
use serde_json::{Value, json};

use serin_core::types::{Datatype, Dimension, Signature, Tensor, TensorSpec};

/// An example request: one row of made-up values for every input that must be given.
#[derive(Debug, Serialize)]
pub struct Request<'a> {
    inputs: Vec<Input<'a>>,
}

#[derive(Debug, Serialize)]
struct Input<'a> {
    name: &'a str,
    shape: Vec<i64>,
    datatype: &'static str,
    data: Vec<Value>,
}

/// A request for a model of this signature; `None` where one of its inputs would have more than
/// `max_elements` elements.
pub fn request(signature: &Signature, max_elements: usize) -> Option<Request<'_>> {
    let required = signature.inputs.iter().filter(|input| !input.optional);
    let inputs = required.map(|input| {
        let shape = shape(input);
        let count = Tensor::element_count(&shape).filter(|count| *count <= max_elements)?;
        Some(Input {
            name: &input.name,
            shape,
            datatype: input.datatype.as_str(),
            data: vec![element(input.datatype); count],
        })
    });
    Some(Request {
        inputs: inputs.collect::<Option<_>>()?,
    })
}

/// The shape of an input with one row: 1 for every variable dimension.
pub(crate) fn shape(input: &TensorSpec) -> Vec<i64> {
    let dimensions = input.shape.as_deref().unwrap_or(&[Dimension::Fixed(1)]);
    let extents = dimensions.iter().map(|dimension| match dimension {
        Dimension::Fixed(extent) => *extent,
        Dimension::Variable(_) => 1,
    });
    extents.collect()
}

/// A value that any model may be given.
pub(crate) fn element(datatype: Datatype) -> Value {
    match datatype {
        Datatype::Bool => json!(false),
        Datatype::Bytes => json!("text"),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => json!(0.5),
        _ => json!(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(inputs: Vec<(&str, Datatype, Option<Vec<Dimension>>, bool)>) -> Signature {
        let spec = |(name, datatype, shape, optional): (&str, _, _, _)| TensorSpec {
            name: name.to_owned(),
            datatype,
            shape,
            optional,
        };
        Signature {
            inputs: inputs.into_iter().map(spec).collect(),
            outputs: Vec::new(),
            unserved_outputs: Vec::new(),
            producer: None,
        }
    }

    #[test]
    fn every_required_input_gets_one_row() {
        let rows = Dimension::Variable("N".into());
        let signature = signature(vec![
            (
                "it's",
                Datatype::Fp32,
                Some(vec![rows, Dimension::Fixed(2)]),
                false,
            ),
            ("word", Datatype::Bytes, None, false),
            ("extra", Datatype::Int64, None, true),
        ]);
        assert_eq!(
            serde_json::to_string(&request(&signature, 10)).unwrap(),
            r#"{"inputs":[{"name":"it's","shape":[1,2],"datatype":"FP32","data":[0.5,0.5]},{"name":"word","shape":[1],"datatype":"BYTES","data":["text"]}]}"#
        );
    }

    #[test]
    fn an_image_is_too_long() {
        let fixed = |extents: &[i64]| Some(extents.iter().copied().map(Dimension::Fixed).collect());
        let image = signature(vec![("x", Datatype::Fp32, fixed(&[3, 224, 224]), false)]);
        assert!(request(&image, 256).is_none());
        assert!(request(&image, 3 * 224 * 224).is_some());
        let huge = signature(vec![("x", Datatype::Fp32, fixed(&[i64::MAX, 4]), false)]);
        assert!(request(&huge, usize::MAX).is_none());
    }
}
