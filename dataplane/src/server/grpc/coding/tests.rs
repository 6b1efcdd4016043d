use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use serin_core::Limits;

use super::*;
use crate::runtime::cpu_pool::CpuPool;

const BUDGET: usize = 4 << 20;

fn resources(threads: usize) -> Resources {
    let limits = Limits {
        body_bytes: 1 << 20,
        body_bytes_in_flight: Some(BUDGET),
        ..Limits::default()
    };
    Resources::new(limits, CpuPool::with_threads(threads))
}

fn message(flag: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&[flag][..], &length.to_be_bytes(), bytes].concat()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A request whose body comes in frames of so many bytes.
fn request(headers: &[(&str, &str)], body: &[u8], frame: usize) -> Request<Body> {
    let frames: Vec<_> = body
        .chunks(frame)
        .map(|part| Ok::<_, axum::Error>(http_body::Frame::data(Bytes::copy_from_slice(part))))
        .collect();
    let mut request = Request::post("/inference.GRPCInferenceService/ModelInfer");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Body::new(StreamBody::new(stream::iter(frames))))
        .unwrap()
}

async fn read(body: Body) -> Result<Vec<u8>, String> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) => Err(error.into_inner().to_string()),
    }
}

#[tokio::test]
async fn compressed_messages_are_plain_ones_afterwards_however_they_come() {
    let large: Vec<u8> = (0..300_000_u32).map(|at| (at / 100) as u8).collect();
    let plain = [
        message(0, b"plain"),
        message(0, &large),
        message(0, b""),
        message(0, b"small"),
    ]
    .concat();
    type Pack = fn(&[u8]) -> Vec<u8>;
    for (name, pack) in [("gzip", gzip as Pack), ("deflate", zlib as Pack)] {
        let sent = [
            message(0, b"plain"),
            message(1, &pack(&large)),
            message(1, &pack(b"")),
            message(1, &pack(b"small")),
        ]
        .concat();
        for frame in [1, 7, 1000, usize::MAX] {
            let request = request(&[("grpc-encoding", name)], &sent, frame);
            let resources = resources(1);
            let (request, answers) = inflated(request, true, resources.memory.hold(), &resources);
            assert_eq!(answers, None, "the caller can read no coding");
            assert!(!request.headers().contains_key(&SENT));
            let read = read(request.into_body()).await.unwrap();
            assert!(read == plain, "{name} in frames of {frame}");
            assert_eq!(resources.memory.used(), 0, "all is given back");
        }
    }
}

async fn refusal(body: &[u8]) -> String {
    let request = request(&[("grpc-encoding", "gzip")], body, 1000);
    let resources = resources(1);
    let (request, _) = inflated(request, true, resources.memory.hold(), &resources);
    read(request.into_body()).await.unwrap_err()
}

#[tokio::test]
async fn what_is_too_large_or_damaged_is_refused_with_the_reason() {
    let bomb = refusal(&message(1, &gzip(&vec![0; (1 << 20) + 1]))).await;
    assert!(
        bomb.contains("larger than 1048576 bytes when inflated"),
        "{bomb}"
    );
    let long = refusal(&message(1, &vec![0; (1 << 20) + 1])).await;
    assert!(long.contains("may have 1048576 bytes"), "{long}");
    let damaged = refusal(&message(1, b"no gzip")).await;
    assert!(damaged.contains("not sound gzip"), "{damaged}");
    let cut = refusal(&message(1, &gzip(b"abc"))[..9]).await;
    assert!(cut.contains("in the middle of a message"), "{cut}");
}

#[tokio::test]
async fn a_message_is_inflated_within_the_budget() {
    let resources = resources(1);
    // Of an eighth of the budget, only small requests may have any.
    let others = [BUDGET / 2, BUDGET / 4].map(|bytes| {
        let mut other = resources.memory.hold();
        other.grow(bytes).unwrap();
        other
    });
    let body = message(1, &gzip(&vec![0; 1 << 20]));
    let sent = request(&[("grpc-encoding", "gzip")], &body, 1000);
    let (refused, _) = inflated(sent, true, resources.memory.hold(), &resources);
    let reason = read(refused.into_body()).await.unwrap_err();
    assert!(reason.contains("too many request bodies"), "{reason}");
    drop(others);
}

