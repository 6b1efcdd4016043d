//! Floods and hostages over HTTP/2, and crowds over HTTP/1: closed on time, bounded in memory, and
//! the others are served meanwhile. The times are the server's own, made short.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::time::{Duration, Instant};

use harness::frames::{
    CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS, frame, request,
};
use harness::{Client, PATIENCE, body, limited};

const SHORT: Duration = Duration::from_millis(500);
/// Over the timeout, on a busy machine.
const SLACK: Duration = Duration::from_secs(10);
/// The window that every stream has at first (RFC 9113, 6.9.2).
const WINDOW: u32 = 65_535;
/// What an attack may make the process hold, the attacker's own sockets and buffers included.
const MOST_GROWTH: u64 = 64 << 20;

/// Bytes that this process holds.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("a Linux machine");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    pages * 4096
}

/// A normal request is answered.
async fn assert_served(client: &mut Client) {
    let answer = client
        .post("/v2/models/echo/infer", body("INT8", "[1]", "[1]"))
        .await;
    assert_eq!(answer.status, 200);
}

/// Sends the bytes of one stream after the other until the server closes the connection, at most
/// so often; how often it was.
async fn flood(connection: &mut Connection, most: u32, bytes: impl Fn(u32) -> Vec<u8>) -> u32 {
    for round in 0..most {
        if connection.send(&bytes(2 * round + 1)).await.is_err() {
            return round;
        }
    }
    most
}

#[tokio::test]
async fn a_flood_of_reset_streams_ends_its_connection_alone() {
    let server = limited(|_| {}).await;
    let mut good = server.client().await;
    assert_served(&mut good).await;
    let before = resident();
    let block = request("POST", "/v2/models/slow/infer", &[]);
    for flags in [END_HEADERS, END_HEADERS | END_STREAM] {
        let mut bad = Connection::open(server.server.http_addr, WINDOW).await;
        const MOST: u32 = 200_000;
        let sent = flood(&mut bad, MOST, |stream| {
            [
                frame(HEADERS, flags, stream, &block),
                frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()),
            ]
            .concat()
        })
        .await;
        assert!(sent < MOST, "{sent} reset streams were taken");
        assert_served(&mut good).await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes more");
}

#[tokio::test]
async fn a_header_block_without_end_ends_its_connection() {
    let server = limited(|_| {}).await;
    let mut good = server.client().await;
    let before = resident();
    for payload in [&[][..], &[0; 16_000]] {
        let mut bad = Connection::open(server.server.http_addr, WINDOW).await;
        bad.send(&frame(HEADERS, END_STREAM, 1, &request("GET", "/v2", &[])))
            .await
            .expect("an open connection");
        const MOST: u32 = 100_000;
        let sent = flood(&mut bad, MOST, |_| frame(CONTINUATION, 0, 1, payload)).await;
        assert!(
            sent < MOST,
            "{sent} frames of {} bytes were taken",
            payload.len()
        );
        assert_served(&mut good).await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes more");
}

#[tokio::test]
async fn a_header_list_that_unpacks_to_megabytes_is_not_served() {
    let server = limited(|_| {}).await;
    let mut good = server.client().await;
    let before = resident();
    // A field of 3,800 bytes goes into the table (RFC 7541, 6.2.1), and a byte each names it again.
    let mut block = request("GET", "/v2", &[]);
    block.extend([0x40, 1, b'x', 0x7f]);
    block.extend([0xd9, 0x1c]);
    block.extend([b'a'; 3800]);
    block.extend([0xbe; 10_000]);
    let mut bad = Connection::open(server.server.http_addr, WINDOW).await;
    bad.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block))
        .await
        .expect("an open connection");
    let answer = tokio::time::timeout(PATIENCE, async {
        loop {
            match bad.frame().await {
                Some(frame) if [SETTINGS, PING].contains(&frame.kind) => {}
                Some(frame) if frame.kind == HEADERS => break Some(frame),
                Some(frame) if [RST_STREAM, GOAWAY].contains(&frame.kind) => break None,
                Some(_) => {}
                None => break None,
            }
        }
    })
    .await
    .expect("an answer");
    // 431 is not in HPACK's static table; a served request begins with 0x88, which is 200.
    assert!(answer.is_none_or(|frame| frame.payload.first() != Some(&0x88)));
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes more");
    assert_served(&mut good).await;
}

