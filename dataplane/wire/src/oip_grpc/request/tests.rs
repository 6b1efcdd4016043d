use prost::Message;

use super::super::proto::infer_parameter::ParameterChoice;
use super::super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::super::proto::{InferParameter, InferTensorContents, ModelInferRequest};
use super::*;
use serin_core::types::TensorData;

fn decoded(bytes: Vec<u8>) -> (Result<Decoded, Fault>, usize) {
    let mut most = 0;
    let decoded = decode(&Bytes::from(bytes), &Limits::default(), &mut |total| {
        most = total;
        Ok(())
    });
    (decoded, most)
}

fn read(request: &ModelInferRequest) -> Result<Decoded, Fault> {
    decoded(request.encode_to_vec()).0
}

fn input(name: &str) -> InferInputTensor {
    InferInputTensor {
        name: name.into(),
        datatype: "FP32".into(),
        shape: vec![1],
        ..Default::default()
    }
}

fn request(inputs: Vec<InferInputTensor>, raw: &[&'static [u8]]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "m".into(),
        inputs,
        raw_input_contents: raw.iter().map(|bytes| Bytes::from_static(bytes)).collect(),
        ..Default::default()
    }
}

fn parameter(choice: ParameterChoice) -> InferParameter {
    InferParameter {
        parameter_choice: Some(choice),
    }
}

/// A field of variable length.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

#[test]
fn a_whole_request_is_read() {
    let mut whole = request(
        vec![input("x"), input("y")],
        &[b"\0\0\x80\x3f", b"\0\0\0\0"],
    );
    whole.model_version = "2".into();
    whole.id = "a".into();
    let timeout = parameter(ParameterChoice::Int64Param(1500));
    whole.parameters.insert("timeout".into(), timeout);
    let mut output = InferRequestedOutputTensor {
        name: "p".into(),
        ..Default::default()
    };
    let classes = parameter(ParameterChoice::Uint64Param(3));
    output.parameters.insert("classification".into(), classes);
    whole.outputs = vec![output, InferRequestedOutputTensor::default()];
    let bytes = Bytes::from(whole.encode_to_vec());
    let decoded = decode(&bytes, &Limits::default(), &mut |_| Ok(())).unwrap();
    assert_eq!(decoded.model, model_ref("m", "2").unwrap());
    assert_eq!(decoded.id, "a");
    assert_eq!(
        decoded.parameters.timeout.map(|it| it.as_micros()),
        Some(1500)
    );
    assert_eq!(decoded.outputs[0].classes.map(usize::from), Some(3));
    assert_eq!(decoded.outputs[1], RequestedOutput::values(""));
    let [x, y] = &decoded.inputs[..] else {
        panic!("{:?}", decoded.inputs)
    };
    assert_eq!((&x.name[..], &y.name[..]), ("x", "y"));
    let TensorData::Raw(data) = &x.data else {
        panic!("{x:?}")
    };
    assert!(bytes.as_ptr_range().contains(&data.as_ptr()), "no copy");
}

#[test]
fn raw_contents_must_be_as_many_as_the_inputs() {
    let fault = read(&request(vec![input("a"), input("b")], &[b"\0\0\0\0"])).unwrap_err();
    assert!(fault.message.contains("1 entries for 2 inputs"), "{fault}");
}

#[test]
fn an_input_may_not_come_twice_in_two_forms() {
    let mut both = input("a");
    both.contents = Some(InferTensorContents::default());
    let fault = read(&request(vec![both], &[b"\0\0\0\0"])).unwrap_err();
    assert_eq!(fault.code, "raw_contents_mismatch");
}

#[test]
fn the_answer_takes_the_form_of_the_request_unless_told_otherwise() {
    let raw = request(vec![input("a")], &[b"\0\0\0\0"]);
    assert!(!read(&raw).unwrap().typed_answer);
    let mut typed = input("a");
    typed.contents = Some(InferTensorContents {
        fp32_contents: vec![1.0],
        ..Default::default()
    });
    let mut typed = request(vec![typed], &[]);
    assert!(read(&typed).unwrap().typed_answer);
    let binary = parameter(ParameterChoice::BoolParam(true));
    typed.parameters.insert("binary_data_output".into(), binary);
    assert!(!read(&typed).unwrap().typed_answer);
}

#[test]
fn an_empty_final_response_may_be_asked_for_by_true_or_false() {
    let ask = |choice| {
        let mut asking = request(vec![], &[]);
        let value = parameter(choice);
        asking.parameters.insert(EMPTY_FINAL_RESPONSE.into(), value);
        read(&asking)
    };
    assert!(ask(ParameterChoice::BoolParam(true)).is_ok());
    let fault = ask(ParameterChoice::Int64Param(1)).unwrap_err();
    assert_eq!(fault.code, "invalid_parameter");
}

