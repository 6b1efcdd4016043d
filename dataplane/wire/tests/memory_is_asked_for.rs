//! Every reader asks for memory before it allocates, for every kind of payload.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

use bytes::{BufMut, Bytes};
use prost::Message;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Dimension, Signature, TensorSpec};
use serin_wire::oip_grpc::proto::ModelInferRequest;
use serin_wire::oip_grpc::proto::model_infer_request::InferInputTensor;
use serin_wire::oip_grpc::request;
use serin_wire::oip_rest::{self, repository, settings};
use serin_wire::openai::embeddings;
use serin_wire::room::{Room, within};
use serin_wire::{kserve_v1, raw_tensor};

const COUNT: usize = 20_000;

type Read = Box<dyn Fn(&Room<'_>) -> Result<(), Fault>>;

/// A reader with its body: what the body has, and what it becomes at the least.
struct Case {
    name: String,
    body: usize,
    becomes: usize,
    read: Read,
}

fn case(
    name: impl Into<String>,
    body: Bytes,
    becomes: usize,
    read: impl Fn(&Bytes, &Room<'_>) -> Result<(), Fault> + 'static,
) -> Case {
    Case {
        name: name.into(),
        body: body.len(),
        becomes,
        read: Box::new(move |room| read(&body, room)),
    }
}

fn signature(datatype: Datatype) -> Signature {
    Signature {
        inputs: vec![TensorSpec {
            name: "x".to_owned(),
            datatype,
            shape: Some(vec![Dimension::Variable(String::new())]),
            optional: false,
        }],
        outputs: Vec::new(),
        unserved_outputs: Vec::new(),
        producer: None,
    }
}

fn listed(element: &str) -> String {
    vec![element; COUNT].join(",")
}

/// The payloads of JSON: the datatype, one element, and what that becomes.
const PAYLOADS: [(&str, Datatype, &str, usize); 4] = [
    ("empty BYTES", Datatype::Bytes, "\"\"", 32),
    ("escapes", Datatype::Bytes, "\"\\n\"", 33),
    ("small INT64", Datatype::Int64, "1", 8),
    ("small FP64", Datatype::Fp64, "1", 8),
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, datatype, element, becomes) in PAYLOADS {
        let data = listed(element);
        let spec = format!("\"name\":\"x\",\"shape\":[{COUNT}],\"datatype\":\"{datatype}\"");
        for (order, input) in [
            ("", format!("{{{spec},\"data\":[{data}]}}")),
            (" first", format!("{{\"data\":[{data}],{spec}}}")),
        ] {
            let body = Bytes::from(format!("{{\"inputs\":[{input}]}}"));
            let name = format!("REST, data{order}, {kind}");
            cases.push(case(name, body, becomes * COUNT, |body, room| {
                oip_rest::parse(body, body.len(), &Limits::default(), room).map(drop)
            }));
        }
        let rows = vec![format!("{{\"x\":{element}}}"); COUNT].join(",");
        for (form, body) in [
            ("instances", format!("{{\"instances\":[{data}]}}")),
            ("inputs", format!("{{\"inputs\":{{\"x\":[{data}]}}}}")),
            ("named rows", format!("{{\"instances\":[{rows}]}}")),
        ] {
            let body = Bytes::from(body);
            let name = format!("V1, {form}, {kind}");
            cases.push(case(name, body, becomes * COUNT, move |body, room| {
                kserve_v1::parse(body, &signature(datatype), &Limits::default(), room).map(drop)
            }));
        }
    }
    cases.extend(others());
    cases
}

fn others() -> Vec<Case> {
    let base64 = format!(
        "{{\"inputs\":[{{\"name\":\"x\",\"shape\":[{COUNT}],\"datatype\":\"BYTES\",\"parameters\":{{\"content_type\":\"base64\"}},\"data\":[{}]}}]}}",
        listed("\"AAAA\"")
    );
    let raw = Bytes::from(vec![0; 4 * COUNT]);
    let shape = vec![i64::try_from(COUNT).expect("a small number")];
    let grpc = ModelInferRequest {
        model_name: "m".to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "BYTES".to_owned(),
            shape: shape.clone(),
            ..Default::default()
        }],
        raw_input_contents: vec![raw.clone()],
        ..Default::default()
    };
    let texts = |texts: &str| Bytes::from(format!("{{\"model\":\"m\",\"input\":{texts}}}"));
    let long = "a".repeat(COUNT);
    let embeddings = |name: &str, body, becomes| {
        case(
            format!("embeddings, {name}"),
            body,
            becomes,
            |body, room| embeddings::parse(body, &Limits::default(), room).map(drop),
        )
    };
    let id = Bytes::from(format!("{{\"id\":\"{long}\",\"inputs\":[]}}"));
    vec![
        case(
            "REST, base64",
            base64.into(),
            2 * 32 * COUNT,
            |body, room| oip_rest::parse(body, body.len(), &Limits::default(), room).map(drop),
        ),
        case("REST, a long id", id, COUNT, |body, room| {
            oip_rest::parse(body, body.len(), &Limits::default(), room).map(drop)
        }),
        case("raw BYTES", raw, 32 * COUNT, move |body, room| {
            raw_tensor::decode("x", Datatype::Bytes, &shape, body.clone(), room).map(drop)
        }),
        case(
            "gRPC, raw BYTES",
            grpc.encode_to_vec().into(),
            32 * COUNT,
            |body, room| {
                request::decode(body, &Limits::default(), &mut |total| {
                    let more = total.saturating_sub(room.total());
                    room.take(more)
                })
                .map(drop)
            },
        ),
        embeddings("ids", texts(&format!("[{}]", listed("1"))), 4 * COUNT),
        embeddings(
            "lists of ids",
            texts(&format!("[[{}]]", listed("1"))),
            4 * COUNT,
        ),
        embeddings("a text", texts(&format!("\"{long}\"")), COUNT),
        embeddings(
            "a text of escapes",
            texts(&format!("\"{}\"", "\\n".repeat(COUNT))),
            COUNT,
        ),
        case(
            "trace settings",
            Bytes::from(format!("{{\"trace_level\":[{}]}}", listed("\"\""))),
            24 * COUNT,
            |body, room| settings::trace_change(body, 100, room, |_, _| Ok(())),
        ),
        case(
            "log settings",
            Bytes::from(format!("{{\"log_file\":\"{}\"}}", "\\n".repeat(COUNT))),
            COUNT,
            |body, room| settings::log_change(body, 100, room, |_, _| Ok(())),
        ),
        case(
            "repository",
            Bytes::from(format!("{{\"{}\":1}}", "\\n".repeat(COUNT))),
            COUNT,
            |body, room| repository::index_request(body, 100, room).map(drop),
        ),
    ]
}

