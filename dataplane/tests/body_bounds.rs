//! Bodies that are larger or slower than they may be: refused early, read on for a moment so that the
//! answer arrives, and cut off.

mod harness;

use std::time::Duration;

use harness::{limited, options, start};

#[tokio::test]
async fn a_body_over_the_limit_is_413_before_and_while_it_comes() {
    let server = limited(|limits| {
        limits.body_bytes = 100_000;
    })
    .await;
    // Announced: answered while the caller is still sending, all of which it can send.
    let mut client = server.client().await;
    client
        .send("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
        .await;
    client.send(vec![b' '; 500_000]).await;
    let answer = client.answer(false).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (413, Some("payload_too_large"))
    );
    assert!(answer.closes());
    client.closed().await;
    // In chunks: found out on the way.
    let mut client = server.client().await;
    client
        .send(
            "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
    for _ in 0..10 {
        client
            .send_if_taken(format!("4e20\r\n{}\r\n", " ".repeat(20_000)))
            .await;
    }
    let answer = client.answer(false).await;
    assert_eq!(answer.status, 413);
    client.closed().await;
    // At the limit it is taken.
    let mut client = server.client().await;
    let mut fits = b"{\"inputs\":[]}".to_vec();
    fits.resize(100_000, b' ');
    assert_eq!(
        client.post("/v2/models/echo/infer", &fits).await.status,
        200
    );
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_after_a_mebibyte() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    client
        .send(
            "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
        )
        .await;
    let answer = client.answer(false).await;
    assert_eq!(answer.status, 413);
    let begun = std::time::Instant::now();
    let flood = async {
        loop {
            client.send_if_taken(vec![b' '; 1 << 16]).await;
            if client
                .stream
                .try_write(b" ")
                .is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
            {
                break;
            }
        }
    };
    tokio::time::timeout(harness::PATIENCE, flood)
        .await
        .expect("the connection is closed");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn bodies_beyond_the_servers_budget_are_503_and_come_back_later() {
    let server = limited(|limits| {
        limits.body_bytes = 1000;
        limits.body_bytes_in_flight = Some(1500);
    })
    .await;
    let mut first = server.client().await;
    first.send("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n{\"inputs\":[]}").await;
    let mut second = server.client().await;
    let mut full = b"{\"inputs\":[]}".to_vec();
    full.resize(900, b' ');
    let deadline = tokio::time::Instant::now() + harness::PATIENCE;
    loop {
        let answer = second.post("/v2/models/echo/infer", &full).await;
        if answer.status == 503 {
            assert_eq!(answer.json()["code"], "overloaded");
            assert!(answer.header("retry-after").is_some());
            break;
        }
        assert!(tokio::time::Instant::now() < deadline);
    }
    first.send(vec![b' '; 887]).await;
    assert_eq!(first.answer(false).await.status, 200);
    let mut third = server.client().await;
    assert_eq!(third.post("/v2/models/echo/infer", &full).await.status, 200);
}

#[tokio::test]
async fn a_body_counts_by_what_came_of_it_and_not_by_what_was_announced() {
    let server = limited(|limits| {
        limits.body_bytes = 8 << 20;
        limits.body_bytes_in_flight = Some(8 << 20);
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut client = server.client().await;
        client
            .send("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n{")
            .await;
        idle.push(client);
    }
    let mut body = b"{\"inputs\":[]}".to_vec();
    body.resize(2 << 20, b' ');
    let answer = server
        .client()
        .await
        .post("/v2/models/echo/infer", &body)
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_caller_who_waits_less_than_its_body_takes_is_told_at_its_time() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    client
        .send("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nX-Request-Timeout: 100ms\r\nContent-Length: 100\r\n\r\n{")
        .await;
    let answer = client.answer(false).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json()["code"], "timeout");
}

/// Many pieces of text: each takes 32 bytes, whatever its length.
#[tokio::test]
async fn texts_count_as_what_they_take_in_memory() {
    let server = limited(|limits| {
        limits.body_bytes = 100_000;
        limits.body_bytes_in_flight = Some(100_000);
    })
    .await;
    let texts = vec!["\"\""; 10_000].join(",");
    let body = harness::body("BYTES", "[10000]", &format!("[{texts}]"));
    assert!(body.len() < 50_000);
    let answer = server
        .client()
        .await
        .post("/v2/models/echo/infer", body)
        .await;
    // More than one request may ever have: waiting would not help.
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["code"], "payload_too_large");
}
