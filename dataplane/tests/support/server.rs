//! The program as a process of its own, with models of files.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Client;

/// Longest time until every model is refused or answers.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The program with models of these names and files.
pub struct Server {
    /// The process.
    pub child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it.
    pub fn start(models: &[(String, PathBuf)], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let models: Vec<Value> = models
            .iter()
            .map(|(name, file)| {
                let uri = format!("file://{}", file.display());
                json!({"name": name, "version": "1", "source": {"uri": uri}})
            })
            .collect();
        let config = json!({"service": "a/b", "revision": "r", "models": models});
        let path = folder.path().join("pod.json");
        fs::write(&path, config.to_string()).expect("a file");
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_serin-dataplane"))
            .args(["--bind=127.0.0.1", "--http-port=0", "--grpc-port=0"])
            .args(["--admin-port=0", "--lame-duck=0s", "--log-format=json"])
            .arg("--config")
            .arg(&path)
            .arg("--cache-dir")
            .arg(folder.path().join("cache"))
            .args(flags)
            .env_remove("RUST_LOG")
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the program");
        Self { child, folder }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Where HTTP and the admin port are served.
    pub async fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let line = until("it listens", || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains("\"listening\""))?;
            serde_json::from_str::<Value>(line).ok()
        })
        .await;
        let address = |name: &str| line[name].as_str().expect("an address").parse();
        (
            address("http").expect("an address"),
            address("admin").expect("an address"),
        )
    }

    /// The most memory that it ever held, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.expect("VmHWM").trim().trim_end_matches(" kB");
        kib.parse::<u64>().expect("a number") >> 10
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end: its exit code, none where a signal ended it.
    pub async fn ended(&mut self) -> Option<i32> {
        until("it ends", || self.child.try_wait().expect("a child"))
            .await
            .code()
    }
}

/// Waits until something is found.
pub async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Living processes that `parent` started.
pub fn children(parent: u32) -> Vec<u32> {
    let stat = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let rest = text.rsplit_once(") ")?.1;
        let mut words = rest.split(' ');
        let (state, parent) = (words.next()?, words.next()?);
        Some((state != "Z", parent.parse::<u32>().ok()?))
    };
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid) == Some((true, parent)))
        .collect()
}

/// Where each model stands, once none is being loaded any more: `None` for ready, else why not.
pub async fn settled(admin: SocketAddr, models: usize) -> BTreeMap<String, Option<String>> {
    let begun = Instant::now();
    loop {
        let status = Client::connect(admin).await.get("/statusz").await.json();
        let states: BTreeMap<_, _> = status["models"]
            .as_array()
            .expect("models")
            .iter()
            .filter_map(|model| {
                let name = model["name"].as_str()?.to_owned();
                let reason = model["reason"].as_str().map(str::to_owned);
                (model["ready"] == true || reason.is_some()).then_some((name, reason))
            })
            .collect();
        if states.len() == models {
            return states;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {states:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
