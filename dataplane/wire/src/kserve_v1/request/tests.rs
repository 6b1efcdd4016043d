use super::*;
use serin_core::types::Datatype;

fn spec(name: &str, datatype: Datatype, shape: &[i64]) -> TensorSpec {
    let dimension = |extent: &i64| match extent {
        -1 => Dimension::Variable(String::new()),
        fixed => Dimension::Fixed(*fixed),
    };
    TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: Some(shape.iter().map(dimension).collect()),
        optional: false,
    }
}

fn signature(inputs: Vec<TensorSpec>) -> Signature {
    Signature {
        inputs,
        outputs: Vec::new(),
        unserved_outputs: Vec::new(),
        producer: None,
    }
}

fn one() -> Signature {
    signature(vec![spec("x", Datatype::Fp32, &[-1, 2])])
}

fn two() -> Signature {
    signature(vec![
        spec("id", Datatype::Int64, &[-1]),
        spec("word", Datatype::Bytes, &[-1, 1]),
    ])
}

fn read(body: &str, signature: &Signature) -> Result<Vec<Tensor>, Fault> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let limits = Limits::default();
    crate::room::within(0, |_| Ok(()), |room| parse(&body, signature, &limits, room))
}

fn raw<const WIDTH: usize>(values: &[[u8; WIDTH]]) -> TensorData {
    TensorData::Raw(values.concat().into())
}

#[test]
fn rows_of_an_only_input_take_its_type_and_the_lists_shape() {
    for body in [
        r#"{"instances": [[1, 2], [3, 0.5]]}"#,
        r#"{"inputs": [[1, 2], [3, 0.5]], "signature_name": "x"}"#,
        r#"{"inputs": {"x": [[1, 2], [3, 0.5]]}}"#,
        r#"{"instances": [{"x": [1, 2]}, {"x": [3, 0.5]}]}"#,
    ] {
        let tensors = read(body, &one()).unwrap();
        assert_eq!(tensors.len(), 1);
        assert_eq!(
            (tensors[0].name.as_str(), &tensors[0].shape),
            ("x", &vec![2, 2])
        );
        let expected = raw(&[1f32, 2.0, 3.0, 0.5].map(f32::to_le_bytes));
        assert_eq!(tensors[0].data, expected, "{body}");
    }
}

#[test]
fn rows_by_name_become_the_columns_of_each_input() {
    let body = r#"{"instances": [{"id": 7, "word": ["a"]}, {"word": ["b"], "id": -1}]}"#;
    let tensors = read(body, &two()).unwrap();
    assert_eq!(
        (&tensors[0].shape, &tensors[1].shape),
        (&vec![2], &vec![2, 1])
    );
    assert_eq!(tensors[0].data, raw(&[7i64, -1].map(i64::to_le_bytes)));
    let words = vec![Bytes::from("a"), Bytes::from("b")];
    assert_eq!(tensors[1].data, TensorData::Elements(words));
}

#[test]
fn no_rows_have_the_shape_that_the_model_declares() {
    let tensors = read(r#"{"instances": []}"#, &one()).unwrap();
    assert_eq!(tensors[0].shape, [0, 2]);
}

#[test]
fn nothing_is_cast_in_silence() {
    let integers = signature(vec![spec("x", Datatype::Int8, &[-1])]);
    for (body, code) in [
        (r#"{"instances": [1.5]}"#, "invalid_value"),
        (r#"{"instances": [300]}"#, "invalid_value"),
        (r#"{"instances": ["1"]}"#, "invalid_value"),
        (r#"{"instances": [[1], [2, 3]]}"#, "ragged_data"),
        (r#"{"instances": [[1], 2]}"#, "ragged_data"),
    ] {
        assert_eq!(read(body, &integers).unwrap_err().code, code, "{body}");
    }
    let nan = read(r#"{"instances": [["NaN", 1]]}"#, &one()).unwrap();
    assert_eq!(nan[0].data, raw(&[f32::NAN, 1.0].map(f32::to_le_bytes)));
}

#[test]
fn what_is_wrong_with_the_form_is_named() {
    for (body, code, param) in [
        ("{}", "missing_field", "instances"),
        (r#"{"instances": 1}"#, "invalid_type", "instances"),
        (
            r#"{"instances": [], "inputs": {}}"#,
            "conflicting_data",
            "inputs",
        ),
        (
            r#"{"instances": [], "instances": []}"#,
            "duplicate_field",
            "instances",
        ),
        (r#"{"instances": [[1, "a"]]}"#, "invalid_type", "instances"),
        (r#"{"inputs": [1]}"#, "invalid_type", "inputs"),
        (r#"{"instances": [{"nope": 1}]}"#, "unknown_input", "nope"),
        (r#"{"inputs": {"nope": 1}}"#, "unknown_input", "nope"),
        (
            r#"{"inputs": {"id": [1], "id": [1]}}"#,
            "duplicate_field",
            "inputs.id",
        ),
        (
            r#"{"instances": [{"id": 1, "id": 1}]}"#,
            "duplicate_field",
            "instances[0].id",
        ),
        (
            r#"{"instances": [{"id": 1}, {"id": 1, "word": ["a"]}]}"#,
            "missing_input",
            "instances[0]",
        ),
        (
            r#"{"instances": [{"id": 1, "word": ["a"]}, {"id": 1}]}"#,
            "missing_input",
            "instances[1]",
        ),
        (
            r#"{"instances": [{"id": 1}, 2]}"#,
            "invalid_type",
            "instances[1]",
        ),
        (
            r#"{"instances": [{"word": ["a"]}, {"word": ["a", "b"]}]}"#,
            "ragged_data",
            "instances[1].word",
        ),
    ] {
        let fault = read(body, &two()).unwrap_err();
        let told = (fault.code, fault.param.as_deref());
        assert_eq!(told, (code, Some(param)), "{body}: {fault}");
    }
    let deep = format!(r#"{{"instances": {}1{}}}"#, "[".repeat(20), "]".repeat(20));
    assert_eq!(read(&deep, &one()).unwrap_err().code, "too_many_dimensions");
}

#[test]
fn an_optional_input_does_not_hinder_values_without_a_name() {
    let mut signature = two();
    signature.inputs[1].optional = true;
    let tensors = read(r#"{"instances": [5]}"#, &signature).unwrap();
    assert_eq!(tensors[0].name, "id");
}
