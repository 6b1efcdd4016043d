//! `POST …/infer`: the whole body, and the elements of one tensor.

use crate::memory::any;
use arbitrary::Unstructured;
use bytes::Bytes;
use half::{bf16, f16};
use serin_core::Limits;
use serin_core::types::{Datatype, Outputs, Tensor, TensorData, Timing};
use serin_crds::contract::policy::NonFinite;
use serin_wire::oip_rest::{self, Forms, InferRequest};

use super::checks;
use crate::Target;
use crate::decimal::{Decimal, Whole};
use crate::document::{Json, json};

pub const INFER: Target = Target {
    name: "rest_infer",
    about: "a REST request's tensors are checked, and the same when an answer carries them back",
    run: infer,
    seeds,
    dictionary: &[
        "\"inputs\":[",
        "\"outputs\":[",
        "\"name\":\"x\"",
        "\"shape\":[1]",
        "\"datatype\":\"FP32\"",
        "\"data\":[1]",
        "\"parameters\":{",
        "\"binary_data_size\":4",
        "\"content_type\":\"base64\"",
        "\"binary_data\":true",
        "\"binary_data_output\":true",
        "\"timeout\":1",
        "\"priority\":1",
        "\"id\":\"a\"",
        "\"BYTES\"",
        "\"INT64\"",
        "\"UINT8\"",
        "\"BOOL\"",
        "\"FP16\"",
        "\"NaN\"",
        "\"-Infinity\"",
        "null",
        "9223372036854775807",
        "1e308",
        "\\u0000",
        "\\ud800",
    ],
    longest: 4096,
};

fn seeds() -> Vec<Vec<u8>> {
    let binary = |json: &str, tail: &[u8]| [&[tail.len() as u8], json.as_bytes(), tail].concat();
    vec![
        binary(
            r#"{"inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}],"parameters":{"binary_data_output":true}}"#,
            &[0, 0, 0x80, 0x3f].repeat(4),
        ),
        binary(
            r#"{"id":"abc","inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","data":[1.0,1.0,1.0,1.0]},{"name":"S","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":12}}],"outputs":[{"name":"Y","parameters":{"binary_data":true}}],"parameters":{"priority":1,"timeout":1000000,"k":1.5}}"#,
            b"\x02\0\0\0\xff\0\x02\0\0\0hi",
        ),
        binary(
            r#"{"inputs":[{"data":[[1,2],[3,4]],"name":"a","shape":[2,2],"datatype":"INT64"},{"name":"b","shape":[1],"datatype":"BYTES","data":["aGk="],"parameters":{"content_type":"base64"}},{"name":"c","shape":[],"datatype":"BOOL","data":true}]}"#,
            b"",
        ),
        binary(
            r#"{"inputs":[{"name":"h","shape":[3],"datatype":"FP16","data":["NaN","-Infinity",0.1]}]}"#,
            b"",
        ),
    ]
}

fn infer(data: &[u8]) {
    let limits = Limits {
        tensors: 4,
        dimensions: 4,
        element_bytes: 64,
        json_depth: 12,
        ..Limits::default()
    };
    let mut input = Unstructured::new(data);
    let tail: u8 = input.arbitrary().expect("a byte");
    let body = Bytes::copy_from_slice(input.take_rest());
    let request = match any(|room| {
        oip_rest::parse(&body, body.len().saturating_sub(tail.into()), &limits, room)
    }) {
        Ok(request) => request,
        Err(fault) => return checks::fault(&fault),
    };
    assert!(request.inputs.len() <= limits.tensors && request.outputs.len() <= limits.tensors);
    assert!(request.id.as_ref().is_none_or(|id| !id.is_empty()));
    request
        .inputs
        .iter()
        .for_each(|input| checks::tensor(input, &limits));
    for binary in [false, true] {
        let again = answered(&request.inputs, binary);
        let again = again.inputs.iter().zip(&request.inputs);
        again.for_each(|(again, input)| {
            assert!(checks::same(again, input), "{again:?} was {input:?}");
        });
    }
}

