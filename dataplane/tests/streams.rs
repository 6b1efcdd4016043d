//! `infer_stream` over HTTP: events, rows, their ends, and callers that misbehave.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::samples::Samples;
use harness::stream::Stream;
use harness::{Client, Running, limited, options, start};

const SHORT: Duration = Duration::from_millis(300);

fn row(id: &str, value: i32) -> String {
    format!(
        r#"{{"id":"{id}","inputs":[{{"name":"x","shape":[1],"datatype":"INT32","data":[{value}]}}]}}"#
    )
}

#[tokio::test]
async fn rows_are_answered_in_their_order_each_with_its_id() {
    let server = limited(|_| {}).await;
    let mut stream = Stream::rows(server.server.http_addr, "echo").await;
    let text: String = (0..100)
        .map(|number| row(&number.to_string(), number) + "\n")
        .collect();
    stream.send(&text).await;
    stream.finish().await;
    assert_eq!(stream.status().await, 200);
    assert!(
        stream
            .head
            .contains("content-type: application/x-ndjson\r\n"),
        "{}",
        stream.head
    );
    for number in 0..100 {
        let answer = stream.answer().await;
        assert_eq!(answer["id"], number.to_string());
        assert_eq!(answer["outputs"][0]["data"][0], number);
    }
    assert_eq!(stream.rest().await, (vec![], true));
    // At once: a stream is counted before its end is sent.
    let samples = server.samples().await;
    let labels = [("model", "echo"), ("protocol", "rest")];
    let ended = [labels[0], ("operation", "stream"), ("outcome", "ok")];
    assert_eq!(samples.sum("serin_requests_total", &ended), 1.0);
    assert_eq!(samples.sum("serin_stream_events_total", &labels), 100.0);
    assert_eq!(samples.sum("serin_stream_open", &labels), 0.0);
    let first_parts = samples.sum("serin_time_to_first_part_seconds_count", &labels);
    assert_eq!(first_parts, 1.0);
    assert_eq!(samples.sum("serin_requests_in_flight", &[]), 0.0);
}

#[tokio::test]
async fn rows_wait_for_a_busy_model_and_a_single_request_is_sent_away() {
    let server = limited(|_| {}).await;
    let mut stream = Stream::rows(server.server.http_addr, "busy").await;
    stream.send(&(row("a", 1) + "\n")).await;
    assert_eq!(stream.answer().await["id"], "a");
    let mut client = server.client().await;
    let single = client.post("/v2/models/busy/infer", &row("a", 1)).await;
    assert_eq!(single.status, 503, "{single:?}");
}

#[tokio::test]
async fn a_row_is_answered_before_the_next_is_sent() {
    let server = limited(|_| {}).await;
    let mut stream = Stream::rows(server.server.http_addr, "echo").await;
    for number in 0..5 {
        stream.send(&(row("a", number) + "\n")).await;
        assert_eq!(stream.answer().await["outputs"][0]["data"][0], number);
    }
    stream.finish().await;
    assert_eq!(stream.rest().await, (vec![], true));
}

#[tokio::test]
async fn a_bad_line_is_answered_by_its_number_and_the_next_ones_as_usual() {
    let server = limited(|limits| limits.body_bytes = 300).await;
    let mut stream = Stream::rows(server.server.http_addr, "echo").await;
    let long = format!("\"{}\"", "x".repeat(400));
    let text = format!(
        "\n{}\n{{not json\n{{\"id\":\"c\",\"inputs\":7}}\n{long}\n\r\n{}",
        row("a", 1),
        row("e", 2)
    );
    stream.send(&text).await;
    stream.finish().await;
    assert_eq!(stream.answer().await["id"], "a");
    for (line, code, id) in [
        (3, "malformed_json", None),
        (4, "invalid_type", Some("c")),
        (5, "payload_too_large", None),
    ] {
        let error = stream.answer().await;
        assert_eq!(error["line"], line, "{error}");
        assert_eq!(error["code"], code, "{error}");
        assert_eq!(error["id"].as_str(), id, "{error}");
        assert!(error["request_id"].is_string());
    }
    // The last line needs no newline.
    assert_eq!(stream.answer().await["id"], "e");
    assert_eq!(stream.rest().await, (vec![], true));
}

