//! Asking a pod that runs and is not ready what it is doing.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serin_crds::ports;
use tokio::net::TcpStream;

use crate::live::Answer;

/// How long a pod has for its whole answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// Asks the pod at this address. `None` where it does not answer, or not in the way that a
/// data plane does: its probes then say enough.
pub async fn ask(pod: IpAddr) -> Option<Answer> {
    ask_at(SocketAddr::new(pod, ports::ADMIN)).await
}

async fn ask_at(address: SocketAddr) -> Option<Answer> {
    tokio::time::timeout(DEADLINE, exchange(address))
        .await
        .ok()?
}

async fn exchange(address: SocketAddr) -> Option<Answer> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let request = Request::get("/statusz")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answer = async {
        let response = sender.send_request(request).await.ok()?;
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .ok()?;
        serde_json::from_slice(&body.to_bytes()).ok()
    };
    tokio::pin!(answer);
    tokio::pin!(connection);
    // The connection carries the answer: it must be driven until that is complete.
    tokio::select! {
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pod_that_answers(bytes: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
        });
        address
    }

    fn response(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn a_pods_own_account_is_read() {
        let pod = pod_that_answers(response(r#"{"phase":"Failed","message":"m","more":1}"#)).await;
        let answer = ask_at(pod).await.unwrap();
        assert_eq!(
            (answer.phase.as_str(), answer.message.as_deref()),
            ("Failed", Some("m"))
        );
    }

    #[tokio::test]
    async fn nonsense_and_too_much_are_no_answer() {
        for body in [
            "<html>".to_owned(),
            format!("{{\"phase\":\"{}\"}}", "x".repeat(MAX_ANSWER)),
        ] {
            let pod = pod_that_answers(response(&body)).await;
            assert_eq!(ask_at(pod).await, None);
        }
    }

    #[tokio::test]
    async fn a_pod_that_says_nothing_is_given_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = tokio::spawn(async move {
            let accepted = listener.accept().await;
            std::future::pending::<()>().await;
            drop(accepted);
        });
        assert_eq!(ask_at(address).await, None);
        silent.abort();
    }
}