/// The tensors sent back as outputs of an answer, and read as a request's inputs: the two have the
/// same form.
fn answered(tensors: &[Tensor], binary: bool) -> InferRequest {
    const PREFIX: &str = r#"{"model_name":"m","model_version":"1","id":"i","outputs":"#;
    let reply = Outputs {
        model_name: "m".into(),
        model_version: "1".into(),
        outputs: tensors.to_vec(),
        timing: Timing::default(),
    };
    let forms = Forms {
        binary_by_default: binary,
        listed: Vec::new(),
    };
    let largest = oip_rest::largest(&reply, "i", &forms);
    let answer =
        oip_rest::render(&reply, "i", &forms, NonFinite::String, largest).expect("an answer");
    assert!(answer.body.len() <= largest);
    let json_length = answer.json_length.unwrap_or(answer.body.len());
    let (text, data) = answer.body.split_at(json_length);
    let value: Result<serde_json::Value, _> = serde_json::from_slice(text);
    assert!(value.is_ok(), "{value:?}: {}", text.escape_ascii());
    let outputs = text
        .strip_prefix(PREFIX.as_bytes())
        .expect("the members in their order");
    let request = [br#"{"inputs":"#, outputs, data].concat();
    let json_length = request.len() - data.len();
    let limits = Limits {
        // Base64 of an element is longer than the element.
        element_bytes: 1 << 20,
        ..Limits::default()
    };
    let request = Bytes::from(request);
    match any(|room| oip_rest::parse(&request, json_length, &limits, room)) {
        Ok(request) if request.inputs.len() == tensors.len() => request,
        other => panic!("an answer does not read back: {other:?}"),
    }
}

pub const ELEMENTS: Target = Target {
    name: "rest_elements",
    about: "the elements of a tensor in JSON are those that the table of coercions gives",
    run: elements,
    seeds: || {
        let texts = [
            "[[1,2],[3,4]]",
            "[true,0,1]",
            "[1.5,-2e3,\"NaN\",1e39,0.1]",
            "[\"a\",\"\\u00e9\\n\"]",
            "7",
            "[]",
            "[[],[]]",
            "[9223372036854775807.0,-1]",
            "[65504,65520,1e-8]",
            "[18446744073709551615,1e1,-0.0]",
        ];
        let seed = |text: &&str| {
            (0..14)
                .map(move |datatype| [&[datatype], text.as_bytes()].concat())
                .collect::<Vec<_>>()
        };
        texts.iter().flat_map(seed).collect()
    },
    dictionary: &[
        "[",
        "]",
        ",",
        "\"NaN\"",
        "\"Infinity\"",
        "\"-Infinity\"",
        "true",
        "false",
        "null",
        "{}",
        "1e",
        "e-",
        "-0.0",
        "65504",
        "65520",
        "3.4028236e38",
        "1e39",
        "1e309",
        "128",
        "-129",
        "32768",
        "4294967296",
        "9223372036854775808",
        "18446744073709551616",
        "\\u0041",
    ],
    longest: 512,
};

fn elements(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let datatype = *input.choose(&Datatype::ALL).expect("a datatype");
    let Ok(text) = std::str::from_utf8(input.take_rest()) else {
        return;
    };
    let limits = Limits::default();
    // The data stands at the fourth level of the document.
    let Ok(value) = json(text, limits.json_depth - 3) else {
        return;
    };
    let mut wanted = Wanted::default();
    let good = wanted.add(datatype, &value);
    let count = wanted.count;
    let body = format!(
        r#"{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":[{count}],"data":{text}}}]}}"#
    );
    let whole = Bytes::from(body.clone());
    match any(|room| oip_rest::parse(&whole, body.len(), &limits, room)) {
        Err(fault) => {
            checks::fault(&fault);
            assert!(good.is_none(), "{datatype} {text} is refused: {fault:?}");
        }
        Ok(request) => {
            assert!(good.is_some(), "{datatype} {text} is taken: {request:?}");
            let data = match datatype {
                Datatype::Bytes => TensorData::Elements(wanted.texts),
                _ => TensorData::Raw(Bytes::from(wanted.bytes)),
            };
            assert_eq!(request.inputs[0].data, data, "{datatype} {text}");
        }
    }
}

/// What the table of coercions makes of a document.
#[derive(Default)]
struct Wanted {
    count: usize,
    bytes: Vec<u8>,
    texts: Vec<Bytes>,
}

impl Wanted {
    /// Adds the elements of a value, and gives its extents; `None` for what is to be refused.
    fn add(&mut self, datatype: Datatype, value: &Json) -> Option<Vec<usize>> {
        let Json::Array(parts) = value else {
            self.count += 1;
            return self.leaf(datatype, value).map(|()| Vec::new());
        };
        // All are counted, refused or not: the shape must not be what is refused.
        let extents: Vec<_> = parts.iter().map(|part| self.add(datatype, part)).collect();
        let mut extents = extents.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
        let mut inner = extents.next().unwrap_or_default();
        if extents.any(|other| other != inner) {
            return None;
        }
        inner.insert(0, parts.len());
        Some(inner)
    }

    fn leaf(&mut self, datatype: Datatype, value: &Json) -> Option<()> {
        if let (Datatype::Bytes, Json::String(text)) = (datatype, value) {
            self.texts.push(Bytes::copy_from_slice(text.as_bytes()));
            return Some(());
        }
        let bytes = match datatype {
            Datatype::Bytes => return None,
            Datatype::Bool => match value {
                Json::Bool(value) => vec![u8::from(*value)],
                Json::Number(text) if text == "0" || text == "1" => vec![u8::from(text == "1")],
                _ => return None,
            },
            Datatype::Fp16 => f16::from_f64(float(value, f16::MAX.to_f64() + 16.0)?)
                .to_le_bytes()
                .to_vec(),
            Datatype::Bf16 => bf16::from_f64(float(value, bf16::MAX.to_f64() + 2f64.powi(119))?)
                .to_le_bytes()
                .to_vec(),
            Datatype::Fp32 => match value {
                Json::Number(text) => text
                    .parse::<f32>()
                    .ok()
                    .filter(|value| value.is_finite())?
                    .to_le_bytes()
                    .to_vec(),
                other => (float(other, 0.0)? as f32).to_le_bytes().to_vec(),
            },
            Datatype::Fp64 => float(value, f64::INFINITY)?.to_le_bytes().to_vec(),
            Datatype::Uint8 => u8::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
            Datatype::Uint16 => u16::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
            Datatype::Uint32 => u32::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
            Datatype::Uint64 => u64::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
            Datatype::Int8 => i8::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
            Datatype::Int16 => i16::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
            Datatype::Int32 => i32::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
            Datatype::Int64 => i64::try_from(integer(value)?).ok()?.to_le_bytes().to_vec(),
        };
        self.bytes.extend(bytes);
        Some(())
    }
}

fn integer(value: &Json) -> Option<i128> {
    let Json::Number(text) = value else {
        return None;
    };
    match Decimal::of(text).whole() {
        Whole::Exactly(value) => Some(value),
        Whole::Huge | Whole::No => None,
    }
}

/// A number of a magnitude below `bound`, or one of the three names.
fn float(value: &Json, bound: f64) -> Option<f64> {
    match value {
        Json::Number(text) => text.parse::<f64>().ok().filter(|value| value.abs() < bound),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}
