//! ONNX Runtime writes no file of its own and opens no connection: pods
//! have a read-only root, no home, and secrets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use support::runtime;

const FOLDERS: [&str; 7] = ["home", "tmp", "work", "cache", "config", "data", "run"];

/// A process that is killed with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program with an environment of its own and waits until its model is loaded.
fn started(root: &Path, home: &Path) -> Started {
    let config = root.join("config.json");
    let model = format!(
        "file://{}/tests/models/linear.onnx",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = format!(
        r#"{{"service":"a/b","revision":"b-1","models":[{{"name":"m","version":"1","source":{{"uri":"{model}"}}}}]}}"#
    );
    std::fs::write(&config, text).unwrap();
    let at = |folder: &str| root.join(folder);
    let child = Command::new(env!("CARGO_BIN_EXE_serin-dataplane"))
        .arg("--config")
        .arg(&config)
        .args([
            "--bind",
            "127.0.0.1",
            "--http-port",
            "0",
            "--admin-port",
            "0",
            "--grpc-port",
            "0",
        ])
        .arg("--cache-dir")
        .arg(at("kept"))
        .current_dir(at("work"))
        .env_clear()
        .env("SERIN_ONNXRUNTIME", runtime().path())
        .env("HOME", home)
        .env("TMPDIR", at("tmp"))
        .env("XDG_CACHE_HOME", at("cache"))
        .env("XDG_CONFIG_HOME", at("config"))
        .env("XDG_DATA_HOME", at("data"))
        .env("XDG_RUNTIME_DIR", at("run"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut started = Started(child);
    let lines = BufReader::new(started.0.stderr.take().unwrap()).lines();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let mut said = Vec::new();
    loop {
        match receive.recv_timeout(Duration::from_secs(30)) {
            Ok(line) if line.contains("model loaded") => return started,
            Ok(line) => said.push(line),
            Err(_) => panic!("no model was loaded: {said:#?}"),
        }
    }
}

#[test]
fn loading_and_running_a_model_leaves_no_file_and_opens_no_connection() {
    let root = tempfile::tempdir().unwrap();
    for folder in FOLDERS {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    let started = started(root.path(), &root.path().join("home"));
    for folder in FOLDERS {
        assert_eq!(
            files(&root.path().join(folder)),
            [] as [String; 0],
            "in {folder}"
        );
    }
    // What the data plane itself keeps: that the model has passed its trial.
    assert_eq!(files(&root.path().join("kept")), ["tried"]);
    let open = std::fs::read_dir(format!("/proc/{}/fd", started.0.id()))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.to_string_lossy().into_owned());
    let databases: Vec<String> = open.filter(|target| target.contains(".db")).collect();
    assert_eq!(databases, [] as [String; 0]);
    assert_eq!(outgoing(started.0.id()), [] as [String; 0]);
}

#[test]
fn a_home_that_cannot_be_written_to_is_no_obstacle() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("work")).unwrap();
    // No other folder exists, and none can be made under /proc.
    started(root.path(), Path::new("/proc/none"));
}

fn files(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// Connections of the process that go somewhere: rows of /proc/net/tcp that are its own and whose
/// remote port is not 0.
fn outgoing(process: u32) -> Vec<String> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|target| {
            let text = target.to_string_lossy().into_owned();
            Some(text.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    ["tcp", "tcp6"]
        .iter()
        .flat_map(|table| {
            let rows = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap();
            rows.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|row| {
            let columns: Vec<&str> = row.split_whitespace().collect();
            let connected = columns
                .get(2)
                .is_some_and(|remote| !remote.ends_with(":0000"));
            connected
                && columns
                    .get(9)
                    .is_some_and(|inode| sockets.iter().any(|socket| socket == inode))
        })
        .collect()
}
