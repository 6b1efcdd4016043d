//! An HTTPS server with answers of the test's making, and a certificate of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Listens until the test process ends.
pub struct Store {
    port: u16,
    roots: tempfile::NamedTempFile,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<Request>>,
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What is answered.
pub struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    length: Option<u64>,
    sent: usize,
}

impl Answer {
    pub fn new(status: &str, body: &[u8]) -> Self {
        Self {
            status: status.to_owned(),
            headers: Vec::new(),
            body: body.to_vec(),
            length: Some(body.len() as u64),
            sent: body.len(),
        }
    }

    pub fn ok(body: &[u8]) -> Self {
        Self::new("200 OK", body)
    }

    pub fn status(status: &str) -> Self {
        Self::new(status, b"")
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Closes the connection after this many bytes of the body.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.sent = bytes;
        self
    }

    /// The end of the connection is the end of the body.
    pub fn without_length(mut self) -> Self {
        self.length = None;
        self
    }

    /// Claims another length.
    pub fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }
}

impl Store {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let mut roots = tempfile::NamedTempFile::new().unwrap();
        roots.write_all(cert.pem().as_bytes()).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let store = Self {
            port: listener.local_addr().unwrap().port(),
            roots,
            seen: Arc::default(),
        };
        let (config, answer, seen) = (Arc::new(config), Arc::new(answer), Arc::clone(&store.seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (config, answer, seen) =
                    (Arc::clone(&config), Arc::clone(&answer), Arc::clone(&seen));
                // A client that does not like the certificate ends here.
                std::thread::spawn(move || drop(serve(stream, config, &*answer, &seen)));
            }
        });
        store
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// The file of the authority that its certificate is from.
    pub fn roots(&self) -> PathBuf {
        self.roots.path().to_path_buf()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    answer: &dyn Fn(&Request) -> Answer,
    seen: &Seen,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    let tls = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(tls, stream);
    let request = read_request(&mut stream)?;
    seen.requests.lock().unwrap().push(request.clone());
    let answer = answer(&request);
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", answer.status);
    if let Some(length) = answer.length {
        head += &format!("Content-Length: {length}\r\n");
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    stream.write_all(head.as_bytes())?;
    stream.write_all(&answer.body[..answer.sent])?;
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn read_request(stream: &mut impl Read) -> std::io::Result<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let path = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok(Request {
        path: path.to_owned(),
        headers,
    })
}
