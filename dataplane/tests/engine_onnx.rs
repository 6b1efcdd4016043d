//! The ONNX engine on real models (`tests/models/README.md` says what each is).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::{Duration, Instant};

use serin_core::types::{Datatype, Dimension, Tensor, TensorData};
use serin_engine::onnx::{ModelFile, OpenError};
use serin_engine::{Engine, RunError, Stop};
use support::{as_f32, as_i64, f32s, i64s, model, open, raw, strings};

fn run(engine: &mut impl Engine, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    let all: Vec<usize> = (0..engine.signature().outputs.len()).collect();
    engine.run(inputs, &all, &Stop::new())
}

#[test]
fn every_datatype_comes_back_bit_for_bit() {
    for datatype in Datatype::ALL {
        let mut engine = open(&format!("identity_{}", datatype.as_str().to_lowercase())).unwrap();
        assert_eq!(engine.signature().inputs[0].datatype, datatype);
        let Some(width) = datatype.width() else {
            continue;
        };
        let bytes: Vec<u8> = (0..6 * width)
            .map(|at| match datatype {
                Datatype::Bool => u8::from(at % 2 == 0),
                // All bits set in places: NaN, u64 above 2^63, -1.
                _ => [0xff, 0x7f, 0x01, 0x00, 0x80][at % 5],
            })
            .collect();
        let input = raw("X", datatype, &[2, 3], bytes);
        let outputs = run(&mut engine, std::slice::from_ref(&input)).unwrap();
        assert_eq!(outputs[0].shape, [2, 3]);
        assert_eq!(outputs[0].datatype, datatype);
        assert_eq!(outputs[0].data, input.data, "{datatype}");
    }
}

#[test]
fn an_unaligned_input_is_served_too() {
    let mut engine = open("identity_fp64").unwrap();
    let mut bytes = vec![0u8];
    bytes.extend([1.5f64, -2.5].iter().flat_map(|value| value.to_le_bytes()));
    let mut input = raw("X", Datatype::Fp64, &[1, 2], Vec::new());
    input.data = TensorData::Raw(bytes::Bytes::from(bytes).slice(1..));
    let outputs = run(&mut engine, std::slice::from_ref(&input)).unwrap();
    assert_eq!(outputs[0].data, input.data);
}

#[test]
fn strings_may_hold_nul_and_bytes_that_are_not_utf8() {
    let mut engine = open("identity_bytes").unwrap();
    let elements: [&[u8]; 4] = [b"a\0b", b"\xff\xfe", b"", "Größe".as_bytes()];
    let input = strings("X", &[2, 2], &elements);
    let outputs = run(&mut engine, std::slice::from_ref(&input)).unwrap();
    assert_eq!(outputs[0].data, input.data);
    let empty = strings("X", &[0, 2], &[]);
    assert_eq!(
        run(&mut engine, &[empty]).unwrap()[0].data,
        TensorData::Elements(Vec::new())
    );
}

#[test]
fn rows_of_strings_are_looked_up() {
    let mut engine = open("strings_rank1").unwrap();
    let words = strings("word", &[3], &[b"dog", "Größe".as_bytes(), b"emu"]);
    assert_eq!(as_i64(&run(&mut engine, &[words]).unwrap()[0]), [1, 2, -1]);
}

#[test]
fn zero_rows_go_in_and_come_out() {
    let mut engine = open("identity_fp32").unwrap();
    let outputs = run(&mut engine, &[f32s("X", &[0, 3], &[])]).unwrap();
    assert_eq!(outputs[0].shape, [0, 3]);
    assert_eq!(as_f32(&outputs[0]), [0.0f32; 0]);
    let mut engine = open("zero_rows").unwrap();
    let outputs = run(&mut engine, &[f32s("X", &[1, 4], &[1.0; 4])]).unwrap();
    assert_eq!(outputs[1].shape, [0, 4]);
}

#[test]
fn a_scalar_and_an_undeclared_shape_are_different_shapes() {
    let mut scalar = open("scalar_input").unwrap();
    assert_eq!(scalar.signature().inputs[0].shape, Some(Vec::new()));
    assert_eq!(
        as_f32(&run(&mut scalar, &[f32s("X", &[], &[3.0])]).unwrap()[0]),
        [6.0]
    );
    let mut unknown = open("unknown_rank").unwrap();
    assert_eq!(unknown.signature().inputs[0].shape, None);
    assert_eq!(unknown.signature().outputs[0].shape, None);
    let outputs = run(&mut unknown, &[f32s("X", &[1, 1, 2], &[3.0, 4.0])]).unwrap();
    assert_eq!(outputs[0].shape, [1, 1, 2]);
}

#[test]
fn a_model_without_inputs_answers() {
    let mut engine = open("no_input").unwrap();
    assert_eq!(engine.signature().inputs, []);
    assert_eq!(as_f32(&run(&mut engine, &[]).unwrap()[0]), [1.0, 2.0, 3.0]);
}