#[test]
fn of_parameters_that_are_given_twice_the_last_one_counts() {
    let timeout = |value: &[u8]| field(4, &[field(1, b"timeout"), field(2, value)].concat());
    let name = field(1, b"m");
    // A text, which no timeout is, and then 7 microseconds.
    let twice = [name, timeout(&field(3, b"x")), timeout(&[2 << 3, 7])].concat();
    let micros = decoded(twice).0.unwrap().parameters.timeout;
    assert_eq!(micros.map(|it| it.as_micros()), Some(7));
}

#[test]
fn an_empty_model_name_is_refused() {
    let mut nameless = request(vec![], &[]);
    nameless.model_name.clear();
    assert_eq!(read(&nameless).unwrap_err().code, "missing_field");
}

#[test]
fn more_inputs_or_dimensions_than_allowed_are_refused() {
    let many = (0..257).map(|index| input(&index.to_string())).collect();
    let fault = read(&request(many, &[])).unwrap_err();
    assert_eq!(fault.code, "too_many_tensors");
    let mut deep = input("a");
    deep.shape = vec![1; 17];
    let fault = read(&request(vec![deep], &[])).unwrap_err();
    assert_eq!(fault.code, "too_many_dimensions");
}

#[test]
fn what_does_not_fit_its_declaration_is_refused_with_the_field() {
    let named = field(1, b"m");
    for (wrong, what) in [
        (vec![1 << 3, 1], "'model_name' has the wrong wire type"),
        (field(3, b"\xff"), "'id' is not UTF-8"),
        (field(5, &field(3, &[0x80])), "varint"),
        (
            field(5, &[5 << 3, 1]),
            "'inputs.contents' has the wrong wire type",
        ),
        (vec![7 << 3 | 2, 5, 1], "it ends within a field"),
    ] {
        let fault = decoded([&named[..], &wrong].concat()).0.unwrap_err();
        assert_eq!(fault.code, "malformed_body");
        assert!(fault.message.contains(what), "{fault}");
    }
}

#[test]
fn a_map_that_is_written_as_a_number_hides_nothing() {
    // Prost reads an entry of the map there, whatever its wire type is.
    for message in [
        vec![4 << 3, 0],
        field(5, &[4 << 3, 0]),
        field(6, &[2 << 3, 0]),
    ] {
        let message = [field(1, b"m"), message].concat();
        assert_eq!(decoded(message).0.unwrap_err().code, "malformed_body");
    }
}

#[test]
fn memory_is_reserved_for_what_lists_take_and_no_more_is_taken_than_allowed() {
    let typed = |datatype: &str, shape: i64, contents| {
        let mut input = input("x");
        input.datatype = datatype.into();
        input.shape = vec![shape];
        input.contents = Some(contents);
        request(vec![input], &[]).encode_to_vec()
    };
    let ones = InferTensorContents {
        int64_contents: vec![1; 1000],
        ..Default::default()
    };
    let (read, most) = decoded(typed("INT64", 1000, ones.clone()));
    assert_eq!(read.unwrap().memory, most);
    assert!((9_000..9_300).contains(&most), "{most}");
    // A shape that asks for fewer gets no more.
    let (read, most) = decoded(typed("INT64", 2, ones.clone()));
    assert_eq!(
        read.unwrap_err().message,
        "input 'x': expected 2 elements, got 1000"
    );
    assert!(most < 1_300, "{most}");
    let texts = InferTensorContents {
        bytes_contents: vec![Bytes::new(); 1000],
        ..Default::default()
    };
    let (read, most) = decoded(typed("BYTES", 1000, texts));
    assert!(read.is_ok() && (50_000..51_000).contains(&most), "{most}");
    // Empty elements of raw contents, too.
    let mut input = input("x");
    input.datatype = "BYTES".into();
    input.shape = vec![1000];
    let mut raw = request(vec![input], &[]);
    raw.raw_input_contents = vec![Bytes::from(vec![0; 4000])];
    let (read, most) = decoded(raw.encode_to_vec());
    assert!(read.is_ok() && (36_000..37_000).contains(&most), "{most}");

    let busy = || Fault::new(FaultKind::Overloaded, "overloaded", "busy");
    let message = Bytes::from(typed("INT64", 1000, ones));
    let refused = decode(&message, &Limits::default(), &mut |total| {
        if total > 5_000 { Err(busy()) } else { Ok(()) }
    });
    assert_eq!(refused.unwrap_err().code, "overloaded");
}
