//! Compressed requests and answers, byte by byte on a socket.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod harness;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use harness::{Answer, Client, limited, options, start};
use serde_json::{Value, json};

const INFER: &str = "/v2/models/echo/infer";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

fn bare_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

/// The plain bytes of an answer, by what its headers say.
fn plain(answer: &Answer) -> Vec<u8> {
    let mut bytes = Vec::new();
    match answer.header("content-encoding") {
        None => bytes.extend_from_slice(&answer.body),
        Some("gzip") => {
            let read = GzDecoder::new(&answer.body[..]).read_to_end(&mut bytes);
            read.expect("gzip");
        }
        Some("deflate") => {
            let read = ZlibDecoder::new(&answer.body[..]).read_to_end(&mut bytes);
            read.expect("zlib");
        }
        Some(other) => panic!("{other}: {answer:?}"),
    }
    bytes
}

fn document(answer: &Answer) -> Value {
    serde_json::from_slice(&plain(answer)).expect("JSON")
}

fn varies(answer: &Answer) -> bool {
    answer
        .header("vary")
        .is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding"))
}

async fn send(client: &mut Client, coding: &str, body: &[u8]) -> Answer {
    let header = format!("Content-Encoding: {coding}\r\n");
    client.request("POST", INFER, &header, body).await
}

async fn ask(client: &mut Client, accept: &str, body: &str) -> Answer {
    let header = format!("Accept-Encoding: {accept}\r\n");
    client.request("POST", INFER, &header, body).await
}

/// A request whose answer has this many numbers.
fn numbers(count: usize) -> String {
    let data = vec!["0.5"; count].join(",");
    harness::body("FP32", &format!("[{count}]"), &format!("[{data}]"))
}

#[tokio::test]
async fn a_request_is_read_in_every_coding_small_and_large() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    for count in [3, 200_000] {
        let body = numbers(count);
        let (first, second) = body.as_bytes().split_at(20);
        for (coding, sent) in [
            ("gzip", gzip(body.as_bytes())),
            ("X-GZIP", gzip(body.as_bytes())),
            ("gzip", [gzip(first), gzip(b""), gzip(second)].concat()),
            ("Deflate", deflate(body.as_bytes())),
            ("deflate", bare_deflate(body.as_bytes())),
            ("identity", body.clone().into_bytes()),
            ("identity, gzip", gzip(body.as_bytes())),
        ] {
            let answer = send(&mut client, coding, &sent).await;
            assert_eq!(answer.status, 200, "{coding} {count}: {}", answer.text());
            let data = &answer.json()["outputs"][0]["data"];
            assert_eq!(data.as_array().map(Vec::len), Some(count), "{coding}");
        }
    }
    harness::assert_no_defect(&mut client).await;
}

#[tokio::test]
async fn the_header_length_counts_plain_bytes() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let text = json!({"inputs": [{"name": "x", "shape": [300], "datatype": "FP32",
        "parameters": {"binary_data_size": 1200}}], "parameters": {"binary_data_output": true}});
    let text = text.to_string();
    let body = [text.as_bytes(), &[0; 1200]].concat();
    let headers = format!(
        "Inference-Header-Content-Length: {}\r\nContent-Encoding: gzip\r\nAccept-Encoding: deflate\r\n",
        text.len()
    );
    let answer = client.request("POST", INFER, &headers, gzip(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.header("content-encoding"), Some("deflate"));
    let plain = plain(&answer);
    let length: usize = answer
        .header("inference-header-content-length")
        .and_then(|length| length.parse().ok())
        .expect("a number");
    let head: Value = serde_json::from_slice(&plain[..length]).expect("JSON");
    assert_eq!(head["outputs"][0]["parameters"]["binary_data_size"], 1200);
    assert_eq!(plain.len() - length, 1200);
    assert!(answer.body.len() < 400, "{}", answer.body.len());
    // A length beyond the plain body is refused by the plain body's size.
    let headers = "Inference-Header-Content-Length: 99999\r\nContent-Encoding: gzip\r\n";
    let answer = client.request("POST", INFER, headers, gzip(&body)).await;
    assert_eq!(answer.json()["code"], "invalid_header");
    assert!(answer.text().contains(&body.len().to_string()));
}

#[tokio::test]
async fn damaged_bodies_are_400_and_the_connection_serves_on() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let body = numbers(3);
    let whole = gzip(body.as_bytes());
    let mut wrong_sum = whole.clone();
    wrong_sum[whole.len() - 6] ^= 1;
    for (coding, sent) in [
        ("gzip", whole[..whole.len() - 1].to_vec()),
        ("gzip", [&whole[..], b"\0"].concat()),
        ("gzip", wrong_sum),
        ("gzip", body.clone().into_bytes()),
        ("gzip", deflate(body.as_bytes())),
        ("gzip", Vec::new()),
        ("deflate", whole.clone()),
        ("deflate", [&deflate(body.as_bytes())[..], b"x"].concat()),
    ] {
        let answer = send(&mut client, coding, &sent).await;
        assert_eq!(answer.status, 400, "{coding}: {}", answer.text());
        assert_eq!(answer.json()["code"], "malformed_body");
        assert!(!answer.closes());
    }
    assert_eq!(send(&mut client, "gzip", &whole).await.status, 200);
    harness::assert_no_defect(&mut client).await;
}

