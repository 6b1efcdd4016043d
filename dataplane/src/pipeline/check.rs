//! A request against a model's signature, before it is queued: one bad request can then not fail
//! the run that others share. Pure.

use super::classification;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{
    Batching, Dimension, RequestedOutput, Signature, Tensor, TensorData, TensorSpec,
};
use serin_engine::batch::UnsafeInput;

/// Checks names, types and shapes of the inputs.
///
/// # Errors
/// `BadTensor`, naming the input and what would be right.
pub(super) fn inputs(
    inputs: &[Tensor],
    signature: &Signature,
    batching: &Batching,
) -> Result<(), Fault> {
    for (index, input) in inputs.iter().enumerate() {
        let Some(spec) = signature.input(&input.name) else {
            return Err(unknown("input", &input.name, &signature.inputs));
        };
        if inputs[..index].iter().any(|other| other.name == input.name) {
            return Err(bad("duplicate_input", &input.name, "is given twice"));
        }
        tensor(input, spec)?;
    }
    let missing = signature
        .inputs
        .iter()
        .find(|spec| !spec.optional && inputs.iter().all(|input| input.name != spec.name));
    if let Some(spec) = missing {
        return Err(bad("missing_input", &spec.name, "is missing"));
    }
    if batching.merges() {
        same_rows(inputs, signature)?;
    }
    Ok(())
}

/// The indices of the requested outputs; of all outputs when none is requested.
///
/// # Errors
/// `BadTensor` for an unknown or repeated name, and for classes of an output that has none.
pub(super) fn outputs(
    wanted: &[RequestedOutput],
    signature: &Signature,
) -> Result<Vec<usize>, Fault> {
    if wanted.is_empty() {
        return Ok((0..signature.outputs.len()).collect());
    }
    let mut places = Vec::with_capacity(wanted.len());
    for output in wanted {
        let place = signature
            .outputs
            .iter()
            .position(|spec| spec.name == output.name);
        let Some(place) = place else {
            if signature.unserved_outputs.contains(&output.name) {
                let message = format!(
                    "output '{}' is of a type that the protocol has no name for and is not served",
                    output.name
                );
                return Err(Fault::new(FaultKind::BadTensor, "unserved_output", message));
            }
            return Err(unknown("output", &output.name, &signature.outputs));
        };
        if places.contains(&place) {
            let message = format!("output '{}' is asked for twice", output.name);
            return Err(Fault::new(
                FaultKind::BadTensor,
                "duplicate_output",
                message,
            ));
        }
        if output.classes.is_some() {
            classification::check(&signature.outputs[place])?;
        }
        places.push(place);
    }
    Ok(places)
}

fn tensor(input: &Tensor, spec: &TensorSpec) -> Result<(), Fault> {
    if input.datatype != spec.datatype {
        let what = format!("must be {}, got {}", spec.datatype, input.datatype);
        return Err(bad("datatype_mismatch", &input.name, &what));
    }
    let Some(expected) = Tensor::element_count(&input.shape) else {
        let what = format!(
            "has a shape {:?} that is negative or too large",
            input.shape
        );
        return Err(bad("invalid_shape", &input.name, &what));
    };
    let (held, whole) = match (&input.data, input.datatype.width()) {
        (TensorData::Elements(elements), None) => (elements.len(), true),
        (TensorData::Raw(bytes), Some(width)) => (bytes.len() / width, bytes.len() % width == 0),
        (TensorData::Elements(_), Some(_)) | (TensorData::Raw(_), None) => (0, false),
    };
    if held != expected || !whole {
        let what = format!("expected {expected} elements, got {held}");
        let message = format!("input '{}': {what}", input.name);
        return Err(Fault::new(FaultKind::BadTensor, "shape_mismatch", message)
            .with_param(input.name.clone()));
    }
    let Some(dimensions) = &spec.shape else {
        return Ok(());
    };
    let fits = dimensions.len() == input.shape.len()
        && dimensions
            .iter()
            .zip(&input.shape)
            .all(|(dimension, extent)| match dimension {
                Dimension::Fixed(fixed) => fixed == extent,
                Dimension::Variable(_) => true,
            });
    if fits {
        return Ok(());
    }
    let what = format!(
        "has shape {:?}, the model takes {:?} (-1 is any extent)",
        input.shape,
        spec.shape_for_metadata()
    );
    Err(bad("shape_mismatch", &input.name, &what))
}

/// Where rows may be merged, every required input has a row for each row.
fn same_rows(inputs: &[Tensor], signature: &Signature) -> Result<(), Fault> {
    let mut required = inputs.iter().filter(|input| {
        signature
            .input(&input.name)
            .is_some_and(|spec| !spec.optional)
    });
    let Some(first) = required.next() else {
        return Ok(());
    };
    match required.find(|input| input.rows() != first.rows()) {
        None => Ok(()),
        Some(other) => {
            let rows = |tensor: &Tensor| tensor.rows().unwrap_or(1);
            let what = format!(
                "has {} rows while input '{}' has {}",
                rows(other),
                first.name,
                rows(first)
            );
            Err(bad("batch_mismatch", &other.name, &what))
        }
    }
}

/// The refusal of an input that the model does not survive.
pub(super) fn unsafe_input(found: UnsafeInput) -> Fault {
    let UnsafeInput { input, why } = found;
    bad("unsafe_input", &input, &why)
}

