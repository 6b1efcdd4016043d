//! The data plane in a container of 512 MiB, and of 256: no request, answer or connection takes it.
//!
//! It needs root, as it makes memory control groups.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod group;
mod process;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use flate2::Compression;
use flate2::write::GzEncoder;

use process::{Boxed, connect, post, request};

const MIB: usize = 1 << 20;
const GZIP: &str = "Content-Encoding: gzip";

const MODELS: [(&str, &str); 4] = [
    ("texts", "dataplane/tests/models/identity_bytes.onnx"),
    ("integers", "dataplane/tests/models/identity_int64.onnx"),
    ("floats", "dataplane/tests/models/identity_fp32.onnx"),
    (
        "fill",
        "dataplane/tests/models/hostile/constant_of_shape.onnx",
    ),
];

const SMALL: (&str, &str) = (
    "/v2/models/floats/infer",
    r#"{"inputs":[{"name":"X","shape":[1,1],"datatype":"FP32","data":[1]}]}"#,
);

/// Payloads that take far more memory than bytes: the model that reads them, and one element.
const PAYLOADS: [(&str, &str, &str, &str); 3] = [
    ("empty texts", "texts", "BYTES", "\"\""),
    ("escapes", "texts", "BYTES", "\"\\n\""),
    ("small numbers", "integers", "INT64", "1"),
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// A body of about `bytes` between `before` and `after`, and how many elements it has.
fn filled(bytes: usize, element: &str, frame: impl Fn(usize, &str) -> String) -> String {
    let count = bytes / (element.len() + 1);
    let mut data = format!("{element},").repeat(count);
    data.pop();
    frame(count, &data)
}

fn infer(bytes: usize, datatype: &str, element: &str) -> String {
    filled(bytes, element, |count, data| {
        format!(
            r#"{{"inputs":[{{"name":"X","shape":[1,{count}],"datatype":"{datatype}","data":[{data}]}}]}}"#
        )
    })
}

/// Sends a request twice at once; each is answered.
fn twice(address: SocketAddr, path: &str, headers: &[&str], body: &[u8]) -> String {
    let statuses = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| post(address, path, headers, body)))
            .collect();
        let ended = callers.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.collect::<Result<Vec<_>, _>>().expect("no panic")
    });
    let answered = statuses.iter().all(Option::is_some);
    assert!(answered, "{path} {headers:?}: {statuses:?}");
    format!("{path} {headers:?} {statuses:?}")
}

/// The beginning of a body: it ends within a list, and is read up to there all the same.
fn cut(body: &str, element: &str) -> Vec<u8> {
    let most = 2 * MIB / (element.len() + 1) * (element.len() + 1);
    body.as_bytes()[..most.min(body.len())].to_vec()
}