#[tokio::test]
async fn a_line_without_an_end_ends_the_stream_with_an_error() {
    let server = limited(|limits| limits.body_bytes = 1000).await;
    let mut stream = Stream::rows(server.server.http_addr, "echo").await;
    stream.send(&(row("a", 1) + "\n")).await;
    assert_eq!(stream.answer().await["id"], "a");
    stream.send(&"x".repeat(3000)).await;
    let error = stream.answer().await;
    assert_eq!(error["code"], "payload_too_large", "{error}");
    assert!(
        error["error"]
            .as_str()
            .expect("text")
            .contains("line 2 has no end"),
        "{error}"
    );
    assert_eq!(stream.rest().await.0.len(), 0);
}

#[tokio::test]
async fn rows_may_be_answered_by_events() {
    let server = limited(|_| {}).await;
    let headers = "Content-Type: application/x-ndjson\r\nAccept: text/event-stream\r\n";
    let mut stream = Stream::open(server.server.http_addr, "echo", headers).await;
    stream.send(&format!("{}\n{{\n", row("a", 1))).await;
    stream.finish().await;
    let (lines, whole) = stream.rest().await;
    assert!(whole);
    assert!(
        stream
            .head
            .contains("content-type: text/event-stream; charset=utf-8\r\n")
    );
    assert!(stream.head.contains("x-accel-buffering: no\r\n"));
    assert!(
        lines[0].starts_with("data: {\"model_name\":\"echo\""),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("data: {\"error\":"), "{lines:?}");
    assert_eq!(
        (lines.len(), lines[1].as_str(), lines[3].as_str()),
        (4, "", "")
    );
}

