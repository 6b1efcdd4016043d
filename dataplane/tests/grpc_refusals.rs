//! Every refusal of a gRPC call is a gRPC status, with the one id of its request.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::time::Duration;

use harness::{Answer, Running, grpc, options, start};
use serin_dataplane::config::Options;
use serin_dataplane::server::shutdown::Stop;
use serin_wire::oip_grpc::proto::LogSettingsRequest;
use serin_wire::oip_grpc::proto::log_settings_request::SettingValue;

const ID: &str = "X-Request-Id: job-7\r\n";

fn assert_status(answer: &Answer, status: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/grpc"),
        "{answer:?}"
    );
    assert_eq!(answer.header("grpc-status"), Some(status), "{answer:?}");
    assert_eq!(answer.header("x-request-id"), Some("job-7"), "{answer:?}");
    assert_eq!(answer.head.matches("x-request-id").count(), 1, "{answer:?}");
}

#[tokio::test]
async fn a_panic_is_internal() {
    let server = start(&options()).await;
    for address in [server.server.http_addr, server.server.grpc_addr] {
        let mut client = harness::Client::connect(address).await;
        let answer = grpc::call(&mut client, "ModelInfer", ID, &grpc::infer("panic")).await;
        assert_status(&answer, "13");
        let message = answer.header("grpc-message").expect("a message");
        assert!(message.contains("job-7"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_over_long_uri_is_an_invalid_argument() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let method = format!("ModelInfer?{}", "a".repeat(10_000));
    let answer = grpc::call(&mut client, &method, ID, &[]).await;
    assert_status(&answer, "3");
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let answer = grpc::call(&mut client, "ModelTrain", ID, &[]).await;
    assert_eq!(answer.header("grpc-status"), Some("12"), "{answer:?}");
    let headers = format!("Content-Type: application/grpc\r\n{ID}");
    let answer = client
        .request("POST", "/no.Such/Method", &headers, "")
        .await;
    assert_status(&answer, "12");
}

#[tokio::test]
async fn a_call_has_one_id_where_its_caller_gives_none() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let answer = grpc::call(&mut client, "ModelInfer", "", &grpc::infer("nobody")).await;
    assert_eq!(answer.head.matches("x-request-id").count(), 1, "{answer:?}");
    let id = answer.header("x-request-id").expect("an id").to_owned();
    let answer = grpc::call(&mut client, "ModelInfer", "", &grpc::infer("panic")).await;
    let message = answer.header("grpc-message").expect("a message");
    let own = answer.header("x-request-id").expect("an id");
    assert!(message.contains(own) && own != id, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_drain_cannot_finish_is_unavailable_over_grpc_and_503_over_rest() {
    let server = start(&Options {
        drain_timeout: Duration::from_millis(400),
        ..options()
    })
    .await;
    let address = server.server.http_addr;
    let slow = |over_grpc: bool| {
        tokio::spawn(async move {
            let mut client = harness::Client::connect(address).await;
            if over_grpc {
                grpc::call(&mut client, "ModelInfer", ID, &grpc::infer("slow")).await
            } else {
                let text = harness::body("FP32", "[1,2]", "[1,2]");
                client.post("/v2/models/slow/infer", &text).await
            }
        })
    };
    let (over_grpc, over_rest) = (slow(true), slow(false));
    let begun = server.models.begun.acquire_many(2).await;
    begun.expect("never closed").forget();
    let Running {
        server: ports,
        shutdown,
        models,
        ..
    } = server;
    ports.drain(Stop::Finish, Duration::ZERO, shutdown).await;
    assert_status(&over_grpc.await.expect("an answer"), "14");
    let over_rest = over_rest.await.expect("an answer");
    assert_eq!(over_rest.status, 503, "{over_rest:?}");
    assert_eq!(over_rest.json()["code"], "model_not_ready");
    drop(models);
}

/// A map of settings takes more than a hundred bytes for each entry of ten.
#[tokio::test]
async fn a_control_message_is_small_or_refused_unread() {
    let server = start(&options()).await;
    for (entries, status) in [(100, "7"), (20_000, "11")] {
        let message = LogSettingsRequest {
            settings: (0..entries)
                .map(|entry: u32| (entry.to_string(), SettingValue::default()))
                .collect(),
        };
        let mut client = server.client().await;
        let message = grpc::prefixed(&message);
        let answer = grpc::call(&mut client, "LogSettings", ID, &message).await;
        assert_status(&answer, status);
    }
}
