//! Stopping: nothing that was accepted is lost.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{Client, Running, options, start};
use serin_dataplane::config::Options;
use serin_dataplane::runtime::lifecycle::Phase;
use serin_dataplane::server::shutdown::Stop;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_on_keep_alive_connections_while_the_server_drains() {
    let running = start(&options()).await;
    let address = running.server.http_addr;
    let draining = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (draining, served) = (Arc::clone(&draining), Arc::clone(&served));
            tokio::spawn(async move {
                let text = harness::body("FP32", "[2]", "[1,2]");
                let mut client = Client::connect(address).await;
                loop {
                    let answer = client.post("/v2/models/echo/infer", &text).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    served.fetch_add(1, Ordering::Relaxed);
                    if answer.closes() {
                        // As a client behind a load balancer would: another server's turn.
                        assert!(draining.load(Ordering::SeqCst));
                        return;
                    }
                }
            })
        })
        .collect();
    harness::eventually("traffic", || served.load(Ordering::Relaxed) > 200).await;
    draining.store(true, Ordering::SeqCst);
    let Running {
        server,
        trigger,
        shutdown,
        lifecycle,
        ..
    } = running;
    trigger.stop(Stop::Gently);
    server
        .drain(Stop::Gently, Duration::from_millis(500), shutdown)
        .await;
    for caller in callers {
        caller.await.expect("every request answered");
    }
    assert_eq!(lifecycle.phase(), Phase::Stopped);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_the_lame_duck_time_new_connections_are_served_and_readiness_is_gone() {
    let running = start(&options()).await;
    let (http, admin) = (running.server.http_addr, running.server.admin_addr);
    let Running {
        server,
        trigger,
        shutdown,
        lifecycle,
        ..
    } = running;
    trigger.stop(Stop::Gently);
    let drained = tokio::spawn(server.drain(Stop::Gently, Duration::from_secs(60), shutdown));
    harness::eventually("draining", || lifecycle.phase() == Phase::Draining).await;
    let text = harness::body("INT8", "[1]", "[1]");
    for _ in 0..3 {
        let mut client = Client::connect(http).await;
        let answer = client.post("/v2/models/echo/infer", &text).await;
        assert_eq!(answer.status, 200);
        assert!(answer.closes());
        client.closed().await;
    }
    assert_eq!(
        Client::connect(http)
            .await
            .get("/v2/health/ready")
            .await
            .status,
        503
    );
    assert_eq!(
        Client::connect(http)
            .await
            .get("/v2/health/live")
            .await
            .status,
        200
    );
    assert_eq!(
        Client::connect(admin).await.get("/readyz").await.status,
        503
    );
    // An interrupt ends the lame-duck time.
    trigger.stop(Stop::Finish);
    tokio::time::timeout(harness::PATIENCE, drained)
        .await
        .expect("at once")
        .expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_finishes_after_the_port_has_closed() {
    let running = start(&options()).await;
    let http = running.server.http_addr;
    let mut idle = running.client().await;
    assert_eq!(idle.get("/v2/health/live").await.status, 200);
    let mut client = running.client().await;
    let text = harness::body("INT8", "[1]", "[7]");
    client
        .send(format!(
            "POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ))
        .await;
    let Running {
        server,
        shutdown,
        models,
        ..
    } = running;
    models.begun.acquire().await.expect("open").forget();
    let drained = tokio::spawn(server.drain(Stop::Finish, Duration::from_secs(60), shutdown));
    idle.closed().await;
    let closed = async {
        while TcpStream::connect(http).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(harness::PATIENCE, closed)
        .await
        .expect("the port closes");
    assert!(!drained.is_finished());
    models.release.add_permits(1);
    let answer = client.answer(false).await;
    assert_eq!((answer.status, answer.closes()), (200, true));
    tokio::time::timeout(harness::PATIENCE, drained)
        .await
        .expect("done")
        .expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_that_takes_too_long_is_cut_off_and_a_second_interrupt_ends_it_at_once() {
    for interrupt in [false, true] {
        let drain_timeout = if interrupt {
            Duration::from_secs(600)
        } else {
            Duration::from_millis(200)
        };
        let running = start(&Options {
            drain_timeout,
            ..options()
        })
        .await;
        let mut client = running.client().await;
        let text = harness::body("INT8", "[1]", "[7]");
        client
            .send(format!("POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
            .await;
        let Running {
            server,
            shutdown,
            models,
            trigger,
            lifecycle,
            ..
        } = running;
        models.begun.acquire().await.expect("open").forget();
        let begun = Instant::now();
        let drained = tokio::spawn(server.drain(Stop::Finish, Duration::ZERO, shutdown));
        if interrupt {
            trigger.stop(Stop::Now);
        }
        tokio::time::timeout(harness::PATIENCE, drained)
            .await
            .expect("cut off")
            .expect("no panic");
        assert!(begun.elapsed() < Duration::from_secs(15));
        assert_eq!(lifecycle.phase(), Phase::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_connection_is_told_to_go_and_loses_no_stream() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let running = start(&options()).await;
    let stream = TcpStream::connect(running.server.http_addr)
        .await
        .expect("open");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2 by prior knowledge");
    let connection = tokio::spawn(connection);
    let request = || {
        http::Request::post("http://serin/v2/models/slow/infer")
            .body(Full::new(bytes::Bytes::from(harness::body(
                "INT8", "[1]", "[7]",
            ))))
            .expect("a request")
    };
    let in_flight = tokio::spawn(sender.send_request(request()));
    let Running {
        server,
        shutdown,
        models,
        ..
    } = running;
    models.begun.acquire().await.expect("open").forget();
    let drained = tokio::spawn(server.drain(Stop::Gently, Duration::from_secs(1), shutdown));
    // Requests go on being answered until the GOAWAY has come; then there are no new ones.
    let told = async {
        let live = || {
            http::Request::get("http://serin/v2/health/live")
                .body(Full::new(bytes::Bytes::new()))
                .expect("a request")
        };
        while let Ok(answer) = sender.send_request(live()).await {
            assert_eq!(answer.status(), 200);
        }
    };
    tokio::time::timeout(harness::PATIENCE, told)
        .await
        .expect("GOAWAY");
    models.release.add_permits(1);
    let response = in_flight.await.expect("no panic").expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("x-request-id"));
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert!(
        std::str::from_utf8(&body)
            .expect("text")
            .contains("\"data\":[7]")
    );
    drained.await.expect("no panic");
    drop(sender);
    let _ = connection.await;
}
