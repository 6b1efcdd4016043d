//! Probes are answered whatever callers send: the admin port has a thread of its own, and network threads
//! read no large body.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::sync::mpsc;

use harness::{Client, Gates, grpc, open_gates, options, start, start_behind};
use serin_crds::contract::policy::ApiConfig;
use serin_dataplane::runtime::cpu_pool::CpuPool;

/// The runtime of the test has one thread, which the test itself holds here.
#[tokio::test]
async fn the_admin_port_answers_while_every_network_thread_is_busy() {
    let server = start(&options()).await;
    let admin = server.server.admin_addr;
    let (answered, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let mut client = Client::connect(admin).await;
            for path in ["/livez", "/readyz", "/statusz", "/metrics"] {
                let status = client.get(path).await.status;
                answered.send((path, status)).expect("the test waits");
            }
        });
    });
    for _ in 0..4 {
        let got = answer.recv_timeout(harness::PATIENCE).expect("an answer");
        assert_eq!(got.1, 200, "{}", got.0);
    }
}

/// Connections that say nothing are closed after a while; here after longer than the test.
#[tokio::test]
async fn a_neighbour_that_holds_connections_leaves_room_for_probes() {
    let mut options = options();
    options.limits.first_byte_timeout = std::time::Duration::from_secs(3600);
    let server = start(&options).await;
    let mut held = Vec::new();
    for _ in 0..300 {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        let neighbour = "127.0.0.2:0".parse().expect("an address");
        socket.bind(neighbour).expect("an address of loopback");
        held.push(
            socket
                .connect(server.server.admin_addr)
                .await
                .expect("a port"),
        );
    }
    assert_eq!(server.admin().await.get("/livez").await.status, 200);
}

/// A body of each protocol whose reading would hold a thread for as long as the body is, by its path.
fn large_bodies() -> Vec<(&'static str, String, Vec<u8>)> {
    let numbers = format!("[{}0]", "0,".repeat(100_000));
    let json = harness::body("FP32", "[100001]", &numbers);
    let words = [3, 0, 0, 0, b'a', b'b', b'c'].repeat(20_000);
    let head = format!(
        r#"{{"inputs":[{{"name":"x","shape":[20000],"datatype":"BYTES","parameters":{{"binary_data_size":{}}}}}]}}"#,
        words.len()
    );
    let lengths = format!("Inference-Header-Content-Length: {}\r\n", head.len());
    let binary = [head.as_bytes(), &words].concat();
    let named_last = format!(r#"{{"input":"{}","model":"nobody"}}"#, "a".repeat(100_000));
    let raw = vec![0; 100_000];
    let mut call = grpc::infer("echo");
    // A field that nobody knows, of a hundred thousand bytes.
    call.extend([0xa2, 0x06, 0xa0, 0x8d, 0x06]);
    call.resize(call.len() + 100_000, 0);
    let length = u32::try_from(call.len() - 5).expect("short").to_be_bytes();
    call[1..5].copy_from_slice(&length);
    let grpc_headers = "Content-Type: application/grpc\r\nTE: trailers\r\n".to_owned();
    let infer = "/v2/models/echo/infer";
    vec![
        (infer, String::new(), json.into_bytes()),
        (infer, lengths, binary),
        (
            "/v2/models/raw/infer",
            "Inference-Header-Content-Length: 0\r\n".to_owned(),
            raw,
        ),
        ("/v1/embeddings", String::new(), named_last.into_bytes()),
        (
            "/v1/models/raw:predict",
            String::new(),
            format!(r#"{{"instances":[{}[1,2]]}}"#, "[1,2],".repeat(20_000)).into_bytes(),
        ),
        (
            "/inference.GRPCInferenceService/ModelInfer",
            grpc_headers,
            call,
        ),
    ]
}

/// The runtime of the test, and of the server, has one thread.
#[tokio::test]
async fn no_large_body_is_read_on_a_network_thread() {
    let gates = Gates {
        cpu_pool: CpuPool::with_threads(0),
        ..open_gates()
    };
    // The pool's only turn, that of short work, is taken: what is answered before it is free was read by a network thread.
    let (finish, taken) = mpsc::channel::<()>();
    let pool = gates.cpu_pool.clone();
    let occupied = tokio::spawn(async move { pool.run_short(move || taken.recv()).await });
    let server = start_behind(&options(), ApiConfig::default(), gates).await;
    let mut waiting = Vec::new();
    for (path, headers, body) in large_bodies() {
        let mut client = server.client().await;
        let asking = async move { client.request("POST", path, &headers, &body).await };
        waiting.push((path, tokio::spawn(asking)));
    }
    let mut client = server.client().await;
    for _ in 0..50 {
        assert_eq!(client.get("/v2/health/live").await.status, 200);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    for (path, asking) in &waiting {
        assert!(!asking.is_finished(), "{path}");
    }
    finish.send(()).expect("the job waits");
    for (path, asking) in waiting {
        let answer = asking.await.expect("no panic");
        let expected = if path.contains("embeddings") {
            404
        } else {
            200
        };
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        assert_eq!(answer.header("grpc-status"), None, "{path}: {answer:?}");
    }
    drop(occupied);
}
