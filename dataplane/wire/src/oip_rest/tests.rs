use bytes::Bytes;
use half::{bf16, f16};
use proptest::prelude::*;
use serin_crds::contract::policy::NonFinite;

use super::*;
use crate::room::within;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Dimension, Outputs, Signature, TensorData, TensorSpec, Timing};

fn parse_text(text: &str) -> Result<InferRequest, Fault> {
    let body = Bytes::copy_from_slice(text.as_bytes());
    parse_whole(&body, body.len())
}

/// Reads a request with all the memory that it takes.
fn parse_whole(body: &Bytes, json_length: usize) -> Result<InferRequest, Fault> {
    let limits = Limits::default();
    within(
        0,
        |_| Ok(()),
        |room| parse(body, json_length, &limits, room),
    )
}

/// The one input of a request with this datatype, shape and data.
fn input(datatype: &str, shape: &str, data: &str) -> Result<Tensor, Fault> {
    let text = format!(
        r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","data":{data}}}]}}"#
    );
    parse_text(&text).map(|mut request| request.inputs.remove(0))
}

fn raw(datatype: &str, shape: &str, data: &str) -> String {
    match input(datatype, shape, data).unwrap().data {
        TensorData::Raw(bytes) => hex::encode(bytes),
        TensorData::Elements(_) => panic!("BYTES"),
    }
}

fn refusal(datatype: &str, shape: &str, data: &str) -> Fault {
    input(datatype, shape, data).unwrap_err()
}

#[test]
fn the_golden_element_bytes() {
    assert_eq!(raw("FP16", "[1]", "[1.0]"), "003c");
    assert_eq!(raw("BF16", "[2]", "[1.5,2.5]"), "c03f2040");
    assert_eq!(raw("BOOL", "[2]", "[true,false]"), "0100");
    assert_eq!(raw("INT64", "[1]", "[-1]"), "ffffffffffffffff");
    assert_eq!(raw("fp32", "[2,2]", "[[1,1],[1,1]]"), "0000803f".repeat(4));
}

