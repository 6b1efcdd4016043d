//! Messages that two readers could take for different requests, and heads beyond the limits.

mod harness;

use harness::{assert_no_defect, options, start};

/// Bytes that are no HTTP/1 request, or more than one by some reading.
const FRAMING: &[&str] = &[
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\nContent-Length: 14\r\n\r\n{\"inputs\":[]}\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 13, 14\r\n\r\n{\"inputs\":[]}\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: +13\r\n\r\n{\"inputs\":[]}",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{\"inputs\":[]}",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0d\r\n\r\n{\"inputs\":[]}",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n{\"inputs\":[]}",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 13\r\n\r\n{\"inputs\":[]}",
    "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent\0-Length: 13\r\n\r\n{\"inputs\":[]}",
    "GET /v2 HTTP/1.1\r\nHost: a\r\nX-Folded: one\r\n two\r\n\r\n",
    "GET /v2 HTTP/1.1\r\nHost: a\r\nContent-Length : 0\r\n\r\n",
    "GET /v2 HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    "GET /v2 HTTP/1.1\r\nHost: a\r\nX-Nul: \0\r\n\r\n",
    "GET  /v2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v2 HTTP/9.9\r\nHost: a\r\n\r\n",
    "GET /v2 HTTP/1.1 extra\r\nHost: a\r\n\r\n",
    "G\u{1}T /v2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}rubbish\r\n\r\n",
];

#[tokio::test]
async fn ambiguous_framing_is_refused_and_never_becomes_a_second_request() {
    let server = start(&options()).await;
    for bytes in FRAMING {
        let mut client = server.client().await;
        client.send(bytes).await;
        // A refusal and the end, or the end alone; never two answers.
        if let Some(answer) = client.try_answer(false).await {
            assert_eq!(answer.status, 400, "{bytes:?}: {answer:?}");
        }
        assert!(client.try_answer(false).await.is_none(), "{bytes:?}");
    }
    let mut client = server.client().await;
    let samples = client.get("/metrics").await.samples();
    let unknown = samples.sum("serin_http_requests_total", &[("route", "_unknown")]);
    assert_eq!(unknown, 0.0, "a smuggled request was served");
}

#[tokio::test]
async fn a_line_that_ends_without_cr_makes_no_second_request() {
    // RFC 9112, 2.2 lets a recipient take LF for the end of a line; what counts is that the length
    // is then obeyed.
    let server = start(&options()).await;
    for (bytes, statuses) in [
        (
            "GET /v2/health/live HTTP/1.1\nHost: a\nConnection: close\n\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 400][..],
        ),
        (
            "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: a\nContent-Length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n    ",
            &[400],
        ),
    ] {
        let mut client = server.client().await;
        client.send(bytes).await;
        if let Some(answer) = client.try_answer(false).await {
            assert!(statuses.contains(&answer.status), "{bytes:?}: {answer:?}");
        }
        assert!(client.try_answer(false).await.is_none(), "{bytes:?}");
    }
    let samples = server.samples().await;
    let unknown = samples.sum("serin_http_requests_total", &[("route", "_unknown")]);
    assert_eq!(unknown, 0.0, "a smuggled request was served");
}

#[tokio::test]
async fn chunks_that_are_all_extension_or_all_trailer_end_their_connection() {
    let server = start(&options()).await;
    let head =
        "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (begin, more) in [("2;", "x".repeat(1000)), ("0\r\n", "X: y\r\n".repeat(100))] {
        let mut client = server.client().await;
        client.send(format!("{head}{begin}")).await;
        let flood = async {
            while client.stream.writable().await.is_ok() {
                match client.stream.try_write(more.as_bytes()) {
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(harness::PATIENCE, flood)
            .await
            .expect("the connection is closed");
    }
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let server = start(&options()).await;
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "5\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "2;x=y\r\n{}rubbish",
    ] {
        let mut client = server.client().await;
        client
            .send(format!("POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
            .await;
        if let Some(answer) = client.try_answer(false).await {
            assert_eq!(answer.status, 400, "{chunks:?}: {answer:?}");
        }
        assert!(client.try_answer(false).await.is_none(), "{chunks:?}");
    }
}

#[tokio::test]
async fn heads_beyond_the_limits_are_refused() {
    let server = start(&options()).await;
    for (request, statuses) in [
        (
            format!(
                "GET /v2 HTTP/1.1\r\nHost: a\r\nX-Big: {}\r\n\r\n",
                "a".repeat(70_000)
            ),
            &[431][..],
        ),
        (
            format!(
                "GET /v2 HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X-A: b\r\n".repeat(101)
            ),
            &[431],
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000)),
            &[400],
        ),
        (
            format!("GET /v2?{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000)),
            &[400],
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(66_000)),
            &[400, 414, 431],
        ),
    ] {
        let mut client = server.client().await;
        client.send_if_taken(&request).await;
        let answer = client.answer(false).await;
        assert!(
            statuses.contains(&answer.status),
            "{} bytes: {answer:?}",
            request.len()
        );
    }
}

#[tokio::test]
async fn odd_request_targets_are_answered_like_any_other() {
    let server = start(&options()).await;
    for (line, statuses) in [
        ("OPTIONS * HTTP/1.1", &[404][..]),
        ("CONNECT a:1 HTTP/1.1", &[400, 404, 405]),
        ("GET http://other/v2/health/live HTTP/1.1", &[200]),
        ("GET /v2/health/live?x=%zz HTTP/1.1", &[200]),
        ("GET /v2/health/live;x HTTP/1.1", &[404]),
        ("GET //v2/health/live HTTP/1.1", &[404]),
        ("GET /v2/../v2/health/live HTTP/1.1", &[404]),
        ("GET /V2/health/live HTTP/1.1", &[404]),
        ("GET /v2/models/{name} HTTP/1.1", &[400, 404]),
        ("GET /v2/models/%2e%2e HTTP/1.1", &[404]),
        ("GET /v2/models/%00 HTTP/1.1", &[404]),
    ] {
        let mut client = server.client().await;
        client
            .send(format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n"))
            .await;
        let answer = client.answer(false).await;
        assert!(statuses.contains(&answer.status), "{line}: {answer:?}");
    }
    let mut client = server.client().await;
    assert_no_defect(&mut client).await;
}
