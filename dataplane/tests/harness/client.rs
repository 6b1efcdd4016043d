//! A client of HTTP/1 that sends exactly the bytes that it is given.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;
use super::samples::Samples;

/// One HTTP/1 connection.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Bytes,
}

impl Answer {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The samples of a page of metrics.
    pub fn samples(&self) -> Samples {
        Samples::read(self.text())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether the server will close the connection.
    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

impl Client {
    pub async fn connect(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("a listening server");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .await
            .expect("an open connection");
    }

    /// Sends what the server may refuse to take to its end.
    pub async fn send_if_taken(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, "", "").await
    }

    pub async fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, "", body).await
    }

    /// Sends a request with these extra header lines (each ending in CRLF) and reads its answer.
    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let body = body.as_ref();
        let mut bytes = format!(
            "{method} {path} HTTP/1.1\r\nHost: serin\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes).await;
        self.answer(method == "HEAD").await
    }

    /// Reads one answer.
    pub async fn answer(&mut self, head_only: bool) -> Answer {
        self.try_answer(head_only).await.expect("an answer")
    }

    /// Reads one answer; `None` when the connection ends before one is complete.
    pub async fn try_answer(&mut self, head_only: bool) -> Option<Answer> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("text");
        let status = head
            .split(' ')
            .nth(1)
            .expect("a status")
            .parse()
            .expect("a number");
        let mut answer = Answer {
            status,
            head: head.trim_end().to_owned(),
            body: Bytes::new(),
        };
        let length = match answer.header("content-length") {
            _ if head_only || status == 204 => 0,
            Some(length) => length.parse().expect("a number"),
            None if answer.header("transfer-encoding") == Some("chunked") => {
                answer.body = self.chunks().await?.into();
                return Some(answer);
            }
            None => panic!("no length: {answer:?}"),
        };
        while self.buffer.len() < length {
            self.more().await?;
        }
        answer.body = self.buffer.drain(..length).collect::<Vec<u8>>().into();
        Some(answer)
    }

    /// The chunks of a body, without the trailers after them.
    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line().await?;
            let size = usize::from_str_radix(&size, 16).expect("a chunk's size");
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Some(body);
            }
            while self.buffer.len() < size + 2 {
                self.more().await?;
            }
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                return Some(String::from_utf8(line).expect("text"));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Option<()> {
        let mut chunk = vec![0; 64 << 10];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk))
            .await
            .expect("bytes or an end in time");
        let length = read.ok().filter(|length| *length > 0)?;
        self.buffer.extend_from_slice(&chunk[..length]);
        Some(())
    }

    /// Returns once the server has closed the connection; whatever comes before that is dropped.
    pub async fn closed(&mut self) {
        while self.more().await.is_some() {}
    }
}

pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
