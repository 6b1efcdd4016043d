//! A pod's admin port on loopback: answers every request alike, and counts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    body: Mutex<String>,
}

pub struct FakePod {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl FakePod {
    /// A pod that answers with `body`.
    pub async fn start(body: &str) -> Self {
        let pod = Self::serve("127.0.0.1:0", true).await;
        pod.says(body);
        pod
    }

    /// A pod that takes requests and never answers.
    pub async fn silent() -> Self {
        Self::serve("127.0.0.1:0", false).await
    }

    /// From now on it answers with `body`.
    pub fn says(&self, body: &str) {
        body.clone_into(&mut self.seen.body.lock().unwrap());
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    async fn serve(address: &str, answers: bool) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(connection(stream, Arc::clone(&shared), answers));
            }
        });
        Self { address, seen }
    }
}

async fn connection(mut stream: TcpStream, seen: Arc<Seen>, answers: bool) {
    let mut request = [0; 1024];
    // A request of ours comes in one piece: it has no body and some hundred bytes.
    while let Ok(1..) = stream.read(&mut request).await {
        seen.requests.fetch_add(1, Ordering::SeqCst);
        if !answers {
            continue;
        }
        let body = seen.body.lock().unwrap().clone();
        let length = body.len();
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}