#[tokio::test]
async fn codings_on_top_of_each_other_are_415_and_say_what_is_understood() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let twice = gzip(&gzip(numbers(3).as_bytes()));
    for coding in ["gzip, gzip", "gzip\r\nContent-Encoding: deflate", "br"] {
        let answer = send(&mut client, coding, &twice).await;
        assert_eq!(answer.status, 415, "{coding}");
        assert_eq!(
            answer.header("accept-encoding"),
            Some("gzip, deflate, identity")
        );
        client = server.client().await;
    }
}

#[tokio::test]
async fn the_limit_and_the_budget_count_inflated_bytes() {
    let server = limited(|limits| {
        limits.body_bytes = 1 << 20;
        limits.body_bytes_in_flight = Some(3 << 20);
    })
    .await;
    let mut client = server.client().await;
    let mut fits = numbers(3).into_bytes();
    fits.resize(1 << 20, b' ');
    for coding in [gzip, deflate] {
        let name = if coding(b"")[0] == 0x1f {
            "gzip"
        } else {
            "deflate"
        };
        assert_eq!(send(&mut client, name, &coding(&fits)).await.status, 200);
        let over = [&fits[..], b" "].concat();
        let answer = send(&mut client, name, &coding(&over)).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (413, Some("payload_too_large"))
        );
        client = server.client().await;
    }
    // Three requests hold a MiB each while their model runs; a fourth finds no room.
    let mut waiting = Vec::new();
    let slow = "/v2/models/slow/infer";
    for _ in 0..2 {
        let mut one = server.client().await;
        let body = gzip(&fits);
        let head = format!(
            "POST {slow} HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        one.send([head.as_bytes(), &body].concat()).await;
        waiting.push(one);
    }
    server
        .models
        .begun
        .acquire_many(2)
        .await
        .expect("never closed")
        .forget();
    let answer = send(&mut client, "gzip", &gzip(&fits)).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (503, Some("overloaded"))
    );
    server.models.release.add_permits(2);
    for mut one in waiting {
        assert_eq!(one.answer(false).await.status, 200);
    }
    let mut client = server.client().await;
    assert_eq!(send(&mut client, "gzip", &gzip(&fits)).await.status, 200);
}

#[tokio::test]
async fn answers_come_in_the_coding_that_is_taken_best() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    // Beyond and below what is compressed off the network's threads.
    for count in [1000, 100_000] {
        let body = numbers(count);
        let expected = client.post(INFER, &body).await;
        assert!(varies(&expected), "{}", expected.head);
        for (accept, coding) in [
            ("gzip", Some("gzip")),
            ("deflate, gzip;q=0.1", Some("deflate")),
            ("br, zstd", None),
            ("gzip;q=0", None),
            ("identity;q=0, deflate", Some("deflate")),
        ] {
            let answer = ask(&mut client, accept, &body).await;
            assert_eq!(answer.header("content-encoding"), coding, "{accept}");
            assert!(varies(&answer));
            assert_eq!(document(&answer)["outputs"], expected.json()["outputs"]);
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    harness::assert_no_defect(&mut client).await;
}

#[tokio::test]
async fn small_answers_are_plain_unless_that_is_refused() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let answer = ask(&mut client, "gzip", &numbers(3)).await;
    assert_eq!(answer.header("content-encoding"), None);
    assert!(varies(&answer));
    let answer = ask(&mut client, "gzip, identity;q=0", &numbers(3)).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(document(&answer)["outputs"][0]["shape"], json!([3]));
}

#[tokio::test]
async fn errors_metrics_and_documents_are_compressed_too() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let mut wide = String::new();
    for index in 0..60 {
        let _ = write!(wide, "a_long_name_of_a_member_{index}/");
    }
    // An error that repeats what was sent, with all the members of a problem.
    let headers = "Accept-Encoding: gzip\r\nAccept: application/problem+json\r\n";
    let answer = client
        .request("GET", &format!("/{wide}"), headers, "")
        .await;
    assert_eq!(
        (answer.status, answer.header("content-encoding")),
        (404, Some("gzip"))
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(document(&answer)["code"], "not_found");
    for mut client in [server.client().await, server.admin().await] {
        let answer = client
            .request("GET", "/metrics", "Accept-Encoding: gzip\r\n", "")
            .await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert!(plain(&answer).ends_with(b"\n"));
        assert!(varies(&answer));
    }
    let answer = client
        .request("HEAD", "/metrics", "Accept-Encoding: gzip\r\n", "")
        .await;
    assert_eq!(
        (answer.status, answer.header("content-encoding")),
        (200, None)
    );
    assert!(varies(&answer));
}