#[tokio::test]
async fn what_is_wrong_before_the_first_answer_has_its_own_status() {
    let server = limited(|_| {}).await;
    let mut client = server.client().await;
    for (model, headers, body, status, code) in [
        ("nobody", "", "{}", 404, "model_not_found"),
        ("loading", "", "{}", 503, "model_not_ready"),
        ("echo", "", "{}", 400, "missing_field"),
        ("fails", "", row("a", 1).as_str(), 500, "inference_error"),
        (
            "nobody",
            "Content-Type: application/x-ndjson\r\n",
            "{}",
            404,
            "model_not_found",
        ),
        (
            "echo",
            "Inference-Header-Content-Length: 2\r\n",
            "{}",
            400,
            "invalid_header",
        ),
        (
            "echo",
            "Content-Type: application/x-ndjson\r\nContent-Encoding: gzip\r\n",
            "{}",
            415,
            "unsupported_encoding",
        ),
        (
            "echo",
            "X-Request-Timeout: soon\r\n",
            "{}",
            400,
            "invalid_header",
        ),
    ] {
        let path = format!("/v2/models/{model}/infer_stream");
        let answer = client.request("POST", &path, headers, body).await;
        assert_eq!(answer.status, status, "{model} {headers}: {answer:?}");
        assert_eq!(answer.json()["code"], code, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn binary_outputs_are_refused_on_a_stream() {
    let server = limited(|_| {}).await;
    let body = row("a", 1).replacen('{', r#"{"parameters":{"binary_data_output":true},"#, 1);
    let answer = server
        .client()
        .await
        .post("/v2/models/echo/infer_stream", body)
        .await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (400, Some("unsupported_parameter"))
    );
}

#[tokio::test]
async fn a_quiet_event_stream_sends_comments_after_it_has_committed() {
    let server = limited(|limits| limits.stream_keep_alive = Duration::from_millis(50)).await;
    let mut stream = Stream::open(server.server.http_addr, "slow", "").await;
    stream.send(&row("a", 1)).await;
    stream.finish().await;
    for _ in 0..3 {
        assert_eq!(stream.line().await.as_deref(), Some(":"));
        assert_eq!(stream.line().await.as_deref(), Some(""));
    }
    server.models.release.add_permits(1);
    let (lines, whole) = stream.rest().await;
    let events: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("data: {"))
        .collect();
    assert_eq!((events.len(), whole), (1, true), "{lines:?}");
}

#[tokio::test]
async fn a_row_stream_has_no_comments() {
    let server = limited(|limits| limits.stream_keep_alive = Duration::from_millis(20)).await;
    let mut stream = Stream::rows(server.server.http_addr, "slow").await;
    stream.send(&(row("a", 1) + "\n")).await;
    assert_eq!(stream.status().await, 200);
    assert!(stream.is_quiet(SHORT).await);
    server.models.release.add_permits(1);
    assert_eq!(stream.answer().await["id"], "a");
}

#[tokio::test]
async fn at_most_32_rows_of_a_stream_are_served_at_once() {
    let server = limited(|_| {}).await;
    let mut stream = Stream::rows(server.server.http_addr, "slow").await;
    let text: String = (0..100)
        .map(|number| row(&number.to_string(), number) + "\n")
        .collect();
    stream.send(&text).await;
    harness::eventually("32 begun", || server.models.begun.available_permits() == 32).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.models.begun.available_permits(), 32);
    server.models.release.add_permits(100);
    for number in 0..100 {
        assert_eq!(stream.answer().await["id"], number.to_string());
    }
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_stops_its_rows() {
    let server = limited(|_| {}).await;
    for (rows, then) in [(3, ""), (3, "0\r\n\r\n"), (200, "")] {
        let mut stream = Stream::rows(server.server.http_addr, "slow").await;
        let text: String = (0..rows).map(|number| row("a", number) + "\n").collect();
        stream.send(&text).await;
        let at_once = rows.min(32) as usize;
        harness::eventually("rows begun", || {
            server.models.begun.available_permits() == at_once
        })
        .await;
        if !then.is_empty() {
            stream.finish().await;
        }
        drop(stream);
        harness::eventually("rows dropped", || {
            server.models.cancelled.available_permits() == at_once
        })
        .await;
        server.models.begun.forget_permits(at_once);
        server.models.cancelled.forget_permits(at_once);
    }
    let left = |samples: &Samples| {
        let slow = [("model", "slow")];
        samples.sum("serin_stream_cancelled_total", &slow) == 3.0
            && samples.sum("serin_requests_in_flight", &slow) == 0.0
    };
    server.until_samples(left).await;
}

#[tokio::test]
async fn a_caller_that_reads_nothing_is_closed_and_the_work_stops() {
    let server = limited(|limits| limits.stall_timeout = SHORT).await;
    let mut stream = Stream::rows(server.server.http_addr, "echo").await;
    let wide = format!(
        r#"{{"inputs":[{{"name":"x","shape":[2000],"datatype":"FP32","data":{:?}}}]}}"#,
        vec![1.25f32; 2000]
    ) + "\n";
    // Sends for as long as the server takes it, and reads nothing.
    let sending = async {
        loop {
            let chunk = format!("{:x}\r\n{wide}\r\n", wide.len());
            let bytes = chunk.as_bytes();
            if tokio::io::AsyncWriteExt::write_all(&mut stream.socket, bytes)
                .await
                .is_err()
            {
                break;
            }
        }
    };
    tokio::time::timeout(harness::PATIENCE, sending)
        .await
        .expect("the server closes");
    let left = |samples: &Samples| {
        samples.sum("serin_stream_cancelled_total", &[("model", "echo")]) == 1.0
    };
    server.until_samples(left).await;
}

#[tokio::test]
async fn a_stream_that_pauses_within_a_line_is_ended_and_one_between_lines_is_given_longer() {
    let server = limited(|limits| {
        limits.stall_timeout = SHORT;
        limits.idle_timeout = 4 * SHORT;
    })
    .await;
    for (text, least) in [("{\"inputs\"", SHORT), ("\n", 4 * SHORT)] {
        let mut stream = Stream::rows(server.server.http_addr, "echo").await;
        stream.send(text).await;
        let begun = Instant::now();
        let error = stream.answer().await;
        assert_eq!(error["code"], "slow_body", "{error}");
        assert!(
            begun.elapsed() >= least - Duration::from_millis(20),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn a_slow_row_does_not_make_its_caller_idle() {
    let server = limited(|limits| limits.idle_timeout = SHORT).await;
    let mut stream = Stream::rows(server.server.http_addr, "slow").await;
    stream.send(&(row("a", 1) + "\n")).await;
    assert!(stream.is_quiet(2 * SHORT).await);
    server.models.release.add_permits(1);
    assert_eq!(stream.answer().await["id"], "a");
}

#[tokio::test]
async fn a_header_sets_the_time_of_each_row_and_of_a_request() {
    let server = limited(|_| {}).await;
    let answer = server
        .client()
        .await
        .request(
            "POST",
            "/v2/models/late/infer",
            "X-Request-Timeout: 2s\r\n",
            row("a", 1),
        )
        .await;
    assert_eq!(answer.status, 200);
    let left: i64 = answer.json()["outputs"][0]["data"][0]
        .as_i64()
        .expect("milliseconds");
    assert!((1..=2000).contains(&left), "{left}");
    let headers = "Content-Type: application/x-ndjson\r\nX-Request-Timeout: 2\r\n";
    let mut stream = Stream::open(server.server.http_addr, "late", headers).await;
    stream.send(&(row("a", 1) + "\n")).await;
    let left = stream.answer().await["outputs"][0]["data"][0]
        .as_i64()
        .expect("milliseconds");
    assert!((1..=2000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_panic_cuts_the_stream_off_and_is_counted() {
    let server = limited(|_| {}).await;
    let mut stream = Stream::rows(server.server.http_addr, "panic").await;
    stream.send(&(row("a", 1) + "\n")).await;
    let (lines, whole) = stream.rest().await;
    assert_eq!((lines.len(), whole), (0, false));
    let counted = |samples: &Samples| samples.sum("serin_panics_total", &[]) == 1.0;
    server.until_samples(counted).await;
    let answer = server
        .client()
        .await
        .post("/v2/models/panic/infer_stream", row("a", 1))
        .await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (500, Some("internal"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_lets_busy_streams_end_and_ends_quiet_ones_with_an_error() {
    let running = start(&options()).await;
    let address = running.server.http_addr;
    let mut quiet = Stream::rows(address, "echo").await;
    quiet.send(&(row("a", 1) + "\n")).await;
    assert_eq!(quiet.answer().await["id"], "a");
    let mut busy = Stream::rows(address, "slow").await;
    busy.send(&(row("b", 1) + "\n")).await;
    busy.finish().await;
    assert_eq!(busy.status().await, 200);
    let Running {
        server,
        shutdown,
        models,
        ..
    } = running;
    let draining = tokio::spawn(server.drain(
        serin_dataplane::server::shutdown::Stop::Finish,
        Duration::ZERO,
        shutdown,
    ));
    let error = quiet.answer().await;
    assert_eq!(error["code"], "model_not_ready", "{error}");
    assert!(quiet.rest().await.1);
    models.release.add_permits(1);
    assert_eq!(busy.answer().await["id"], "b");
    assert!(busy.rest().await.1);
    tokio::time::timeout(harness::PATIENCE, draining)
        .await
        .expect("in time")
        .expect("drained");
}

#[tokio::test]
async fn an_unread_stream_leaves_the_connection_of_others_alone() {
    let server = limited(|_| {}).await;
    let _idle = Stream::rows(server.server.http_addr, "echo").await;
    let mut client = Client::connect(server.server.http_addr).await;
    let answer = client.post("/v2/models/echo/infer", row("a", 1)).await;
    assert_eq!(answer.status, 200);
}
