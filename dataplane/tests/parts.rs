//! Answers of many parts: each goes out when it is made, over every kind of stream.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::time::Duration;

use harness::stream::Stream;
use harness::{Running, body, grpc, options, start};
use prost::Message;
use serin_wire::oip_grpc::proto::infer_parameter::ParameterChoice;
use serin_wire::oip_grpc::proto::{ModelInferResponse, ModelStreamInferResponse};
use tokio::time::timeout;

const TWO: &str = r#"{"id":"7","inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[1]},{"name":"y","shape":[1],"datatype":"INT8","data":[2]}]}"#;

fn one() -> String {
    body("FP32", "[2]", "[1,2]")
}

async fn stream(server: &Running, text: &str) -> Stream {
    let headers = "Accept: application/x-ndjson\r\n";
    let mut stream = Stream::open(server.server.http_addr, "parts", headers).await;
    stream.send(text).await;
    stream.finish().await;
    stream
}

#[tokio::test]
async fn each_part_goes_out_before_the_next_one_is_made() {
    let server = start(&options()).await;
    let mut stream = stream(&server, &one()).await;
    for _ in 0..3 {
        server.models.release_parts.add_permits(1);
        let part = stream.answer().await;
        assert_eq!(part["model_name"], "parts");
    }
    let (more, ended) = stream.rest().await;
    assert!(more.is_empty() && ended);
}

#[tokio::test]
async fn a_fault_in_a_later_part_is_the_last_event() {
    let server = start(&options()).await;
    server.models.release_parts.add_permits(3);
    let mut stream = stream(&server, TWO).await;
    for _ in 0..2 {
        assert!(stream.answer().await["outputs"].is_array());
    }
    let last = stream.answer().await;
    assert_eq!(last["code"], "inference_error");
    assert_eq!(stream.rest().await, (Vec::new(), true));
}

#[tokio::test]
async fn rows_are_answered_in_parts_in_their_order() {
    let server = start(&options()).await;
    server.models.release_parts.add_permits(6);
    let mut stream = Stream::rows(server.server.http_addr, "parts").await;
    for id in ["a", "b"] {
        let row = one().replacen('{', &format!(r#"{{"id":"{id}","#), 1);
        stream.send(&format!("{row}\n")).await;
    }
    stream.finish().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        let line = stream.answer().await;
        ids.push(line["id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(ids, ["a", "a", "a", "b", "b", "b"]);
}

#[tokio::test]
async fn a_caller_that_leaves_gives_the_rest_up() {
    let server = start(&options()).await;
    let release = &server.models.release_parts;
    release.add_permits(1);
    let mut stream = stream(&server, &one()).await;
    stream.answer().await;
    drop(stream);
    // Nobody takes the second part, and the third is never made: the answer is dropped, and the
    // stream's record with it.
    release.add_permits(1);
    let left = [("model", "parts"), ("protocol", "rest")];
    let in_flight = [("model", "parts")];
    server
        .until_samples(|samples| {
            samples.sum("serin_stream_cancelled_total", &left) == 1.0
                && samples.sum("serin_requests_in_flight", &in_flight) == 0.0
        })
        .await;
}

#[tokio::test]
async fn a_protocol_with_room_for_one_answer_says_which_has_more() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let answer = client.post("/v2/models/parts/infer", one()).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.text().contains("/infer_stream"), "{answer:?}");
    let answer = grpc::call(&mut client, "ModelInfer", "", &grpc::infer("parts")).await;
    assert_eq!(answer.header("grpc-status"), Some("3"), "{answer:?}");
}

#[tokio::test]
async fn a_grpc_stream_marks_the_last_message_of_each_answer() {
    let server = start(&options()).await;
    server.models.release_parts.add_permits(3);
    let mut client = server.client().await;
    let message = grpc::infer("parts");
    let call = grpc::call(&mut client, "ModelStreamInfer", "", &message);
    let answer = timeout(Duration::from_secs(20), call)
        .await
        .expect("an end");
    let mut rest = &answer.body[..];
    let mut last = Vec::new();
    while let [0, a, b, c, d, tail @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let message = ModelStreamInferResponse::decode(&tail[..length]).expect("a message");
        let response: ModelInferResponse = message.infer_response.expect("a response");
        let mark = &response.parameters["triton_final_response"];
        last.push((
            response.outputs.len(),
            mark.parameter_choice == Some(ParameterChoice::BoolParam(true)),
        ));
        rest = &tail[length..];
    }
    assert_eq!(last, [(1, false), (1, false), (1, false), (0, true)]);
}