fn bad(code: &'static str, input: &str, what: &str) -> Fault {
    Fault::new(
        FaultKind::BadTensor,
        code,
        format!("input '{input}' {what}"),
    )
    .with_param(input)
}

fn unknown(what: &'static str, name: &str, known: &[TensorSpec]) -> Fault {
    let known: Vec<String> = known
        .iter()
        .map(|spec| format!("'{}'", spec.name))
        .collect();
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    let code = match what {
        "input" => "unknown_input",
        _ => "unknown_output",
    };
    let message = format!("{what} '{name}' is unknown; the model has {known}");
    Fault::new(FaultKind::BadTensor, code, message).with_param(name)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use serin_core::types::Datatype;

    fn spec(name: &str, shape: Option<&[i64]>) -> TensorSpec {
        TensorSpec {
            name: name.into(),
            datatype: Datatype::Fp32,
            shape: shape.map(|extents| {
                extents
                    .iter()
                    .map(|extent| match extent {
                        -1 => Dimension::Variable(String::new()),
                        fixed => Dimension::Fixed(*fixed),
                    })
                    .collect()
            }),
            optional: false,
        }
    }

    fn signature(inputs: Vec<TensorSpec>) -> Signature {
        Signature {
            inputs,
            outputs: vec![spec("y", None), spec("z", None)],
            unserved_outputs: vec!["m".into()],
            producer: None,
        }
    }

    fn input(name: &str, shape: &[i64]) -> Tensor {
        let count = Tensor::element_count(shape).unwrap_or_default();
        Tensor {
            name: name.into(),
            datatype: Datatype::Fp32,
            shape: shape.to_vec(),
            data: TensorData::Raw(Bytes::from(vec![0; count * 4])),
        }
    }

    fn code(given: &[Tensor], signature: &Signature, merges: bool) -> &'static str {
        let batching = Batching {
            max_rows: if merges { 8 } else { 1 },
            reason: String::new(),
        };
        inputs(given, signature, &batching).map_or_else(|fault| fault.code, |()| "ok")
    }

    #[test]
    fn an_input_must_be_known_given_once_of_the_type_and_shape() {
        let signature = signature(vec![spec("x", Some(&[-1, 2]))]);
        assert_eq!(code(&[input("x", &[3, 2])], &signature, true), "ok");
        assert_eq!(code(&[input("x", &[0, 2])], &signature, true), "ok");
        assert_eq!(code(&[], &signature, true), "missing_input");
        assert_eq!(
            code(&[input("w", &[3, 2])], &signature, true),
            "unknown_input"
        );
        let twice = [input("x", &[1, 2]), input("x", &[1, 2])];
        assert_eq!(code(&twice, &signature, true), "duplicate_input");
        for shape in [&[3, 3][..], &[2], &[], &[1, 1, 2]] {
            assert_eq!(
                code(&[input("x", shape)], &signature, true),
                "shape_mismatch"
            );
        }
        let mut whole = input("x", &[1, 2]);
        whole.datatype = Datatype::Int32;
        assert_eq!(code(&[whole], &signature, true), "datatype_mismatch");
    }

    #[test]
    fn a_short_tensor_says_what_was_expected() {
        let mut short = input("x", &[2, 2]);
        short.data = TensorData::Raw(Bytes::from(vec![0; 12]));
        let signature = signature(vec![spec("x", Some(&[-1, 2]))]);
        let fault = inputs(&[short], &signature, &Batching::off("")).unwrap_err();
        assert_eq!(fault.message, "input 'x': expected 4 elements, got 3");
        assert_eq!(fault.code, "shape_mismatch");
    }

    #[test]
    fn rows_must_agree_only_where_they_may_be_merged() {
        let signature = signature(vec![spec("a", Some(&[-1, 1])), spec("b", Some(&[-1, 1]))]);
        let given = [input("a", &[2, 1]), input("b", &[3, 1])];
        assert_eq!(code(&given, &signature, true), "batch_mismatch");
        assert_eq!(code(&given, &signature, false), "ok");
    }

    #[test]
    fn an_input_without_a_declared_shape_takes_any() {
        let signature = signature(vec![spec("x", None)]);
        for shape in [&[][..], &[0], &[1, 2, 3]] {
            assert_eq!(code(&[input("x", shape)], &signature, false), "ok");
        }
    }

    #[test]
    fn an_optional_input_may_be_left_out() {
        let mut optional = spec("k", Some(&[1]));
        optional.optional = true;
        let signature = signature(vec![spec("x", Some(&[-1, 1])), optional]);
        assert_eq!(code(&[input("x", &[1, 1])], &signature, true), "ok");
        let both = [input("x", &[3, 1]), input("k", &[1])];
        assert_eq!(code(&both, &signature, true), "ok");
    }

    #[test]
    fn outputs_come_in_the_order_asked_for() {
        let signature = signature(vec![]);
        let ask = |names: &[&str]| {
            let wanted: Vec<_> = names
                .iter()
                .map(|name| RequestedOutput::values(*name))
                .collect();
            outputs(&wanted, &signature).map_err(|fault| fault.code)
        };
        assert_eq!(ask(&[]), Ok(vec![0, 1]));
        assert_eq!(ask(&["z", "y"]), Ok(vec![1, 0]));
        assert_eq!(ask(&["z", "z"]), Err("duplicate_output"));
        assert_eq!(ask(&["q"]), Err("unknown_output"));
        assert_eq!(ask(&["m"]), Err("unserved_output"));
    }
}
