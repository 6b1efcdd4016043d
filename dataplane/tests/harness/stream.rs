//! A stream over HTTP/1: chunks in, chunks out, both at once.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;

/// A request whose body is sent piece by piece, and its answer, read piece by piece.
pub struct Stream {
    pub socket: TcpStream,
    /// Bytes read and not taken.
    buffer: Vec<u8>,
    /// What the chunks held and nobody has taken yet.
    body: Vec<u8>,
    pub head: String,
    /// The last chunk has come.
    pub ended: bool,
}

impl Stream {
    /// Sends a header block with a chunked body to come.
    pub async fn open(address: std::net::SocketAddr, model: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.expect("a server");
        let head = format!(
            "POST /v2/models/{model}/infer_stream HTTP/1.1\r\nHost: serin\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("sent");
        Self::over(socket)
    }

    /// Reads an answer from a socket on which the request was sent.
    pub fn over(socket: TcpStream) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
            body: Vec::new(),
            head: String::new(),
            ended: false,
        }
    }

    /// Rows in, rows out.
    pub async fn rows(address: std::net::SocketAddr, model: &str) -> Self {
        Self::open(address, model, "Content-Type: application/x-ndjson\r\n").await
    }

    pub async fn send(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.socket.write_all(chunk.as_bytes()).await.expect("sent");
    }

    pub async fn finish(&mut self) {
        self.socket.write_all(b"0\r\n\r\n").await.expect("sent");
    }

    /// The status, once the header block is there.
    pub async fn status(&mut self) -> u16 {
        self.read_head().await;
        let status = self.head.split(' ').nth(1).expect("a status");
        status.parse().expect("a number")
    }

    async fn read_head(&mut self) {
        while self.head.is_empty() {
            if let Some(end) = super::client::find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                self.head = String::from_utf8(head).expect("text").to_lowercase();
            } else {
                assert!(
                    self.more().await,
                    "the server closed before its header block"
                );
            }
        }
    }

    /// The next line, without its end; `None` at the end of the answer or of the connection.
    pub async fn line(&mut self) -> Option<String> {
        self.read_head().await;
        loop {
            if let Some(end) = self.body.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.body.drain(..=end).take(end).collect();
                return Some(String::from_utf8(line).expect("text"));
            }
            if self.ended || (!self.dechunk() && !self.more().await) {
                return None;
            }
        }
    }

    /// The next line's document.
    pub async fn answer(&mut self) -> serde_json::Value {
        let line = self.line().await.expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// What is left of the answer; whether it came to its proper end.
    pub async fn rest(&mut self) -> (Vec<String>, bool) {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        (lines, self.ended)
    }

    fn dechunk(&mut self) -> bool {
        let Some(end) = super::client::find(&self.buffer, b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&self.buffer[..end]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        if self.buffer.len() < end + 2 + size + 2 {
            return false;
        }
        self.body
            .extend_from_slice(&self.buffer[end + 2..end + 2 + size]);
        self.buffer.drain(..end + 2 + size + 2);
        self.ended = size == 0;
        true
    }

    async fn more(&mut self) -> bool {
        let mut chunk = vec![0; 64 << 10];
        let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut chunk)).await;
        let length = read.expect("bytes or an end in time").unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..length]);
        length > 0
    }

    /// Whether nothing comes for a moment.
    pub async fn is_quiet(&mut self, moment: Duration) -> bool {
        tokio::time::timeout(moment, self.line()).await.is_err()
    }
}
