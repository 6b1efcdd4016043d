//! HTTP/2 as bytes: a client that follows the protocol exactly as far as a test wants.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, 6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame that came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// The bytes of one frame (RFC 9113, 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short payload")
        .to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field that no table keeps (RFC 7541, 6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(
            u8::try_from(text.len())
                .ok()
                .filter(|length| *length < 127)
                .expect("short"),
        );
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// The header block of a request.
pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = [
        field(":method", method),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "serin"),
    ]
    .concat();
    for (name, value) in more {
        block.extend(field(name, value));
    }
    block
}

/// One HTTP/2 connection.
pub struct Connection {
    pub stream: TcpStream,
}

impl Connection {
    /// Connects, and says what window each of its streams has.
    pub async fn open(address: SocketAddr, window: u32) -> Self {
        let mut stream = TcpStream::connect(address)
            .await
            .expect("a listening server");
        let setting = [
            &INITIAL_WINDOW_SIZE.to_be_bytes()[..],
            &window.to_be_bytes(),
        ]
        .concat();
        let hello = [
            PREFACE,
            &frame(SETTINGS, 0, 0, &setting),
            &frame(SETTINGS, ACK, 0, &[]),
        ]
        .concat();
        stream.write_all(&hello).await.expect("an open connection");
        Self { stream }
    }

    /// Sends bytes; an error once the server has closed the connection, or takes nothing more.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Answers pings, as a client that is alive does, and gives up every other frame; ends when the
    /// server closes the connection.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub async fn live_until_closed(&mut self, limit: Duration) -> Vec<Frame> {
        let mut seen = Vec::new();
        let reading = async {
            while let Some(frame) = self.frame().await {
                if frame.kind == PING && frame.flags & ACK == 0 {
                    let _ = self.send(&self::frame(PING, ACK, 0, &frame.payload)).await;
                } else if frame.kind != DATA {
                    seen.push(frame);
                }
            }
        };
        timeout(limit, reading)
            .await
            .expect("the server closes the connection");
        seen
    }
}
