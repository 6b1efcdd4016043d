//! gRPC messages share the memory for bodies until they are answered, alone and on streams.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::time::Duration;

use harness::frames::{
    Connection, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, frame, request as header_block,
};
use harness::{PATIENCE, Running, limited};
use prost::Message;
use serin_wire::oip_grpc::proto::model_infer_request::InferInputTensor;
use serin_wire::oip_grpc::proto::{
    InferTensorContents, ModelInferRequest, ModelStreamInferResponse,
};
use tokio::time::timeout;

const SERVICE: &str = "/inference.GRPCInferenceService/";
const WINDOW: u32 = 65_535;
/// What a stream's caller may send ahead, which is reserved when it begins.
const STREAM_WINDOW: usize = 64 << 10;

/// One connection may have half. Two of the messages below fit, with a copy in the engine and 16 KiB
/// for each call, three do not; nor does one of small numbers, which takes eight times what it takes
/// on the wire.
const BUDGET: usize = 220_000;
const RAW: usize = 14_000;

fn prefixed(message: &ModelInferRequest) -> Vec<u8> {
    let mut bytes = vec![0];
    let length = u32::try_from(message.encoded_len()).expect("a short message");
    bytes.extend(length.to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes
}

fn asked_of(model: &str, input: InferInputTensor, raw: Option<Vec<u8>>) -> Vec<u8> {
    prefixed(&ModelInferRequest {
        model_name: model.to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            ..input
        }],
        raw_input_contents: raw.into_iter().map(Into::into).collect(),
        ..Default::default()
    })
}

fn raw(model: &str) -> Vec<u8> {
    let input = InferInputTensor {
        datatype: "UINT8".to_owned(),
        shape: vec![i64::try_from(RAW).expect("a small number")],
        ..Default::default()
    };
    asked_of(model, input, Some(vec![7; RAW]))
}

fn small_numbers(model: &str) -> Vec<u8> {
    let input = InferInputTensor {
        datatype: "INT64".to_owned(),
        shape: vec![10_000],
        contents: Some(InferTensorContents {
            int64_contents: vec![1; 10_000],
            ..Default::default()
        }),
        ..Default::default()
    };
    asked_of(model, input, None)
}

struct Caller {
    connection: Connection,
    method: &'static str,
    next: u32,
}

impl Caller {
    async fn open(server: &Running, method: &'static str) -> Self {
        let connection = Connection::open(server.server.grpc_addr, WINDOW).await;
        Self {
            connection,
            method,
            next: 1,
        }
    }

    /// Opens a stream with one message on it; its number.
    async fn call(&mut self, message: &[u8]) -> u32 {
        let stream = self.next;
        self.next += 2;
        let block = header_block(
            "POST",
            &format!("{SERVICE}{}", self.method),
            &[("content-type", "application/grpc"), ("te", "trailers")],
        );
        let mut bytes = frame(HEADERS, END_HEADERS, stream, &block);
        bytes.extend(frame(DATA, END_STREAM, stream, message));
        self.connection
            .send(&bytes)
            .await
            .expect("an open connection");
        stream
    }

    async fn next(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let looking = async {
            loop {
                let frame = self.connection.frame().await.expect("an open connection");
                eprintln!("{frame:?}");
                if wanted(&frame) {
                    break frame;
                }
            }
        };
        timeout(PATIENCE, looking).await.expect("such a frame")
    }
}

async fn two_run(server: &Running) {
    let begun = server.models.begun.acquire_many(2);
    let begun = timeout(PATIENCE, begun).await.expect("both run");
    begun.expect("never closed").forget();
}

async fn small() -> Running {
    small_beside(0).await
}

/// With room for the windows of so many streams of one connection besides.
async fn small_beside(streams: usize) -> Running {
    limited(|limits| {
        limits.body_bytes = 40_000;
        limits.body_bytes_in_flight = Some(BUDGET + 2 * streams * STREAM_WINDOW);
        limits.stall_timeout = Duration::from_secs(30);
    })
    .await
}

#[tokio::test]
async fn calls_that_wait_for_their_answers_hold_their_share_and_give_it_back() {
    let server = small().await;
    let mut caller = Caller::open(&server, "ModelInfer").await;
    for _ in 0..2 {
        caller.call(&raw("slow")).await;
    }
    two_run(&server).await;
    let third = caller.call(&raw("slow")).await;
    // Refused by its head alone, while the others still run.
    let refused = caller
        .next(|frame| frame.kind == HEADERS && frame.stream == third)
        .await;
    assert_ne!(refused.flags & END_STREAM, 0, "{refused:?}");
    assert_eq!(server.models.begun.available_permits(), 0);
    server.models.release.add_permits(2);
    for _ in 0..2 {
        let end = caller
            .next(|frame| frame.kind == HEADERS && frame.flags & END_STREAM != 0)
            .await;
        assert!(end.stream < third, "{end:?}");
    }
    let fourth = caller.call(&raw("echo")).await;
    let answer = caller.next(|frame| frame.stream == fourth).await;
    assert_eq!(answer.flags & END_STREAM, 0, "{answer:?}");
}

#[tokio::test]
async fn messages_on_streams_hold_their_share_and_the_stream_outlives_a_refusal() {
    let server = small_beside(3).await;
    let mut caller = Caller::open(&server, "ModelStreamInfer").await;
    for _ in 0..2 {
        caller.call(&raw("slow")).await;
    }
    two_run(&server).await;
    let message = [
        raw("slow"),
        prefixed(&ModelInferRequest {
            model_name: "echo".to_owned(),
            id: "after".to_owned(),
            ..Default::default()
        }),
    ]
    .concat();
    let third = caller.call(&message).await;
    let mut told = Vec::new();
    while told.len() < 2 {
        let data = caller
            .next(|frame| frame.kind == DATA && frame.stream == third)
            .await;
        let mut bytes = &data.payload[..];
        while let [_, a, b, c, d, rest @ ..] = bytes {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let (message, rest) = rest.split_at(length);
            told.push(ModelStreamInferResponse::decode(message).expect("an answer"));
            bytes = rest;
        }
    }
    assert!(
        told[0].error_message.contains("holds its share"),
        "{told:?}"
    );
    assert_eq!(told[1].error_message, "");
    let answered = told[1].infer_response.as_ref().expect("an answer");
    assert_eq!(answered.id, "after");
    assert_eq!(server.models.begun.available_permits(), 0);
}

#[tokio::test]
async fn numbers_count_as_what_they_take_in_memory() {
    let server = small().await;
    let mut caller = Caller::open(&server, "ModelInfer").await;
    let message = small_numbers("echo");
    assert!(message.len() < 11_000, "{}", message.len());
    let stream = caller.call(&message).await;
    let refused = caller
        .next(|frame| frame.kind == HEADERS && frame.stream == stream)
        .await;
    assert_ne!(refused.flags & END_STREAM, 0, "{refused:?}");
}
