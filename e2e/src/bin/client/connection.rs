//! One HTTP/1.1 connection, and the plain URL it goes to.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a name, a connection or an answer.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// `http://HOST[:PORT]/PATH`.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host and port as they stand in the URL, for the `Host` header.
    pub authority: String,
    /// Host and port to connect to.
    host_and_port: String,
    /// The rest of the URL.
    pub path: String,
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let uri: http::Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let host = uri.host().ok_or_else(|| format!("{url} names no host"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("{url}: only http:// is sent to"));
        }
        Ok(Self {
            authority: uri.authority().map(ToString::to_string).unwrap_or_default(),
            host_and_port: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

/// An open connection and where it leads.
pub struct Connection {
    pub sender: SendRequest<Full<Bytes>>,
    pub peer: SocketAddr,
}

impl Connection {
    /// Looks the name up and connects, within [`DEADLINE`].
    pub async fn open(target: &Target) -> Result<Self, String> {
        let open = async {
            let stream = TcpStream::connect(&target.host_and_port)
                .await
                .map_err(|error| format!("connect to {}: {error}", target.host_and_port))?;
            stream
                .set_nodelay(true)
                .map_err(|error| error.to_string())?;
            let peer = stream.peer_addr().map_err(|error| error.to_string())?;
            let (sender, driver) = handshake(TokioIo::new(stream))
                .await
                .map_err(|error| format!("handshake: {error}"))?;
            tokio::spawn(driver);
            Ok(Self { sender, peer })
        };
        timeout(DEADLINE, open)
            .await
            .unwrap_or_else(|_| Err(format!("connect to {}: timed out", target.host_and_port)))
    }
}
