//! Callers of HTTP/2 that do nothing wrong are never cut off: they send small messages far ahead of a slow
//! model, on many streams, and give up many calls at once.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use harness::frames::{
    ACK, Connection, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS, frame, request as header_block,
};
use harness::{PATIENCE, options, start};
use prost::Message;
use serin_wire::oip_grpc::proto::{ModelInferRequest, ModelStreamInferResponse};
use tokio::time::timeout;

const WINDOW_UPDATE: u8 = 8;
const INITIAL_WINDOW_SIZE: u16 = 4;

fn head(method: &str, stream: u32) -> Vec<u8> {
    let path = format!("/inference.GRPCInferenceService/{method}");
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    frame(
        HEADERS,
        END_HEADERS,
        stream,
        &header_block("POST", &path, &fields),
    )
}

async fn next(connection: &mut Connection) -> Frame {
    let frame = timeout(PATIENCE, connection.frame()).await;
    let frame = frame.expect("a frame in time").expect("an open connection");
    let reason = String::from_utf8_lossy(&frame.payload);
    assert_ne!(frame.kind, GOAWAY, "{reason}");
    frame
}

/// What the server has read everything up to.
async fn ping(connection: &mut Connection) {
    let ping = frame(PING, 0, 0, b"are you?");
    connection.send(&ping).await.expect("an open connection");
    loop {
        let frame = next(connection).await;
        if frame.kind == PING && frame.flags & ACK != 0 && frame.payload == b"are you?" {
            return;
        }
    }
}

/// The window of each stream, from the server's settings, and that of the connection.
async fn windows(connection: &mut Connection) -> (usize, usize) {
    let (mut stream, mut whole) = (0, 65_535);
    while stream == 0 || whole == 65_535 {
        let frame = next(connection).await;
        match (frame.kind, frame.flags & ACK) {
            (SETTINGS, 0) => {
                for setting in frame.payload.chunks(6) {
                    let [a, b, rest @ ..] = setting else { continue };
                    if u16::from_be_bytes([*a, *b]) == INITIAL_WINDOW_SIZE {
                        let value = rest.try_into().expect("four bytes");
                        stream = u32::from_be_bytes(value) as usize;
                    }
                }
            }
            (WINDOW_UPDATE, _) if frame.stream == 0 => {
                let more = frame.payload[..].try_into().expect("four bytes");
                whole += u32::from_be_bytes(more) as usize;
            }
            _ => {}
        }
    }
    (stream, whole)
}

/// The model never answers, so that everything that a stream may send ahead waits: with its message of 40
/// bytes in a frame of its own each, on a hundred streams of one connection.
#[tokio::test]
async fn streams_of_small_messages_ahead_of_a_slow_model_are_not_cut_off() {
    let server = start(&options()).await;
    let mut connection = Connection::open(server.server.grpc_addr, 65_535).await;
    let (window, whole) = windows(&mut connection).await;
    let request = ModelInferRequest {
        model_name: "slow".to_owned(),
        id: "0123456789012345678901234567".to_owned(),
        ..Default::default()
    };
    let length = u32::try_from(request.encoded_len()).expect("short");
    let message = [&[0][..], &length.to_be_bytes(), &request.encode_to_vec()].concat();
    assert!((35..45).contains(&message.len()), "{}", message.len());
    let streams = 100;
    assert!(
        whole >= streams * window,
        "a stream that waits holds up no other"
    );
    for stream in 0..streams {
        let number = 2 * u32::try_from(stream).expect("few") + 1;
        let mut bytes = head("ModelStreamInfer", number);
        let ahead = frame(DATA, 0, number, &message);
        bytes.extend(ahead.repeat(window / message.len()));
        connection.send(&bytes).await.expect("an open connection");
    }
    ping(&mut connection).await;
}

#[tokio::test]
async fn requests_of_a_grpc_stream_wait_for_a_busy_model() {
    let server = start(&options()).await;
    let mut connection = Connection::open(server.server.grpc_addr, 65_535).await;
    let request = ModelInferRequest {
        model_name: "busy".to_owned(),
        ..Default::default()
    };
    let mut bytes = head("ModelStreamInfer", 1);
    bytes.extend(frame(
        DATA,
        END_STREAM,
        1,
        &harness::grpc::prefixed(&request),
    ));
    connection.send(&bytes).await.expect("an open connection");
    let answer = loop {
        let frame = next(&mut connection).await;
        if frame.kind == DATA {
            break ModelStreamInferResponse::decode(&frame.payload[5..]).expect("an answer");
        }
    };
    assert_eq!(answer.error_message, "");
}

#[tokio::test]
async fn a_caller_may_give_up_many_calls_at_once() {
    let server = start(&options()).await;
    let mut connection = Connection::open(server.server.grpc_addr, 65_535).await;
    let mut bytes = Vec::new();
    for call in 0..500 {
        let number = 2 * call + 1;
        bytes.extend(head("ModelInfer", number));
        // CANCEL (RFC 9113, 7).
        bytes.extend(frame(RST_STREAM, 0, number, &8_u32.to_be_bytes()));
    }
    connection.send(&bytes).await.expect("an open connection");
    ping(&mut connection).await;
}

#[tokio::test]
async fn a_peer_that_sends_frames_that_ask_for_nothing_is_closed() {
    let server = start(&options()).await;
    // SETTINGS, PING, PRIORITY, WINDOW_UPDATE and a type that nobody knows.
    for (kind, payload) in [
        (SETTINGS, 0),
        (PING, 8),
        (2, 5),
        (WINDOW_UPDATE, 4),
        (0xbe, 3),
    ] {
        let mut connection = Connection::open(server.server.http_addr, 65_535).await;
        let flood = frame(kind, 0, u32::from(kind == 2), &vec![1; payload]).repeat(1000);
        let closed = async {
            while connection.send(&flood).await.is_ok() {
                let reading = connection.live_until_closed(harness::PATIENCE);
                if timeout(std::time::Duration::from_millis(1), reading)
                    .await
                    .is_ok()
                {
                    break;
                }
            }
        };
        timeout(PATIENCE, closed)
            .await
            .expect("the connection is closed");
    }
}
