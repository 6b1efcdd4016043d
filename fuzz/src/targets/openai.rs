//! Bodies of the other protocols: OpenAI's embeddings, KServe's first protocol, control requests.

use crate::memory::any;
use arbitrary::Unstructured;
use bytes::Bytes;
use serin_core::Limits;
use serin_core::types::{Datatype, Dimension, Signature, TensorSpec};
use serin_wire::kserve_v1;
use serin_wire::oip_rest::{repository, settings};
use serin_wire::openai::embeddings::{self, Piece};

use super::checks;
use crate::Target;

fn seeds_of(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn small() -> Limits {
    Limits {
        tensors: 4,
        dimensions: 4,
        element_bytes: 64,
        json_depth: 12,
        ..Limits::default()
    }
}

pub const PREDICT: Target = Target {
    name: "predict",
    about: "a request of KServe's first protocol becomes tensors that hold what their shapes say",
    run: predict,
    seeds: || {
        let texts = [
            r#"{"instances":[[1,2],[3,4]]}"#,
            r#"{"instances":[{"x":[1.5],"y":"a"},{"x":[2],"y":"b"}]}"#,
            r#"{"inputs":{"x":[[1],[2]],"y":["a","b"]}}"#,
            r#"{"instances":[]}"#,
        ];
        let seed =
            |text: &&str| [11, 13, 7].map(|one| [&[one, one, 1][..], text.as_bytes()].concat());
        texts.iter().flat_map(seed).collect()
    },
    dictionary: &[
        "\"instances\":",
        "\"inputs\":",
        "\"x\":",
        "\"y\":",
        "[",
        "]",
        "{",
        "}",
        "null",
        "true",
        "1e3",
        "\"b64\":",
    ],
    longest: 1024,
};

fn predict(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let datatypes = [(); 2].map(|()| *input.choose(&Datatype::ALL).expect("a datatype"));
    let count = input.int_in_range(0..=2).expect("a count");
    let spec = |(name, datatype): (&str, Datatype)| TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: Some(vec![Dimension::Variable(String::new()); 2]),
        optional: false,
    };
    let signature = Signature {
        inputs: ["x", "y"]
            .into_iter()
            .zip(datatypes)
            .take(count)
            .map(spec)
            .collect(),
        outputs: Vec::new(),
        unserved_outputs: Vec::new(),
        producer: None,
    };
    let limits = small();
    let body = Bytes::copy_from_slice(input.take_rest());
    match any(|room| kserve_v1::parse(&body, &signature, &limits, room)) {
        Err(fault) => checks::fault(&fault),
        Ok(tensors) => {
            assert!(tensors.len() <= signature.inputs.len());
            tensors
                .iter()
                .for_each(|tensor| checks::tensor(tensor, &limits));
        }
    }
}

pub const EMBEDDINGS: Target = Target {
    name: "embeddings",
    about: "a request for embeddings has something to embed, and not too much of it",
    run: embeddings,
    seeds: || {
        seeds_of(&[
            r#"{"model":"e","input":"hello","encoding_format":"base64","user":"u"}"#,
            r#"{"model":"e","input":["a","b"],"dimensions":8}"#,
            r#"{"model":"e","input":[1,2,3]}"#,
            r#"{"model":"e","input":[[1],[2,3]]}"#,
        ])
    },
    dictionary: &[
        "\"model\":",
        "\"input\":",
        "\"encoding_format\":",
        "\"float\"",
        "\"base64\"",
        "\"dimensions\":",
        "4294967296",
        "[[",
        "\"\"",
    ],
    longest: 1024,
};

fn embeddings(data: &[u8]) {
    let request = match any(|room| embeddings::parse(&Bytes::copy_from_slice(data), &small(), room))
    {
        Ok(request) => request,
        Err(fault) => return checks::fault(&fault),
    };
    let pieces = request.input;
    assert!(
        (1..=2048).contains(&pieces.len()),
        "{} pieces",
        pieces.len()
    );
    let empty = |piece: &Piece| match piece {
        Piece::Text(text) => text.is_empty(),
        Piece::Tokens(ids) => ids.is_empty(),
    };
    assert!(!pieces.iter().any(empty), "an empty piece");
}

pub const CONTROL: Target = Target {
    name: "control",
    about: "control requests are read or refused, and none loads what a request brings",
    run: control,
    seeds: || {
        seeds_of(&[
            "",
            r#"{"ready":true}"#,
            r#"{"parameters":{"config":"{}"}}"#,
            r#"{"parameters":{"unload_dependents":true}}"#,
            r#"{"trace_level":null}"#,
        ])
    },
    dictionary: &[
        "\"ready\":",
        "\"parameters\":",
        "\"config\":",
        "\"file:1/model.onnx\":",
        "\"unload_dependents\":",
        "\"trace_rate\":",
        "null",
        "{}",
    ],
    longest: 512,
};

fn control(data: &[u8]) {
    const DEPTH: usize = 12;
    let results = [
        any(|room| repository::index_request(data, DEPTH, room)).map(drop),
        any(|room| repository::load_request(data, DEPTH, room)),
        any(|room| repository::unload_request(data, DEPTH, room)),
        any(|room| settings::log_change(data, DEPTH, room, |_, _| Ok(()))),
        any(|room| settings::trace_change(data, DEPTH, room, |_, _| Ok(()))),
    ];
    let load_is_refused = results[1].is_err();
    results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .for_each(checks::fault);
    let named = std::str::from_utf8(data)
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok())
        .is_some_and(|body| {
            body["parameters"]
                .as_object()
                .is_some_and(|all| !all.is_empty())
        });
    assert!(!named || load_is_refused, "a load with parameters is taken");
}