/// Every route that reads JSON, with every payload, plain and compressed, of `bytes`.
fn amplified(boxed: &mut Boxed, bytes: usize) {
    for (kind, model, datatype, element) in PAYLOADS {
        let tensors = infer(bytes, datatype, element);
        let instances = filled(bytes, element, |_, data| {
            format!(r#"{{"instances":[[{data}]]}}"#)
        });
        let settings = filled(bytes, element, |_, data| {
            format!(r#"{{"trace_level":[{data}]}}"#)
        });
        let index = filled(bytes, element, |_, data| format!(r#"{{"more":[{data}]}}"#));
        let input = filled(bytes, element, |_, data| {
            format!(r#"{{"model":"{model}","input":[{data}]}}"#)
        });
        let of = |action: &str| format!("/v2/models/{model}/{action}");
        let routes = [
            (boxed.http, of("infer"), &tensors),
            (boxed.http, "/v2/models/nosuch/infer".to_owned(), &tensors),
            (boxed.http, of("infer_stream"), &tensors),
            (
                boxed.http,
                format!("/v1/models/{model}:predict"),
                &instances,
            ),
            (boxed.http, "/v1/embeddings".to_owned(), &input),
            (boxed.http, "/v2/repository/index".to_owned(), &index),
            (boxed.admin, "/v2/trace/setting".to_owned(), &settings),
            (boxed.admin, "/v2/logging".to_owned(), &index),
        ];
        for (address, path, body) in routes {
            let (packed, plain) = (gzip(body.as_bytes()), cut(body, element));
            for (coded, headers) in [(packed, &[GZIP][..]), (plain, &[])] {
                let done = twice(address, &path, headers, &coded);
                boxed.lives(&format!("{kind}: {done}"));
            }
        }
        let done = twice(
            boxed.http,
            &of("infer_stream"),
            &["Content-Type: application/x-ndjson"],
            format!("{tensors}\n{tensors}").as_bytes(),
        );
        boxed.lives(&format!("{kind}, rows: {done}"));
    }
}

/// A binary body of floats, which the model returns.
fn binary(bytes: usize) -> (String, Vec<u8>) {
    let json = format!(
        r#"{{"inputs":[{{"name":"X","shape":[1,{}],"datatype":"FP32","parameters":{{"binary_data_size":{bytes}}}}}]}}"#,
        bytes / 4
    );
    let header = format!("Inference-Header-Content-Length: {}", json.len());
    (header, [json.into_bytes(), vec![0; bytes]].concat())
}

/// Messages of a WebSocket that nobody waits for.
fn socket_messages(boxed: &Boxed) -> Vec<TcpStream> {
    let text = infer(15 * MIB, "BYTES", "\"\"");
    let upgrade = "GET /v2/models/texts/infer_stream HTTP/1.1\r\nHost: serin\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let length = u64::try_from(text.len()).expect("a length").to_be_bytes();
    // A mask of zeros.
    let frame = [&[0x81, 0xff][..], &length, &[0; 4], text.as_bytes()].concat();
    let sockets = (0..6).map(|_| {
        let mut socket = connect(boxed.http);
        let _ = socket.write_all(upgrade.as_bytes());
        let _ = socket.write_all(&frame);
        socket
    });
    sockets.collect()
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        [
            &[u8::try_from(text.len()).expect("short")][..],
            text.as_bytes(),
        ]
        .concat()
    };
    [vec![0], text(name), text(value)].concat()
}

fn http2(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    let hello = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(4, 0, 0, &[]),
    ]
    .concat();
    stream.write_all(&hello).expect("an open connection");
    stream
}

fn header_block(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "serin"),
    ];
    let fields = head.iter().chain(more);
    fields
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// gRPC calls with one compressed message each, whose raw contents are `bytes` of zeros.
fn raw_texts(boxed: &Boxed, calls: u32, bytes: usize) -> TcpStream {
    use prost::Message;
    use serin_wire::oip_grpc::proto::ModelInferRequest;
    use serin_wire::oip_grpc::proto::model_infer_request::InferInputTensor;

    let message = ModelInferRequest {
        model_name: "texts".to_owned(),
        inputs: vec![InferInputTensor {
            name: "X".to_owned(),
            datatype: "BYTES".to_owned(),
            shape: vec![1, i64::try_from(bytes / 4).expect("small")],
            ..Default::default()
        }],
        raw_input_contents: vec![vec![0; bytes / 4 * 4].into()],
        ..Default::default()
    };
    let packed = gzip(&message.encode_to_vec());
    let length = u32::try_from(packed.len()).expect("short").to_be_bytes();
    let message = [&[1][..], &length, &packed].concat();
    let mut stream = http2(boxed.grpc);
    let head = header_block(
        "/inference.GRPCInferenceService/ModelInfer",
        &[
            ("content-type", "application/grpc"),
            ("grpc-encoding", "gzip"),
            ("te", "trailers"),
        ],
    );
    for call in 0..calls {
        let id = 2 * call + 1;
        let _ = stream.write_all(&frame(1, 4, id, &head));
        let pieces: Vec<_> = message.chunks(16 << 10).collect();
        for (index, piece) in pieces.iter().enumerate() {
            let last = u8::from(index + 1 == pieces.len());
            let _ = stream.write_all(&frame(0, last, id, piece));
        }
    }
    stream
}

#[test]
fn no_request_takes_a_container_of_512_mib() {
    let mut boxed = Boxed::start("requests", 512 << 20, &MODELS);
    boxed.lives("its start");
    amplified(&mut boxed, 20 * MIB);
    for (kind, model, datatype, element) in PAYLOADS {
        let largest = gzip(infer(31 * MIB, datatype, element).as_bytes());
        let path = format!("/v2/models/{model}/infer");
        let done = twice(boxed.http, &path, &[GZIP], &largest);
        boxed.lives(&format!("{kind}, the largest: {done}"));
    }
    // What was legal before the container's limit was looked at.
    let (datatype, element) = ("BYTES", "\"\"");
    let large = gzip(infer(62 * MIB, datatype, element).as_bytes());
    let done = twice(boxed.http, "/v2/models/texts/infer", &[GZIP], &large);
    boxed.lives(&done);
    for bytes in [8 * MIB, 16 * MIB, 31 * MIB] {
        let (header, body) = binary(bytes);
        let done = twice(boxed.http, "/v2/models/floats/infer", &[&header], &body);
        boxed.lives(&format!("binary, {bytes}: {done}"));
    }
    let sockets = socket_messages(&boxed);
    boxed.lives("6 messages of 15 MiB on WebSockets");
    drop(sockets);
    boxed.answers_again(SMALL.0, SMALL.1);
    for calls in [1, 16] {
        let unread = raw_texts(&boxed, calls, 31 * MIB);
        boxed.settles();
        boxed.lives(&format!("{calls} gRPC calls of empty texts"));
        drop(unread);
    }
    boxed.answers_again(SMALL.0, SMALL.1);
    boxed.lives("all of it");
}

#[test]
fn no_unread_answer_and_no_connection_takes_a_container_of_512_mib() {
    let mut boxed = Boxed::start("answers", 512 << 20, &MODELS);
    let ten_mb = r#"{"inputs":[{"name":"S","shape":[1],"datatype":"INT64","data":[2500000]}]}"#;
    let unread: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut caller = connect(boxed.http);
            let _ = caller.write_all(&request("/v2/models/fill/infer", &[], ten_mb.as_bytes()));
            caller
        })
        .collect();
    boxed.settles();
    boxed.lives("200 answers of 10 MB that nobody reads");
    drop(unread);
    boxed.answers_again(SMALL.0, SMALL.1);

    let rows = format!("{ten_mb}\n").repeat(64);
    let unread: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut caller = connect(boxed.http);
            let ndjson = ["Content-Type: application/x-ndjson"];
            let _ = caller.write_all(&request(
                "/v2/models/fill/infer_stream",
                &ndjson,
                rows.as_bytes(),
            ));
            caller
        })
        .collect();
    boxed.settles();
    boxed.lives("40 streams of 64 answers of 10 MB that nobody reads");
    drop(unread);
    boxed.answers_again(SMALL.0, SMALL.1);

    let head = header_block("/v2/models/floats/infer", &[]);
    let idle: Vec<TcpStream> = (0..350)
        .map(|_| {
            let mut caller = http2(boxed.http);
            for stream in 0..256 {
                let _ = caller.write_all(&frame(1, 4, 2 * stream + 1, &head));
            }
            caller
        })
        .collect();
    boxed.lives("350 connections of 256 requests without a body");
    drop(idle);
    boxed.answers_again(SMALL.0, SMALL.1);

    // Fields of 4 KB that the table of the connection has, each named by one byte.
    let mut first = header_block("/v2/models/floats/infer", &[]);
    first.extend([&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'y'; 4000]].concat());
    let mut named = header_block("/v2/models/floats/infer", &[]);
    named.extend([0xbe; 14]);
    let idle: Vec<TcpStream> = (0..350)
        .map(|_| {
            let mut caller = http2(boxed.http);
            let _ = caller.write_all(&frame(1, 4, 1, &first));
            for stream in 1..256 {
                let _ = caller.write_all(&frame(1, 4, 2 * stream + 1, &named));
            }
            caller
        })
        .collect();
    boxed.settles();
    boxed.lives("350 connections of 256 requests with header blocks of 56 KB in a few bytes");
    drop(idle);
    boxed.answers_again(SMALL.0, SMALL.1);

    let half = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}", "y".repeat(61_000));
    let heads: Vec<TcpStream> = (0..900)
        .map(|_| {
            let mut caller = connect(boxed.http);
            let _ = caller.write_all(half.as_bytes());
            caller
        })
        .collect();
    boxed.lives("900 header blocks without an end");
    drop(heads);
    boxed.answers_again(SMALL.0, SMALL.1);
    boxed.lives("all of it");
}

#[test]
fn the_small_example_holds_in_256_mib() {
    let models = [
        ("texts", "dataplane/tests/models/identity_bytes.onnx"),
        ("integers", "dataplane/tests/models/identity_int64.onnx"),
        ("floats", "dataplane/tests/models/identity_fp32.onnx"),
        ("iris", "examples/iris/iris.onnx"),
    ];
    let mut boxed = Boxed::start("small", 256 << 20, &models);
    amplified(&mut boxed, 10 * MIB);
    let (header, body) = binary(15 * MIB);
    let done = twice(boxed.http, "/v2/models/floats/infer", &[&header], &body);
    boxed.lives(&done);
    boxed.answers_again(SMALL.0, SMALL.1);
    boxed.lives("all of it");
}
