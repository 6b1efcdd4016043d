//! Nobody holds the memory for requests for long, or all of it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod harness;

use std::time::Duration;

use harness::{Client, PATIENCE, Running, limited};
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(400);
const MIB: usize = 1 << 20;

/// A request of so many bytes of data, whose answer has as many.
fn echo(bytes: usize) -> Vec<u8> {
    let json = format!(
        r#"{{"parameters":{{"binary_data_output":true}},"inputs":[{{"name":"x","shape":[{bytes}],"datatype":"UINT8","parameters":{{"binary_data_size":{bytes}}}}}]}}"#
    );
    let head = format!(
        "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nInference-Header-Content-Length: {}\r\nContent-Length: {}\r\n\r\n",
        json.len(),
        json.len() + bytes
    );
    [head.into_bytes(), json.into_bytes(), vec![7; bytes]].concat()
}

async fn asked(server: &Running, bytes: usize) -> Client {
    let mut client = server.client().await;
    // A refusal may come before the end of the body.
    client.send_if_taken(echo(bytes)).await;
    client
}

/// The first byte of an answer has come: it is made.
async fn begins(client: &Client) {
    let mut byte = [0];
    let peeked = timeout(PATIENCE, client.stream.peek(&mut byte)).await;
    assert_eq!(peeked.expect("an answer").expect("an open connection"), 1);
}

async fn is_idle(server: &Running) {
    let mut client = server.client().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        client.send_if_taken(echo(16 * MIB)).await;
        match client.try_answer(false).await {
            Some(answer) if answer.status == 200 => return,
            _ => client = server.client().await,
        }
        assert!(tokio::time::Instant::now() < deadline, "still in use");
    }
}

#[tokio::test]
async fn an_answer_counts_until_its_caller_has_taken_it() {
    let server = limited(|limits| {
        limits.body_bytes = 24 * MIB;
        limits.body_bytes_in_flight = Some(96 * MIB);
    })
    .await;
    // More than sockets buffer.
    let mut unread = Vec::new();
    for _ in 0..3 {
        let client = asked(&server, 20 * MIB).await;
        begins(&client).await;
        unread.push(client);
    }
    let mut refused = asked(&server, 20 * MIB).await;
    assert_eq!(refused.answer(false).await.status, 503);
    // Small requests have room of their own.
    let mut small = asked(&server, 1000).await;
    assert_eq!(small.answer(false).await.status, 200);
    for client in &mut unread {
        assert!(client.answer(false).await.body.len() > 20 * MIB);
    }
    is_idle(&server).await;
}

#[tokio::test]
async fn answers_of_callers_that_left_are_given_up() {
    let server = limited(|limits| {
        limits.body_bytes = 24 * MIB;
        limits.body_bytes_in_flight = Some(96 * MIB);
    })
    .await;
    for _ in 0..8 {
        let client = asked(&server, 20 * MIB).await;
        begins(&client).await;
    }
    is_idle(&server).await;
}

#[tokio::test]
async fn a_line_ends_with_the_time_of_a_request_however_much_of_it_has_come() {
    let server = limited(|limits| limits.request_timeout = SHORT).await;
    let mut client = server.client().await;
    client
        .send("POST /v2/models/echo/infer_stream HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    // At the minimum pace this much may take 17 minutes.
    client
        .send(format!("{:x}\r\n{}\r\n", MIB, "x".repeat(MIB)))
        .await;
    let answer = timeout(PATIENCE, client.answer(false))
        .await
        .expect("an end");
    assert!(answer.text().contains("slow_body"), "{}", answer.text());
}

#[tokio::test]
async fn a_body_ends_with_the_time_of_a_request_however_much_of_it_has_come() {
    let server = limited(|limits| limits.request_timeout = SHORT).await;
    for path in ["/v2/models/echo/infer", "/v2/repository/index"] {
        let mut client = server.client().await;
        client
            .send(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}",
                2 * MIB,
                "x".repeat(MIB)
            ))
            .await;
        let answer = timeout(PATIENCE, client.answer(false))
            .await
            .expect("an end");
        assert!([408, 504].contains(&answer.status), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn half_a_header_block_counts_and_ends_where_there_is_no_room() {
    let server = limited(|limits| limits.body_bytes_in_flight = Some(MIB)).await;
    let half = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}", "y".repeat(60_000));
    let mut callers = Vec::new();
    for _ in 0..12 {
        let mut client = server.client().await;
        client.send_if_taken(&half).await;
        callers.push(client);
    }
    // Each takes 180 KB: at the sixth there is no more room.
    let mut closed = 0;
    // The last ones were refused.
    for client in callers.iter_mut().rev() {
        let ended = timeout(Duration::from_secs(2), client.try_answer(false)).await;
        closed += usize::from(matches!(ended, Ok(None)));
        if closed == 6 {
            return;
        }
    }
    panic!("{closed} of 12");
}
