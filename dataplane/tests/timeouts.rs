//! Slow and silent callers: closed on time, without harm to the others. The times are the
//! server's own, made short.

mod harness;

use std::time::{Duration, Instant};

use harness::{Running, limited};
use serin_core::Limits;

const SHORT: Duration = Duration::from_millis(300);
/// Far longer than any of these tests runs.
const LONG: Duration = Duration::from_secs(100);
/// Over the timeout, on a busy machine.
const SLACK: Duration = Duration::from_secs(8);

async fn server(change: impl FnOnce(&mut Limits)) -> Running {
    limited(|limits| {
        limits.first_byte_timeout = LONG;
        limits.header_timeout = LONG;
        limits.idle_timeout = LONG;
        limits.stall_timeout = LONG;
        limits.slow_body_grace = LONG;
        change(limits);
    })
    .await
}

fn assert_on_time(begun: Instant) {
    let took = begun.elapsed();
    assert!((SHORT..SHORT + SLACK).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = server(|limits| limits.first_byte_timeout = SHORT).await;
    let begun = Instant::now();
    let mut client = server.client().await;
    client.closed().await;
    assert_on_time(begun);
}

#[tokio::test]
async fn half_a_preface_of_http2_is_closed_like_silence() {
    let server = server(|limits| limits.first_byte_timeout = SHORT).await;
    let begun = Instant::now();
    let mut client = server.client().await;
    client.send("PRI * HT").await;
    client.closed().await;
    assert_on_time(begun);
}

#[tokio::test]
async fn a_half_sent_header_is_closed_on_a_new_connection_and_on_a_used_one() {
    let server = server(|limits| limits.header_timeout = SHORT).await;
    for used in [false, true] {
        let mut client = server.client().await;
        if used {
            assert_eq!(client.get("/v2/health/live").await.status, 200);
        }
        let begun = Instant::now();
        client
            .send("GET /v2/health/live HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            .await;
        client.closed().await;
        assert_on_time(begun);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_later_than_a_half_sent_header() {
    let server = server(|limits| {
        limits.header_timeout = Duration::from_millis(1);
        limits.idle_timeout = SHORT;
    })
    .await;
    let mut client = server.client().await;
    // The server's clock starts before its answer is read here.
    let begun = Instant::now();
    assert_eq!(client.get("/v2/health/live").await.status, 200);
    client.closed().await;
    assert_on_time(begun);
}

#[tokio::test]
async fn a_body_that_stalls_is_408_and_the_connection_closed() {
    let server = server(|limits| limits.stall_timeout = SHORT).await;
    let mut client = server.client().await;
    let begun = Instant::now();
    client
        .send("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{")
        .await;
    let answer = client.answer(false).await;
    assert_on_time(begun);
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (408, Some("slow_body"))
    );
    assert!(answer.closes());
    client.closed().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_closed_though_it_never_stalls() {
    let server = server(|limits| limits.slow_body_grace = SHORT).await;
    let mut client = server.client().await;
    let begun = Instant::now();
    client
        .send("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        .await;
    // A byte each 20 ms is 50 bytes a second where 1024 are asked for.
    let trickle = async {
        loop {
            client.send_if_taken(" ").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if client
                .stream
                .try_read(&mut [0; 16])
                .is_ok_and(|read| read > 0)
            {
                break;
            }
        }
    };
    tokio::time::timeout(harness::PATIENCE, trickle)
        .await
        .expect("an answer");
    assert_on_time(begun);
}

#[tokio::test]
async fn a_slow_request_in_flight_is_not_taken_for_an_idle_connection() {
    let server = server(|limits| {
        limits.idle_timeout = Duration::from_millis(50);
        limits.header_timeout = Duration::from_millis(50);
        limits.stall_timeout = Duration::from_millis(50);
    })
    .await;
    let mut client = server.client().await;
    let text = harness::body("INT8", "[1]", "[1]");
    let begun = Instant::now();
    let asked = async { client.post("/v2/models/slow/infer", text).await };
    let release = async {
        tokio::time::sleep(SHORT).await;
        server.models.release.add_permits(1);
    };
    let (answer, ()) = tokio::join!(asked, release);
    assert_eq!(answer.status, 200);
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_closed_and_its_request_ends() {
    let server = server(|limits| limits.stall_timeout = SHORT).await;
    let values = vec![1.25f32; 2_000_000];
    let text = harness::body(
        "FP32",
        "[2000000]",
        &serde_json::to_string(&values).unwrap(),
    );
    let mut client = server.client().await;
    client
        .send(format!(
            "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ))
        .await;
    // Ten megabytes do not fit the kernel's buffers; nobody reads them.
    let mut probe = server.client().await;
    let deadline = Instant::now() + harness::PATIENCE;
    loop {
        let samples = probe.get("/metrics").await.samples();
        let answered = [("model", "echo"), ("outcome", "ok")];
        if samples.get("serin_connections", &[]) == Some(1.0)
            && samples.sum("serin_requests_total", &answered) == 1.0
        {
            break;
        }
        assert!(Instant::now() < deadline, "{samples:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_its_request() {
    let server = server(|_| {}).await;
    let mut client = server.client().await;
    let text = harness::body("INT8", "[1]", "[1]");
    client
        .send(format!(
            "POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ))
        .await;
    let begun = tokio::time::timeout(harness::PATIENCE, server.models.begun.acquire()).await;
    begun.expect("the call begins").expect("open").forget();
    drop(client);
    let cancelled =
        tokio::time::timeout(harness::PATIENCE, server.models.cancelled.acquire()).await;
    cancelled
        .expect("the call is dropped")
        .expect("open")
        .forget();
    let cancelled = [("model", "slow"), ("outcome", "cancelled"), ("code", "499")];
    server
        .until_samples(|samples| samples.sum("serin_requests_total", &cancelled) == 1.0)
        .await;
}

#[tokio::test]
async fn hundreds_of_silent_and_half_sent_connections_leave_the_others_alone() {
    let server = server(|limits| {
        limits.first_byte_timeout = Duration::from_secs(1);
        limits.header_timeout = Duration::from_secs(1);
    })
    .await;
    let mut bad = Vec::new();
    for index in 0..300 {
        let mut client = server.client().await;
        if index % 2 == 0 {
            client
                .send("POST /v2/models/echo/infer HTTP/1.1\r\nHost")
                .await;
        }
        bad.push(client);
    }
    let mut good = server.client().await;
    let text = harness::body("INT8", "[1]", "[1]");
    for _ in 0..100 {
        assert_eq!(good.post("/v2/models/echo/infer", &text).await.status, 200);
    }
    for client in &mut bad {
        client.closed().await;
    }
    assert_eq!(good.post("/v2/models/echo/infer", &text).await.status, 200);
}

#[tokio::test]
async fn beyond_the_most_connections_the_next_waits_for_one_to_end() {
    let server = server(|limits| limits.connections = 2).await;
    let mut first = server.client().await;
    let mut second = server.client().await;
    assert_eq!(first.get("/v2/health/live").await.status, 200);
    assert_eq!(second.get("/v2/health/live").await.status, 200);
    let mut third = server.client().await;
    third
        .send("GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let waited = tokio::time::timeout(SHORT, third.answer(false)).await;
    assert!(waited.is_err(), "served beyond the limit");
    // Probes have a port of their own.
    assert_eq!(server.admin().await.get("/livez").await.status, 200);
    drop(first);
    assert_eq!(third.answer(false).await.status, 200);
}
