use std::sync::Arc;

use super::*;
use serin_core::types::{Batching, Datatype, Dimension, Signature, TensorSpec};

fn spec(name: &str, datatype: Datatype, extents: Option<&[i64]>, optional: bool) -> TensorSpec {
    let dimension = |extent: &i64| match extent {
        -1 => Dimension::Variable("N".into()),
        fixed => Dimension::Fixed(*fixed),
    };
    TensorSpec {
        name: name.into(),
        datatype,
        shape: extents.map(|extents| extents.iter().map(dimension).collect()),
        optional,
    }
}

fn model(name: &str, version: &str, inputs: Vec<TensorSpec>) -> ModelDescription {
    ModelDescription {
        name: name.into(),
        version: version.into(),
        versions: vec!["1".into(), "2".into()],
        platform: "onnxruntime_onnx",
        signature: Arc::new(Signature {
            inputs,
            outputs: vec![spec("y", Datatype::Bool, Some(&[-1]), false)],
            unserved_outputs: Vec::new(),
            producer: None,
        }),
        batching: Batching::off("made up"),
        embedding: None,
    }
}

/// Every value under a key, wherever it is.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == key {
                    found.push(member);
                }
                all(member, key, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| all(element, key, found)),
        _ => {}
    }
}

#[test]
fn every_group_of_operations_is_listed_once() {
    let x = vec![spec("x", Datatype::Fp32, Some(&[-1, 2]), false)];
    let document = of_server(&[model("m", "1", x)]);
    let groups: Vec<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), groups.len());
    assert!(groups.contains(&"Control"), "{groups:?}");
}

#[test]
fn as_many_classes_are_described_as_are_taken() {
    use crate::parameters::{Parameter, classes};
    let x = vec![spec("x", Datatype::Fp32, Some(&[-1, 2]), false)];
    let document = of_server(&[model("m", "1", x)]);
    let asked = "/components/schemas/OutputParameters/properties/classification/maximum";
    let most = document.pointer(asked).and_then(Value::as_u64).unwrap();
    assert!(classes("k", Parameter::Uint(most)).is_ok());
    assert!(classes("k", Parameter::Uint(most + 1)).is_err());
}

#[test]
fn each_model_has_paths_with_its_own_name_and_no_placeholder() {
    let x = || vec![spec("x", Datatype::Fp32, Some(&[-1, 2]), false)];
    let document = of_server(&[
        model("team/a {model}", "1", x()),
        model("team/a {model}", "2", x()),
    ]);
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/v2/models/team%2Fa%20%7Bmodel%7D/infer",
        "/v2/models/team%2Fa%20%7Bmodel%7D/versions/1/infer",
        "/v2/models/team%2Fa%20%7Bmodel%7D/versions/2/infer",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    // A region of shared memory has a name that nobody here knows.
    let named = paths.keys().map(|path| path.replace("{region}", "r"));
    assert_eq!(
        named.filter(|path| path.contains(['{', '$', ' '])).count(),
        0
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    let x = || vec![spec("x", Datatype::Int8, None, false)];
    // Names that look alike once they are letters and digits.
    let document = of_server(&[
        model("a b", "1", x()),
        model("a_b", "1", x()),
        model("a_b_v1", "1", x()),
    ]);
    let mut references = Vec::new();
    all(&document, "$ref", &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.as_str().unwrap().trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    let mut names = Vec::new();
    all(&document, "operationId", &mut names);
    let unique: BTreeSet<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn nested_data_has_no_lengths_where_it_may_be_empty() {
    let inputs = vec![spec("x", Datatype::Fp32, Some(&[4, -1]), false)];
    let document = of_server(&[model("m", "1", inputs)]);
    let x = &document["components"]["schemas"]["m_v1.Input0"]["properties"];
    let nested = &x["data"]["anyOf"][1];
    assert_eq!(nested["items"]["type"], "array");
    assert_eq!(nested.get("minItems"), None);
}

#[test]
fn a_request_is_typed_by_the_signature() {
    let inputs = vec![
        spec("x", Datatype::Uint8, Some(&[2, 3]), false),
        spec("k", Datatype::Fp64, Some(&[-1]), true),
    ];
    let document = of_model(&model("m", "1", inputs), false);
    let schemas = &document["components"]["schemas"];
    let request = &schemas["m_v1.InferRequest"]["properties"];
    assert_eq!(request["inputs"]["minItems"], 1);
    assert_eq!(request["inputs"]["maxItems"], 2);
    assert_eq!(
        request["inputs"]["allOf"][0]["contains"]["properties"]["name"]["const"],
        "x"
    );
    assert_eq!(
        request["outputs"]["items"]["properties"]["name"]["enum"],
        json!(["y"])
    );
    let x = &schemas["m_v1.Input0"]["properties"];
    assert_eq!(x["datatype"]["const"], "UINT8");
    assert_eq!(
        x["shape"]["prefixItems"],
        json!([{"const": 2}, {"const": 3}])
    );
    assert_eq!(x["data"]["anyOf"][0]["minItems"], 6);
    assert_eq!(x["data"]["anyOf"][1]["maxItems"], 2);
    assert_eq!(x["data"]["anyOf"][1]["items"]["maxItems"], 3);
    assert_eq!(schemas["UINT8"]["maximum"], 255);
    assert_eq!(schemas["UINT64"]["maximum"], u64::MAX);
    assert_eq!(schemas["INT64"]["minimum"], i64::MIN);
    let body = &document["paths"]["/v2/models/m/infer"]["post"]["requestBody"]["content"];
    let example = &body["application/json"]["example"]["inputs"];
    assert_eq!(example.as_array().unwrap().len(), 1);
    assert_eq!(example[0]["shape"], json!([2, 3]));
}

#[test]
fn a_model_of_another_version_is_described_under_that_version_alone() {
    let document = of_model(&model("m", "2", Vec::new()), true);
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.keys().all(|path| path.contains("/versions/2")));
}

#[test]
fn every_error_answer_lists_the_codes_that_it_may_carry() {
    let document = of_server(&[]);
    let codes = &document["components"]["schemas"]["Fault503"]["properties"]["code"]["enum"];
    assert_eq!(
        codes,
        &json!([
            "overloaded",
            "model_not_ready",
            "model_unloaded",
            "model_busy",
            "load_failed",
        ])
    );
    let answer = &document["components"]["responses"]["Fault503"];
    assert!(answer["headers"]["Retry-After"].is_object());
    assert!(answer["content"]["application/problem+json"].is_object());
}
