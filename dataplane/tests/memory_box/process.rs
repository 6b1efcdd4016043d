//! The program within a control group, and callers of it that keep to no protocol.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::group::Group;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// The data plane with some models, in a group of its own.
pub struct Boxed {
    child: Child,
    group: Group,
    limit: u64,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Boxed {
    /// Starts the program in a container of so many bytes, and waits until it is ready. `models` are
    /// names and paths within the repository.
    pub fn start(name: &str, limit: u64, models: &[(&str, &str)]) -> Self {
        let group = Group::new(name, limit);
        let folder = tempfile::tempdir().expect("a folder");
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let models: Vec<Value> = models
            .iter()
            .map(|(name, path)| {
                let uri = format!("file://{root}/{path}");
                json!({"name": name, "version": "1", "source": {"uri": uri}})
            })
            .collect();
        let config = json!({"service": "a/b", "revision": "r", "models": models});
        let path = folder.path().join("pod.json");
        fs::write(&path, config.to_string()).expect("a file");
        // The shell enters the group before the program begins: it derives its bounds from the limit.
        let enter = r#"echo $$ > "$1" && shift && exec "$@""#;
        let mut child = Command::new("sh")
            .args(["-c", enter, "sh"])
            .arg(group.door())
            .arg(env!("CARGO_BIN_EXE_serin-dataplane"))
            .args([
                "--bind=127.0.0.1",
                "--http-port=0",
                "--grpc-port=0",
                "--admin-port=0",
            ])
            .args(["--log-format=json", "--lame-duck=0s", "--threads=8"])
            .arg("--config")
            .arg(&path)
            .arg("--cache-dir")
            .arg(folder.path())
            .env_remove("RUST_LOG")
            .env_remove("MIMALLOC_PURGE_DELAY")
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut ports = None;
        loop {
            let line = lines
                .recv_timeout(PATIENCE)
                .expect("the program gets ready");
            let Ok(line) = serde_json::from_str::<Value>(&line) else {
                panic!("{line}");
            };
            let port = |name: &str| line[name].as_str().expect("a port").parse().expect("one");
            match line["message"].as_str() {
                Some("listening") => ports = Some((port("http"), port("grpc"), port("admin"))),
                Some("phase changed") if line["phase"] == "Ready" => break,
                _ => eprintln!("{line}"),
            }
        }
        let (http, grpc, admin) = ports.expect("it listens before it is ready");
        // The rest of the log is read until the end, so that the program never waits for a reader.
        std::thread::spawn(move || for _ in lines {});
        Self {
            child,
            group,
            limit,
            http,
            grpc,
            admin,
            _folder: folder,
        }
    }

    /// What the process holds now and held at most, in bytes.
    pub fn resident(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number =
                line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            number.unwrap_or(0) * 1024
        };
        (kib("VmRSS:"), kib("VmHWM:"))
    }

    /// Waits until what the process holds no longer changes, for a while at the most.
    pub fn settles(&self) {
        let deadline = Instant::now() + PATIENCE / 6;
        let (mut before, mut same) = (0, 0);
        while same < 5 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.resident().0 >> 20;
            same = if now == before { same + 1 } else { 0 };
            before = now;
        }
    }

    /// Fails where the process has ended.
    pub fn lives(&mut self, after: &str) {
        let ended = self.child.try_wait().expect("a child");
        assert!(
            ended.is_none() && self.group.killed() == 0,
            "after {after} the process is gone: {ended:?}, killed {}",
            self.group.killed()
        );
        let (now, most) = self.resident();
        eprintln!("{:>4} MiB, at most {:>4}: {after}", now >> 20, most >> 20);
        assert!(most <= self.limit, "{most} bytes after {after}");
    }

    /// Waits until a small request is answered: what was held has been given back.
    pub fn answers_again(&self, path: &str, body: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = post(self.http, path, &[], body.as_bytes());
            if status == Some(200) {
                return;
            }
            assert!(Instant::now() < deadline, "{path}: {status:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a listening server");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// The bytes of a request.
pub fn request(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: serin\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends a request; the status of its answer, whose body is read and forgotten. `None` where the
/// connection was closed.
pub fn post(address: SocketAddr, path: &str, headers: &[&str], body: &[u8]) -> Option<u16> {
    let mut stream = connect(address);
    let headers = [headers, &["Connection: close"]].concat();
    // A refusal may come before the end of the body.
    let _ = stream.write_all(&request(path, &headers, body));
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    let status = std::str::from_utf8(&head[9..]).ok()?.parse().ok()?;
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
    Some(status)
}
