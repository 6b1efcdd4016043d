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
