//! Probes are answered whatever callers send: the admin port has a thread of its own.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::sync::mpsc;

use harness::{Client, options, start};

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
