//! `spec.api.nonFinite`: what becomes of NaN and infinities where an answer is JSON.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use harness::{options, start_offering};
use serde_json::{Value, json};
use serin_crds::contract::policy::{ApiConfig, NonFinite};

const PATHS: [(&str, &str); 2] = [
    (
        "/v2/models/echo/infer",
        r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":["NaN",1]}]}"#,
    ),
    ("/v1/models/echo:predict", r#"{"instances":[["NaN",1]]}"#),
];

async fn answers(choice: NonFinite) -> Vec<(u16, Value)> {
    let api = ApiConfig {
        non_finite: choice,
        ..ApiConfig::default()
    };
    let server = start_offering(&options(), api).await;
    let mut client = server.client().await;
    let mut answers = Vec::new();
    for (path, body) in PATHS {
        let answer = client.post(path, body).await;
        answers.push((answer.status, answer.json()));
    }
    answers
}

fn data((status, document): &(u16, Value)) -> &Value {
    assert_eq!(*status, 200, "{document}");
    document
        .pointer("/outputs/0/data")
        .or_else(|| document.pointer("/predictions/0"))
        .expect("values")
}

#[tokio::test]
async fn strings_unless_the_service_chose_otherwise() {
    for answer in answers(NonFinite::default()).await {
        assert_eq!(data(&answer), &json!(["NaN", 1.0]));
    }
}

#[tokio::test]
async fn null_where_the_service_chose_that() {
    for answer in answers(NonFinite::Null).await {
        assert_eq!(data(&answer), &json!([null, 1.0]));
    }
}

#[tokio::test]
async fn an_error_that_names_the_output_where_the_service_chose_that() {
    for (status, document) in answers(NonFinite::Error).await {
        assert_eq!(status, 500, "{document}");
        let told = document["error"]
            .as_str()
            .or_else(|| document["error"]["message"].as_str());
        let told = told.expect("a message");
        assert!(told.starts_with("output 'x': element 0 is NaN"), "{told}");
    }
}

#[tokio::test]
async fn binary_answers_carry_every_value_whatever_was_chosen() {
    let api = ApiConfig {
        non_finite: NonFinite::Error,
        ..ApiConfig::default()
    };
    let server = start_offering(&options(), api).await;
    let mut client = server.client().await;
    let body = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":["NaN"]}],"parameters":{"binary_data_output":true}}"#;
    let answer = client.post("/v2/models/echo/infer", body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with(&f32::NAN.to_le_bytes()));
}