fn refusal() -> Fault {
    Fault::new(FaultKind::Overloaded, "overloaded", "no memory")
}

#[test]
fn what_a_body_becomes_is_asked_for() {
    for case in cases() {
        let mut asked = 0;
        let mut times = 0;
        let reserve = |total| {
            (asked, times) = (total, times + 1);
            Ok(())
        };
        within(case.body, reserve, &case.read).expect(&case.name);
        let more = asked - case.body;
        assert!(
            more >= case.becomes,
            "{}: {more} of {}",
            case.name,
            case.becomes
        );
        // Not for each element, and no more than what an allocation and its copy take.
        assert!(times < COUNT / 100, "{}: asked {times} times", case.name);
        assert!(more < 8 * case.becomes, "{}: {more}", case.name);
    }
}

#[test]
fn no_reader_goes_on_without_memory() {
    for case in cases() {
        let most = case.body + case.becomes / 2;
        let mut beyond = 0;
        let reserve = |total| {
            if total <= most {
                return Ok(());
            }
            beyond += 1;
            Err(refusal())
        };
        let refused = within(case.body, reserve, &case.read).expect_err(&case.name);
        assert_eq!(refused, refusal(), "{}", case.name);
        assert_eq!(beyond, 1, "{}", case.name);
    }
}

#[test]
fn elements_that_a_shape_claims_and_nobody_sent_take_nothing() {
    let mut raw = Vec::new();
    raw.put_u32_le(1000);
    raw.extend([0; 1000]);
    let reserve = |_| -> Result<(), Fault> { Err(refusal()) };
    let fault = within(0, reserve, |room| {
        raw_tensor::decode("x", Datatype::Bytes, &[1 << 40], raw.into(), room).map(drop)
    })
    .expect_err("one element");
    assert_eq!(fault.code, "size_mismatch");
}