#[tokio::test]
async fn who_floods_with_pings_or_settings_and_never_reads_is_closed() {
    let server = limited(|limits| limits.stall_timeout = SHORT).await;
    let mut good = server.client().await;
    let before = resident();
    for bytes in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut bad = Connection::open(server.server.http_addr, WINDOW).await;
        let many = bytes.repeat(1000);
        let flooding = flood(&mut bad, u32::MAX, |_| many.clone());
        tokio::time::timeout(SHORT + SLACK, flooding)
            .await
            .expect("the connection is closed");
        assert_served(&mut good).await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes more");
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_take_no_work() {
    let server = limited(|limits| limits.http2_streams = 50).await;
    let mut bad = Connection::open(server.server.http_addr, WINDOW).await;
    let text = body("INT8", "[1]", "[1]");
    let block = request("POST", "/v2/models/slow/infer", &[]);
    // Sent in one go: before the server's settings, which say how many it takes.
    let sent = flood(&mut bad, 200, |stream| {
        [
            frame(HEADERS, END_HEADERS, stream, &block),
            frame(DATA, END_STREAM, stream, text.as_bytes()),
        ]
        .concat()
    })
    .await;
    let mut refused = 0;
    let mut closed = false;
    while sent == 200 && refused < 150 && !closed {
        match tokio::time::timeout(PATIENCE, bad.frame())
            .await
            .expect("a frame")
        {
            Some(frame) if frame.kind == RST_STREAM => refused += 1,
            Some(frame) if frame.kind == GOAWAY => closed = true,
            Some(_) => {}
            None => closed = true,
        }
    }
    assert!(server.models.begun.available_permits() <= 50);
    assert_served(&mut server.client().await).await;
}

#[tokio::test]
async fn who_opens_no_window_for_the_answers_is_closed_and_holds_nothing() {
    let server = limited(|limits| limits.stall_timeout = SHORT).await;
    // 60 kB, which the server takes before it has said that it takes more; the answer has 120 kB,
    // more than any of the windows.
    let text = body("FP32", "[30000]", &format!("[{}1]", "1,".repeat(29_999)));
    // No window at all, one byte, and one that the beginning of an answer fits.
    for window in [0, 1, WINDOW] {
        let mut bad = Connection::open(server.server.http_addr, window).await;
        let begun = Instant::now();
        let block = request("POST", "/v2/models/echo/infer", &[]);
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block);
        for piece in text.as_bytes().chunks(16_000) {
            bytes.extend(frame(DATA, 0, 1, piece));
        }
        bytes.extend(frame(DATA, END_STREAM, 1, &[]));
        bad.send(&bytes).await.expect("an open connection");
        let seen = bad.live_until_closed(SHORT + SLACK).await;
        let took = begun.elapsed();
        assert!(took >= SHORT, "window {window}: {took:?}, {seen:?}");
    }
    assert_served(&mut server.client().await).await;
}

#[tokio::test]
async fn a_grpc_call_whose_message_does_not_come_is_ended() {
    let server = limited(|limits| limits.stall_timeout = SHORT).await;
    let path = "/inference.GRPCInferenceService/ModelInfer";
    let block = request(
        "POST",
        path,
        &[("content-type", "application/grpc"), ("te", "trailers")],
    );
    for address in [server.server.http_addr, server.server.grpc_addr] {
        for sent in [&[][..], &[0, 0, 0, 1, 0, b'x']] {
            let mut bad = Connection::open(address, WINDOW).await;
            let begun = Instant::now();
            let bytes = [
                frame(HEADERS, END_HEADERS, 1, &block),
                frame(DATA, 0, 1, sent),
            ]
            .concat();
            bad.send(&bytes).await.expect("an open connection");
            let answer = tokio::time::timeout(SHORT + SLACK, async {
                loop {
                    let frame = bad.frame().await.expect("an answer");
                    if [HEADERS, RST_STREAM].contains(&frame.kind) {
                        break frame;
                    }
                }
            })
            .await
            .expect("the call ends");
            assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
            // DEADLINE_EXCEEDED, as REST's 408 is over gRPC; both texts in HPACK's Huffman code.
            let status = b"\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x81\x6b";
            let told = answer
                .payload
                .windows(status.len())
                .any(|part| part == status);
            assert!(told, "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_slow_callers_is_closed_on_time_and_the_others_are_served() {
    const IDLE: usize = 1000;
    const HALF_HEADS: usize = 500;
    const SLOW_BODIES: usize = 500;
    allow_files(2 * (IDLE + HALF_HEADS + SLOW_BODIES) as u64 + 500);
    let wait = Duration::from_secs(3);
    let server = limited(|limits| {
        limits.first_byte_timeout = wait;
        limits.header_timeout = wait;
        limits.idle_timeout = wait;
        limits.stall_timeout = wait;
    })
    .await;
    let mut good = server.client().await;
    assert_served(&mut good).await;
    let before = resident();
    let mut bad = Vec::new();
    for index in 0..IDLE + HALF_HEADS + SLOW_BODIES {
        let mut client = server.client().await;
        if index % 4 == 1 {
            client
                .send("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nX-")
                .await;
        } else if index % 4 == 3 {
            client
                .send("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
                .await;
        }
        bad.push(client);
        if index % 50 == 0 {
            assert_served(&mut good).await;
        }
    }
    let opened = Instant::now();
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes more");
    let closing = async {
        for client in &mut bad {
            client.closed().await;
        }
    };
    tokio::join!(closing, async {
        while opened.elapsed() < wait / 2 {
            assert_served(&mut good).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(opened.elapsed() < wait + SLACK, "{:?}", opened.elapsed());
    assert_served(&mut server.client().await).await;
}

/// Lets this process have that many open files.
fn allow_files(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let more = Rlimit {
            current: limit
                .maximum
                .map_or(Some(wanted), |most| Some(wanted.min(most))),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, more).expect("the soft limit may be raised to the hard one");
    }
}
