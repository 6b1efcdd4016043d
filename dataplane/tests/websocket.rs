//! Streams over WebSockets, by a client that says exactly the frames it is told to.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::samples::Samples;
use harness::{Running, limited, options, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SHORT: Duration = Duration::from_millis(300);
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn request(id: &str, value: i32) -> String {
    format!(
        r#"{{"id":"{id}","inputs":[{{"name":"x","shape":[1],"datatype":"INT32","data":[{value}]}}]}}"#
    )
}

fn handshake(model: &str, more: &str) -> String {
    format!(
        "GET /v2/models/{model}/infer_stream HTTP/1.1\r\nHost: serin\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

struct Socket(TcpStream);

impl Socket {
    async fn open(server: &Running, model: &str) -> Self {
        let mut socket = TcpStream::connect(server.server.http_addr)
            .await
            .expect("a server");
        socket
            .write_all(handshake(model, "").as_bytes())
            .await
            .expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("a header block"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(
            head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{head}"
        );
        Self(socket)
    }

    /// A frame, masked by zeros.
    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.head(opcode, payload.len()).await;
        self.0.write_all(payload).await.expect("sent");
    }

    async fn head(&mut self, opcode: u8, length: usize) {
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(length) {
            Ok(short @ 0..=125) => frame.push(0x80 | short as u8),
            Ok(middle) => {
                frame.push(0x80 | 126);
                frame.extend(middle.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        self.0.write_all(&frame).await.expect("sent");
    }

    /// The next frame.
    async fn next(&mut self) -> (u8, Vec<u8>) {
        tokio::time::timeout(harness::PATIENCE, async {
            let opcode = self.0.read_u8().await.expect("a frame") & 0xf;
            let length = match self.0.read_u8().await.expect("a length") {
                126 => usize::from(self.0.read_u16().await.expect("a length")),
                127 => self.0.read_u64().await.expect("a length") as usize,
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.expect("a payload");
            (opcode, payload)
        })
        .await
        .expect("a frame in time")
    }

    async fn answer(&mut self) -> serde_json::Value {
        loop {
            match self.next().await {
                (TEXT, payload) => return serde_json::from_slice(&payload).expect("JSON"),
                (PING, _) => {}
                other => panic!("no answer: {other:?}"),
            }
        }
    }

    /// The code that the server closes with, and why.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            let (opcode, payload) = self.next().await;
            if opcode == CLOSE {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                return (
                    code,
                    String::from_utf8(payload[2..].to_vec()).expect("text"),
                );
            }
        }
    }
}

#[tokio::test]
async fn messages_are_answered_in_their_order_and_errors_by_message() {
    let server = limited(|_| {}).await;
    let mut socket = Socket::open(&server, "echo").await;
    for number in 0..50 {
        socket
            .send(TEXT, request(&number.to_string(), number).as_bytes())
            .await;
    }
    socket.send(TEXT, br#"{"id":"bad","inputs":7}"#).await;
    socket.send(TEXT, request("last", 7).as_bytes()).await;
    for number in 0..50 {
        let answer = socket.answer().await;
        assert_eq!(answer["id"], number.to_string());
        assert_eq!(answer["outputs"][0]["data"][0], number);
    }
    let error = socket.answer().await;
    assert_eq!(
        (error["id"].as_str(), error["line"].as_i64()),
        (Some("bad"), Some(51)),
        "{error}"
    );
    assert_eq!(error["code"], "invalid_type");
    assert_eq!(socket.answer().await["id"], "last");
    socket.send(CLOSE, &1000u16.to_be_bytes()).await;
    assert_eq!(socket.closed().await.0, 1000);
    // At once: a stream is counted before its close frame is sent.
    let samples = server.samples().await;
    let ended = [
        ("protocol", "websocket"),
        ("outcome", "ok"),
        ("code", "200"),
    ];
    assert_eq!(samples.sum("serin_requests_total", &ended), 1.0);
    assert_eq!(samples.sum("serin_stream_open", &[]), 0.0);
}

#[tokio::test]
async fn a_message_in_fragments_is_one_request_and_pings_are_answered_between() {
    let server = limited(|_| {}).await;
    let mut socket = Socket::open(&server, "echo").await;
    let text = request("a", 1);
    let (first, second) = text.as_bytes().split_at(20);
    let mut frame = vec![TEXT, 0x80 | first.len() as u8, 0, 0, 0, 0];
    frame.extend(first);
    socket.0.write_all(&frame).await.expect("sent");
    socket.send(PING, b"there?").await;
    assert_eq!(socket.next().await, (PONG, b"there?".to_vec()));
    socket.send(0, second).await;
    assert_eq!(socket.answer().await["id"], "a");
}

#[tokio::test]
async fn what_is_no_request_closes_the_socket_with_its_code() {
    let server = limited(|limits| limits.body_bytes = 1000).await;
    let mut socket = Socket::open(&server, "echo").await;
    socket.send(TEXT, request("a", 1).as_bytes()).await;
    socket.send(BINARY, b"{}").await;
    // What came before is answered first.
    assert_eq!(socket.answer().await["id"], "a");
    assert_eq!(socket.closed().await.0, 1003);
    let mut socket = Socket::open(&server, "echo").await;
    socket.head(TEXT, 1001).await;
    assert_eq!(socket.closed().await.0, 1009);
    let mut socket = Socket::open(&server, "echo").await;
    socket.send(TEXT, b"\"\xff\"").await;
    let code = socket.closed().await.0;
    assert!([1007, 1002].contains(&code), "{code}");
    let mut socket = Socket::open(&server, "echo").await;
    // Frames of callers are masked (RFC 6455, 5.1).
    socket.0.write_all(b"\x81\x02{}").await.expect("sent");
    assert_eq!(socket.closed().await.0, 1002);
}

#[tokio::test]
async fn a_caller_that_answers_pings_may_be_silent_and_one_that_does_not_is_closed() {
    // Long enough to be answered in time on a machine that stands still now and then.
    let idle = Duration::from_secs(3);
    let server = limited(|limits| limits.idle_timeout = idle).await;
    let mut socket = Socket::open(&server, "echo").await;
    let begun = Instant::now();
    while begun.elapsed() < idle + idle / 2 {
        assert_eq!(socket.next().await.0, PING);
        socket.send(PONG, b"").await;
    }
    socket.send(TEXT, request("a", 1).as_bytes()).await;
    assert_eq!(socket.answer().await["id"], "a");
    assert_eq!(socket.closed().await.0, 1001);
}

#[tokio::test]
async fn leaving_stops_the_work_and_frees_the_connection() {
    let server = limited(|_| {}).await;
    for politely in [true, false] {
        let mut socket = Socket::open(&server, "slow").await;
        for number in 0..200 {
            socket.send(TEXT, request("a", number).as_bytes()).await;
        }
        harness::eventually("begun", || server.models.begun.available_permits() == 32).await;
        if politely {
            socket.send(CLOSE, &1000u16.to_be_bytes()).await;
        }
        drop(socket);
        harness::eventually("dropped", || {
            server.models.cancelled.available_permits() == 32
        })
        .await;
        server.models.begun.forget_permits(32);
        server.models.cancelled.forget_permits(32);
    }
    let left = |samples: &Samples| {
        let slow = [("model", "slow"), ("protocol", "websocket")];
        // One is the connection that asks.
        samples.sum("serin_stream_cancelled_total", &slow) == 2.0
            && samples.get("serin_connections", &[]) == Some(1.0)
    };
    server.until_samples(left).await;
}

#[tokio::test]
async fn an_open_socket_counts_as_a_connection() {
    let server = limited(|_| {}).await;
    let mut socket = Socket::open(&server, "echo").await;
    socket.send(TEXT, request("a", 1).as_bytes()).await;
    socket.answer().await;
    let samples = server.samples().await;
    assert_eq!(samples.get("serin_connections", &[]), Some(2.0));
    let echo = [("model", "echo"), ("protocol", "websocket")];
    assert_eq!(samples.sum("serin_stream_open", &echo), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_says_so_by_1001() {
    let running = start(&options()).await;
    let mut socket = Socket::open(&running, "echo").await;
    socket.send(TEXT, request("a", 1).as_bytes()).await;
    socket.answer().await;
    let Running {
        server, shutdown, ..
    } = running;
    let stop = serin_dataplane::server::shutdown::Stop::Finish;
    let draining = tokio::spawn(server.drain(stop, Duration::ZERO, shutdown));
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 1001);
    assert!(reason.contains("stopping"), "{reason}");
    drop(socket);
    tokio::time::timeout(harness::PATIENCE, draining)
        .await
        .expect("in time")
        .expect("drained");
}

#[tokio::test]
async fn a_handshake_that_cannot_be_heeded_is_answered_over_http() {
    let server = limited(|_| {}).await;
    for (text, status, code) in [
        (handshake("nobody", ""), 404, "model_not_found"),
        (
            handshake("echo", "Origin: https://evil.example\r\n"),
            403,
            "cross_site_request",
        ),
        (
            handshake("echo", "X-Request-Timeout: soon\r\n"),
            400,
            "invalid_header",
        ),
        (
            handshake("echo", "").replace("Version: 13", "Version: 8"),
            400,
            "invalid_header",
        ),
        (
            handshake("echo", "").replace("Upgrade: websocket\r\n", ""),
            405,
            "method_not_allowed",
        ),
    ] {
        let mut client = server.client().await;
        client.send(&text).await;
        let answer = client.answer(false).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.json()["code"], code, "{answer:?}");
        if status == 405 {
            assert_eq!(answer.header("allow"), Some("POST"));
        }
    }
}

#[tokio::test]
async fn the_page_of_the_server_itself_may_open_a_socket() {
    let server = limited(|_| {}).await;
    let mut client = server.client().await;
    client
        .send(handshake("echo", "Origin: http://serin\r\n"))
        .await;
    assert_eq!(client.answer(true).await.status, 101);
}

#[tokio::test]
async fn a_caller_that_pings_and_reads_nothing_is_closed() {
    let server = limited(|limits| limits.stall_timeout = SHORT).await;
    let mut socket = Socket::open(&server, "echo").await;
    let sending = async {
        let ping = [&[0x89u8, 0x80 | 125, 0, 0, 0, 0][..], &[b'x'; 125]]
            .concat()
            .repeat(100);
        while socket.0.write_all(&ping).await.is_ok() {}
    };
    tokio::time::timeout(harness::PATIENCE, sending)
        .await
        .expect("the server closes");
}

#[tokio::test]
async fn pings_take_no_memory_from_requests() {
    let server = limited(|limits| limits.body_bytes_in_flight = Some(16 << 10)).await;
    let mut socket = Socket::open(&server, "echo").await;
    let ping = [&[0x80 | PING, 0x80 | 125, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    for _ in 0..30 {
        socket.0.write_all(&ping.repeat(10)).await.expect("sent");
        for _ in 0..10 {
            assert_eq!(socket.next().await.0, PONG);
        }
    }
    socket.send(TEXT, request("a", 1).as_bytes()).await;
    assert_eq!(socket.answer().await["id"], "a");
}

#[tokio::test]
async fn a_message_ends_with_the_time_of_a_request_however_much_of_it_has_come() {
    let server = limited(|limits| limits.request_timeout = SHORT).await;
    let mut socket = Socket::open(&server, "echo").await;
    // At the minimum pace this much may take 17 minutes.
    socket.head(TEXT, 2 << 20).await;
    socket.0.write_all(&[b'x'; 1 << 20]).await.expect("sent");
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 1001, "{reason}");
    assert!(reason.contains("too slowly"), "{reason}");
}

#[tokio::test]
async fn a_message_that_is_begun_is_not_kept_open_by_pings() {
    let server = limited(|limits| limits.idle_timeout = SHORT).await;
    let mut socket = Socket::open(&server, "echo").await;
    // The first frame of a message in fragments.
    let first = [TEXT, 0x81, 0, 0, 0, 0, b'{'];
    socket.0.write_all(&first).await.expect("sent");
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < harness::PATIENCE);
        match socket.next().await {
            (PING, _) => socket.send(PONG, b"").await,
            (CLOSE, payload) => {
                assert_eq!(payload[..2], 1001u16.to_be_bytes());
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}