#[test]
fn an_input_with_a_default_may_be_left_out() {
    let mut engine = open("optional_input").unwrap();
    let scale = engine.signature().input("scale").unwrap();
    assert!(scale.optional);
    assert_eq!(scale.shape, Some(vec![Dimension::Fixed(1)]));
    let x = f32s("X", &[1, 2], &[1.0, 2.0]);
    assert_eq!(
        as_f32(&run(&mut engine, std::slice::from_ref(&x)).unwrap()[0]),
        [3.0, 6.0]
    );
    let scale = f32s("scale", &[1], &[10.0]);
    assert_eq!(
        as_f32(&run(&mut engine, &[scale, x]).unwrap()[0]),
        [10.0, 20.0]
    );
}

#[test]
fn odd_names_are_served() {
    let mut engine = open("odd_names").unwrap();
    let inputs: Vec<Tensor> = engine
        .signature()
        .inputs
        .iter()
        .enumerate()
        .map(|(at, input)| f32s(&input.name, &[1], &[at as f32]))
        .collect();
    let outputs = run(&mut engine, &inputs).unwrap();
    for (at, output) in outputs.iter().enumerate() {
        assert_eq!(as_f32(output), [at as f32 * 2.0], "{}", output.name);
    }
}

#[test]
fn outputs_come_in_the_order_asked_for() {
    let mut engine = open("two_inputs").unwrap();
    let inputs = [i64s("B", &[1, 2], &[3, 4]), f32s("A", &[1, 2], &[0.5, 0.5])];
    let outputs = engine.run(&inputs, &[1, 0], &Stop::new()).unwrap();
    assert_eq!(
        (outputs[0].name.as_str(), as_i64(&outputs[0])),
        ("T", vec![7])
    );
    assert_eq!(
        (outputs[1].name.as_str(), as_f32(&outputs[1])),
        ("S", vec![3.5, 4.5])
    );
    assert_eq!(engine.run(&inputs, &[1], &Stop::new()).unwrap().len(), 1);
}

#[test]
fn an_output_may_have_another_shape_than_declared() {
    let mut engine = open("declared_wrong").unwrap();
    let outputs = run(
        &mut engine,
        &[f32s("X", &[2, 4], &[0., 9., 0., 0., 0., 0., 0., 9.])],
    )
    .unwrap();
    assert_eq!(outputs[0].shape, [2]);
    assert_eq!(as_i64(&outputs[0]), [1, 3]);
}

#[test]
fn outputs_without_a_protocol_type_are_named_and_the_others_served() {
    for (name, unserved, width) in [
        ("sequence_output", "parts", 4),
        ("map_output", "probabilities", 2),
        ("float8_output", "Y8", 4),
    ] {
        let mut engine = open(name).unwrap();
        assert_eq!(engine.signature().unserved_outputs, [unserved]);
        let outputs = run(
            &mut engine,
            &[f32s("X", &[1, width], &vec![1.0; width as usize])],
        )
        .unwrap();
        assert_eq!(outputs.len(), 1, "{name}");
    }
}

#[test]
fn a_model_that_no_request_can_feed_is_refused() {
    let error = open("float8_input").err().unwrap();
    assert!(
        matches!(&error, OpenError::Unservable(why) if why.contains("'X'")),
        "{error}"
    );
}

#[test]
fn an_unknown_operator_is_named_and_no_path_is() {
    let error = open("unknown_operator").err().unwrap().to_string();
    assert!(error.contains("ONNX Runtime refuses it"), "{error}");
    assert!(error.to_lowercase().contains("op"), "{error}");
    assert!(
        !error.contains("tests/models") && !error.contains("onnxruntime_src"),
        "{error}"
    );
}

#[test]
fn a_failing_run_says_why_without_a_path() {
    let mut engine = open("fails_at_runtime").unwrap();
    let error = run(&mut engine, &[f32s("X", &[1, 4], &[-1000.0; 4])]).unwrap_err();
    let RunError::Failed(reason) = error else {
        panic!("{error:?}")
    };
    assert!(
        !reason.is_empty() && !reason.contains("/onnxruntime"),
        "{reason}"
    );
    assert_eq!(
        as_f32(&run(&mut engine, &[f32s("X", &[1, 4], &[1.0; 4])]).unwrap()[0]),
        [2.0; 4]
    );
}

#[test]
fn a_running_model_stops_when_it_is_asked_to() {
    let mut engine = open("slow").unwrap();
    let stop = Stop::new();
    let raiser = stop.clone();
    let begun = Instant::now();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        raiser.raise();
    });
    let result = engine.run(&[i64s("steps", &[1, 1], &[1_000_000])], &[0], &stop);
    assert_eq!(result, Err(RunError::Stopped));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    thread.join().unwrap();
    // The engine is usable afterwards.
    assert_eq!(
        as_i64(&run(&mut engine, &[i64s("steps", &[1, 1], &[3])]).unwrap()[0]),
        [3]
    );
}

#[test]
fn files_that_are_no_models_are_refused_before_the_runtime_sees_them() {
    for (name, part) in [("not_onnx", "a text file"), ("truncated", "cut off")] {
        let error = ModelFile::check(&model(name)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
