//! Detects the HTTP version of a connection by its first bytes, which stay unread.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The first bytes of every HTTP/2 connection (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// After the port closes, the wait for the first request of a connection that has sent none.
pub(super) const CLOSING_FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Between two looks at a preface that is not complete: peeked bytes raise no new event.
const NEXT_LOOK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// Waits for the first bytes; `None` when the peer disconnects, sends nothing in time, or `closing`
/// comes first.
pub(super) async fn sniff(
    stream: &TcpStream,
    first_byte_timeout: Duration,
    closing: impl Future<Output = ()>,
) -> Option<Spoken> {
    let look = async {
        loop {
            let mut first = [0; PREFACE.len()];
            match stream.peek(&mut first).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => match spoken(&first[..length]) {
                    Some(spoken) => return Some(spoken),
                    None => sleep(NEXT_LOOK).await,
                },
            }
        }
    };
    tokio::select! {
        biased;
        spoken = timeout(first_byte_timeout, look) => spoken.ok().flatten(),
        () = async {
            closing.await;
            sleep(CLOSING_FIRST_REQUEST).await;
        } => None,
    }
}

/// `None` while the bytes are only the beginning of HTTP/2's preface.
fn spoken(first: &[u8]) -> Option<Spoken> {
    if first == PREFACE {
        Some(Spoken::Http2)
    } else if PREFACE.starts_with(first) {
        None
    } else {
        Some(Spoken::Http1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_preface_is_http2() {
        assert_eq!(spoken(PREFACE), Some(Spoken::Http2));
        assert_eq!(spoken(b"P"), None);
        assert_eq!(spoken(b"PRI * HTTP/2.0\r\n"), None);
        assert_eq!(spoken(b"POST /v2/models/m/infer"), Some(Spoken::Http1));
        assert_eq!(
            spoken(b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n"),
            Some(Spoken::Http1)
        );
        assert_eq!(spoken(b"\x16\x03\x01"), Some(Spoken::Http1));
    }
}