#[test]
fn non_finite_floats_come_as_the_service_chose() {
    for datatype in ["FP16", "BF16", "FP32", "FP64"] {
        let tensor = input(datatype, "[3]", r#"["NaN","-Infinity",1]"#).unwrap();
        let reply = Outputs {
            model_name: "m".into(),
            model_version: "1".into(),
            outputs: vec![tensor],
            timing: Timing::default(),
        };
        for (choice, written) in [
            (NonFinite::String, r#"["NaN","-Infinity",1.0]"#),
            (NonFinite::Null, "[null,null,1.0]"),
        ] {
            let answer = render(&reply, "7", &Forms::default(), choice, 0).unwrap();
            let text = std::str::from_utf8(&answer.body).unwrap();
            assert!(
                text.ends_with(&format!("\"data\":{written}}}]}}")),
                "{text}"
            );
        }
        let refused = render(&reply, "7", &Forms::default(), NonFinite::Error, 0).unwrap_err();
        assert!(refused.message.contains("'x': element 0"), "{refused}");
        // Binary data carries every value.
        let binary = Forms {
            binary_by_default: true,
            listed: Vec::new(),
        };
        assert!(render(&reply, "7", &binary, NonFinite::Error, 0).is_ok());
    }
}

#[test]
fn integers_are_exact_and_in_range_whatever_their_spelling() {
    assert_eq!(
        raw("INT32", "[3]", "[1.0,1e1,-0.0]"),
        "010000000a00000000000000"
    );
    assert_eq!(
        raw("INT64", "[1]", "[9223372036854775807.0]"),
        "ffffffffffffff7f"
    );
    assert_eq!(
        raw("UINT64", "[1]", "[18446744073709551615]"),
        "ffffffffffffffff"
    );
    for (datatype, data) in [
        ("INT8", "[128]"),
        ("INT8", "[-129]"),
        ("UINT8", "[256]"),
        ("UINT8", "[-1]"),
        ("INT16", "[32768]"),
        ("UINT16", "[65536]"),
        ("INT32", "[2147483648]"),
        ("UINT32", "[4294967296]"),
        ("INT64", "[9223372036854775808]"),
        ("UINT64", "[18446744073709551616]"),
        ("INT64", "[1e400]"),
        ("INT32", "[1.5]"),
        ("INT32", "[true]"),
        ("INT32", "[\"1\"]"),
        ("INT32", "[null]"),
        ("UINT8", "[1e-1]"),
    ] {
        let fault = refusal(datatype, "[1]", data);
        assert_eq!(
            (fault.kind, fault.code),
            (FaultKind::BadTensor, "invalid_value"),
            "{datatype} {data}"
        );
        assert!(
            fault.message.contains("'x'") && fault.message.contains("element 0"),
            "{}",
            fault.message
        );
    }
}

#[test]
fn floats_round_once_and_never_overflow_in_silence() {
    // Through f64 this would round twice, to 1.0000001.
    assert_eq!(
        raw("FP32", "[1]", "[1.000000059604644775390626]"),
        "0100803f"
    );
    assert_eq!(raw("FP32", "[1]", "[1e-60]"), "00000000");
    for (datatype, data) in [
        ("FP32", "[1e39]"),
        ("FP32", "[-3.5e38]"),
        ("FP64", "[1e309]"),
        ("FP16", "[65520]"),
        ("BF16", "[3.4e39]"),
        ("FP32", "[true]"),
        ("FP32", "[null]"),
        ("FP32", "[\"1\"]"),
        ("FP32", "[\"nan\"]"),
        ("FP32", "[{}]"),
        ("BOOL", "[1.0]"),
        ("BOOL", "[2]"),
        ("BOOL", "[\"true\"]"),
        ("BOOL", "[null]"),
        ("BYTES", "[5]"),
        ("BYTES", "[null]"),
    ] {
        assert_eq!(
            refusal(datatype, "[1]", data).code,
            "invalid_value",
            "{datatype} {data}"
        );
    }
}

#[test]
fn nested_data_is_rectangular_and_only_counted() {
    for data in [
        "[1,2,3,4]",
        "[[1,2],[3,4]]",
        "[[1,2,3,4]]",
        "[[[1],[2]],[[3],[4]]]",
    ] {
        assert!(input("INT8", "[2,2]", data).is_ok(), "{data}");
    }
    assert!(input("INT8", "[]", "5").is_ok());
    assert!(input("INT8", "[1,1]", "5").is_ok());
    assert!(input("INT8", "[2,0]", "[[],[]]").is_ok());
    assert!(input("INT8", "[0]", "[]").is_ok());
    for data in [
        "[[1],[2,3],[4]]",
        "[1,[2,3,4]]",
        "[[1,2],3,4]",
        "[[],[1,2,3,4]]",
        "[[],1,2,3,4]",
        "[[[1,2]],[3,4]]",
    ] {
        assert_eq!(refusal("INT8", "[2,2]", data).code, "ragged_data", "{data}");
    }
    assert_eq!(refusal("INT8", "[2]", "5").code, "shape_mismatch");
    let fault = refusal("FP32", "[2,2]", "[1,2,3]");
    assert_eq!(fault.message, "input 'x': expected 4 elements, got 3");
    assert_eq!(refusal("BOOL", "[3]", "[true]").code, "shape_mismatch");
}

#[test]
fn data_may_come_before_what_it_needs() {
    let text = r#"{"inputs":[{"data":[[1,2],[3,4]],"datatype":"INT8","parameters":{},"shape":[2,2],"name":"x"}]}"#;
    let tensor = parse_text(text).unwrap().inputs.remove(0);
    assert_eq!(
        tensor.data,
        TensorData::Raw(Bytes::from_static(&[1, 2, 3, 4]))
    );
    let text = r#"{"inputs":[{"data":["aGk="],"datatype":"BYTES","shape":[1],"name":"s","parameters":{"content_type":"base64"}}]}"#;
    let tensor = parse_text(text).unwrap().inputs.remove(0);
    assert_eq!(
        tensor.data,
        TensorData::Elements(vec![Bytes::from_static(b"hi")])
    );
}

#[test]
fn a_huge_claim_allocates_no_more_than_the_body_can_hold() {
    let fault = refusal("FP64", "[4611686018427387904]", "[1]");
    assert_eq!(fault.code, "shape_mismatch");
    assert_eq!(
        refusal("FP64", "[9223372036854775807,3]", "[1]").code,
        "invalid_shape"
    );
    let zero = refusal("FP64", "[9223372036854775807,9223372036854775807,0]", "[1]");
    assert_eq!(zero.kind, FaultKind::BadTensor);
}

#[test]
fn golden_binary_requests() {
    let json = r#"{"inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}],"parameters":{"binary_data_output":true}}"#;
    assert_eq!(json.len(), 135);
    let mut body = json.as_bytes().to_vec();
    body.extend(hex::decode("0000803f".repeat(4)).unwrap());
    let body = Bytes::from(body);
    let request = parse_whole(&body, 135).unwrap();
    assert!(request.forms.binary_by_default);
    assert_eq!(request.inputs[0].data, TensorData::Raw(body.slice(135..)));

    let short = parse_whole(&body.slice(..150), 135).unwrap_err();
    assert_eq!(short.code, "size_mismatch");
    let mut longer = body.to_vec();
    longer.push(0);
    let left_over = parse_whole(&Bytes::from(longer), 135).unwrap_err();
    assert!(
        left_over.message.contains("1 bytes are left"),
        "{}",
        left_over.message
    );
}

#[test]
fn the_golden_mixed_request() {
    let json = r#"{"id":"abc","inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","data":[1.0,1.0,1.0,1.0]},{"name":"S","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":12}}],"outputs":[{"name":"Y","parameters":{"binary_data":true}}],"parameters":{"priority":1,"timeout":1000,"k":1.5}}"#;
    let mut body = json.as_bytes().to_vec();
    body.extend(hex::decode("02000000ff00020000006869").unwrap());
    let request = parse_whole(&Bytes::from(body), json.len()).unwrap();
    assert_eq!(request.id.as_deref(), Some("abc"));
    assert_eq!(request.timeout, Some(Duration::from_millis(1)));
    assert_eq!(request.priority, 1);
    assert_eq!(request.forms.listed, [Some(true)]);
    let expected = [Bytes::from_static(b"\xff\x00"), Bytes::from_static(b"hi")];
    assert_eq!(
        request.inputs[1].data,
        TensorData::Elements(expected.to_vec())
    );
}

#[test]
fn the_golden_mixed_response() {
    let tensor = |name: &str, datatype, shape: &[i64], data| Tensor {
        name: name.into(),
        datatype,
        shape: shape.to_vec(),
        data,
    };
    let raw = |hex: &str| TensorData::Raw(Bytes::from(hex::decode(hex).unwrap()));
    let reply = Outputs {
        model_name: "m".into(),
        model_version: "1".into(),
        outputs: vec![
            tensor("a", Datatype::Fp32, &[2], raw("0000803f00000040")),
            tensor(
                "b",
                Datatype::Int64,
                &[2],
                raw("01000000000000000200000000000000"),
            ),
            tensor(
                "s",
                Datatype::Bytes,
                &[2],
                TensorData::Elements(vec![Bytes::from_static(b"\xff"), Bytes::from_static(b"hi")]),
            ),
            tensor("z", Datatype::Fp32, &[0, 3], raw("")),
        ],
        timing: Timing::default(),
    };
    let forms = Forms {
        binary_by_default: true,
        listed: vec![None, Some(false), Some(true), None],
    };
    let answer = render(&reply, "7", &forms, NonFinite::String, 0).unwrap();
    let json = r#"{"model_name":"m","model_version":"1","id":"7","outputs":[{"name":"a","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}},{"name":"b","shape":[2],"datatype":"INT64","data":[1,2]},{"name":"s","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}},{"name":"z","shape":[0,3],"datatype":"FP32","parameters":{"binary_data_size":0}}]}"#;
    assert_eq!(answer.json_length, Some(357));
    assert_eq!(std::str::from_utf8(&answer.body[..357]).unwrap(), json);
    assert_eq!(
        hex::encode(&answer.body[357..]),
        "0000803f0000004001000000ff020000006869"
    );
}

#[test]
fn the_golden_raw_request_is_one_row() {
    let signature = |shape: Vec<Dimension>, datatype| Signature {
        inputs: vec![TensorSpec {
            name: "x".into(),
            datatype,
            shape: Some(shape),
            optional: false,
        }],
        outputs: Vec::new(),
        unserved_outputs: Vec::new(),
        producer: None,
    };
    let rows = || Dimension::Variable("N".into());
    let body = Bytes::from(hex::decode("0000803f00000040").unwrap());
    for (shape, expected) in [
        (vec![rows(), Dimension::Fixed(2)], vec![1, 2]),
        (vec![Dimension::Fixed(2)], vec![2]),
        (vec![rows()], vec![2]),
    ] {
        let request = within(
            0,
            |_| Ok(()),
            |room| raw_request(body.clone(), &signature(shape, Datatype::Fp32), room),
        )
        .unwrap();
        assert_eq!(request.inputs[0].shape, expected);
        assert!(request.forms.binary_by_default);
    }
    for shape in [
        vec![rows(), rows()],
        vec![rows(), Dimension::Fixed(3)],
        vec![Dimension::Fixed(3)],
    ] {
        assert!(
            within(
                0,
                |_| Ok(()),
                |room| raw_request(body.clone(), &signature(shape, Datatype::Fp32), room)
            )
            .is_err()
        );
    }
    let text = within(
        0,
        |_| Ok(()),
        |room| {
            raw_request(
                body.clone(),
                &signature(vec![rows()], Datatype::Bytes),
                room,
            )
        },
    )
    .unwrap();
    assert_eq!(text.inputs[0].shape, [1]);
    assert_eq!(text.inputs[0].data, TensorData::Elements(vec![body]));
}

#[test]
fn bytes_that_are_no_text_make_the_whole_tensor_base64() {
    let reply = Outputs {
        model_name: "m".into(),
        model_version: "1".into(),
        outputs: vec![Tensor {
            name: "s".into(),
            datatype: Datatype::Bytes,
            shape: vec![2],
            data: TensorData::Elements(vec![
                Bytes::from_static(b"\xff"),
                Bytes::from_static(b"hi"),
            ]),
        }],
        timing: Timing::default(),
    };
    let answer = render(&reply, "7", &Forms::default(), NonFinite::String, 0).unwrap();
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(
        text.contains(r#""parameters":{"content_type":"base64"},"data":["/w==","aGk="]"#),
        "{text}"
    );
}

/// A datatype, and elements of it as raw bytes.
fn elements() -> impl Strategy<Value = (Datatype, Vec<u8>)> {
    (0usize..13, prop::collection::vec(any::<u64>(), 0..20)).prop_map(|(kind, bits)| {
        let datatype = Datatype::ALL[kind];
        let mut bytes = Vec::new();
        for bits in bits {
            let all = bits.to_le_bytes();
            let element = &all[..datatype.width().unwrap()];
            // One NaN stands for all: JSON does not tell them apart.
            match datatype {
                Datatype::Bool => bytes.push(element[0] & 1),
                Datatype::Fp16 if f16::from_le_bytes([all[0], all[1]]).is_nan() => {
                    bytes.extend(f16::NAN.to_le_bytes());
                }
                Datatype::Bf16 if bf16::from_le_bytes([all[0], all[1]]).is_nan() => {
                    bytes.extend(bf16::NAN.to_le_bytes());
                }
                Datatype::Fp32 if f32::from_bits(bits as u32).is_nan() => {
                    bytes.extend(f32::NAN.to_le_bytes());
                }
                Datatype::Fp64 if f64::from_bits(bits).is_nan() => {
                    bytes.extend(f64::NAN.to_le_bytes());
                }
                _ => bytes.extend(element),
            }
        }
        (datatype, bytes)
    })
}

/// Sends a tensor out and in again.
fn round_trip(tensor: &Tensor, forms: &Forms) -> Tensor {
    let reply = Outputs {
        model_name: "m".into(),
        model_version: "1".into(),
        outputs: vec![tensor.clone()],
        timing: Timing::default(),
    };
    let answer = render(&reply, "7", forms, NonFinite::String, 0).unwrap();
    let length = answer.json_length.unwrap_or(answer.body.len());
    let json = std::str::from_utf8(&answer.body[..length]).unwrap();
    let request = json.replacen("\"outputs\":", "\"inputs\":", 1);
    let mut body = request.into_bytes();
    let json_length = body.len();
    body.extend_from_slice(&answer.body[length..]);
    parse_whole(&Bytes::from(body), json_length)
        .unwrap()
        .inputs
        .remove(0)
}

proptest! {
    #[test]
    fn every_tensor_survives_the_way_out_and_in((datatype, bytes) in elements(), binary: bool) {
        let count = bytes.len() / datatype.width().unwrap();
        let tensor = Tensor {
            name: "x\"\u{1}é".into(),
            datatype,
            shape: vec![i64::try_from(count).unwrap()],
            data: TensorData::Raw(Bytes::from(bytes)),
        };
        let forms = Forms { binary_by_default: binary, listed: Vec::new() };
        prop_assert_eq!(round_trip(&tensor, &forms), tensor);
    }

    #[test]
    fn every_bytes_tensor_survives_the_way_out_and_in(all: Vec<Vec<u8>>, binary: bool) {
        let tensor = Tensor {
            name: "s".into(),
            datatype: Datatype::Bytes,
            shape: vec![i64::try_from(all.len()).unwrap()],
            data: TensorData::Elements(all.into_iter().map(Bytes::from).collect()),
        };
        let forms = Forms { binary_by_default: binary, listed: Vec::new() };
        prop_assert_eq!(round_trip(&tensor, &forms), tensor);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, length in 0usize..64) {
        let body = Bytes::from(bytes);
        let _ = parse_whole(&body, length.min(body.len()));
    }

    #[test]
    fn any_data_is_read_or_refused(data in "[\\[\\],\"0-9.eE+truefalsnNI\\- ]{0,40}", kind in 0usize..14) {
        let _ = input(Datatype::ALL[kind].as_str(), "[2]", &data);
    }
}