/// The network's thread is the only one of this runtime.
#[tokio::test]
async fn a_large_message_is_inflated_off_the_networks_threads() {
    let resources = resources(0);
    // The pool's only turn, that of short work, is taken until the other request has been answered.
    let (finish, taken) = std::sync::mpsc::channel::<()>();
    let pool = resources.cpu_pool.clone();
    let occupied = tokio::spawn(async move { pool.run_short(move || taken.recv()).await });
    tokio::task::yield_now().await;
    let body = message(1, &gzip(&vec![0; 1 << 20]));
    let sent = request(&[("grpc-encoding", "gzip")], &body, usize::MAX);
    let (request, _) = inflated(sent, true, resources.memory.hold(), &resources);
    let reading = tokio::spawn(read(request.into_body()));
    for _ in 0..10 {
        // Another request on this thread.
        tokio::task::yield_now().await;
    }
    assert!(!reading.is_finished());
    finish.send(()).unwrap();
    occupied.await.unwrap().unwrap().unwrap();
    assert_eq!(reading.await.unwrap().unwrap().len(), 5 + (1 << 20));
}

async fn answered(
    accepts: Option<&str>,
    sent: Option<&str>,
    answer: &[u8],
) -> (Option<String>, Vec<u8>) {
    let headers: Vec<(&str, &str)> = accepts
        .map(|accepts| ("grpc-accept-encoding", accepts))
        .into_iter()
        .chain(sent.map(|sent| ("grpc-encoding", sent)))
        .collect();
    let resources = resources(1);
    let memory = resources.memory.hold();
    let (_, coding) = inflated(request(&headers, b"", 1), false, memory, &resources);
    let mut response = Response::new(Body::from(answer.to_vec()));
    if let Some(coding) = coding {
        response = deflated(response, coding, &resources);
    }
    let named = response.headers().get(&SENT);
    let named = named.map(|name| name.to_str().unwrap().to_owned());
    (named, read(response.into_body()).await.unwrap())
}

#[tokio::test]
async fn a_caller_that_compresses_is_answered_in_kind_and_others_are_not() {
    let all = Some("identity,deflate,gzip");
    let named = async |accepts, sent| answered(accepts, sent, b"").await.0;
    assert_eq!(named(all, Some("gzip")).await.as_deref(), Some("deflate"));
    assert_eq!(
        named(Some("gzip"), Some("deflate")).await.as_deref(),
        Some("gzip")
    );
    assert_eq!(named(all, Some("identity")).await, None);
    assert_eq!(named(all, None).await, None);
    assert_eq!(named(Some("br"), Some("gzip")).await, None);
}

#[tokio::test]
async fn answers_are_compressed_where_that_makes_them_smaller() {
    let large = vec![b'7'; 300_000];
    let noise: Vec<u8> = (0..2000).map(|_| fastrand::u8(..)).collect();
    let messages = [
        b"small".to_vec(),
        vec![b'x'; 5000],
        noise.clone(),
        large.clone(),
    ];
    let answer: Vec<u8> = messages
        .iter()
        .flat_map(|bytes| message(0, bytes))
        .collect();
    for (name, other) in [("gzip", false), ("deflate", true)] {
        let (_, body) = answered(Some(name), Some("gzip"), &answer).await;
        let mut rest = &body[..];
        let (mut flags, mut found) = (Vec::new(), Vec::new());
        while let [flag, a, b, c, d, behind @ ..] = rest {
            let (bytes, next) = behind.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
            let mut plain = Vec::new();
            match (flag, other) {
                (0, _) => plain.extend_from_slice(bytes),
                (_, false) => drop(GzDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
                (_, true) => drop(ZlibDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
            }
            flags.push(*flag);
            found.push(plain);
            rest = next;
        }
        assert_eq!(flags, [0, 1, 0, 1]);
        assert!(found == messages);
    }
}
