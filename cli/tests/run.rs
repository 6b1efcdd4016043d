//! `serin run` as a user runs it: the real program, real models, real ports. Needs ONNX Runtime:
//! `serin runtime install` brings it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_secs(60);

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name)
}

/// `serin run` on free ports; killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Running {
    fn start(files: &[&Path]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_serin"))
            .args(["run", "--http-port=0", "--grpc-port=0", "--admin-port=0"])
            .arg("-f")
            .args(files)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
        for stream in [stdout, stderr] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Reads what the program prints until it has said `end`, or fails with what it said instead.
    fn wait_for(&mut self, end: &str) {
        while !self.said.contains(end) {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => self.said.push_str(&format!("{line}\n")),
                Err(_) => panic!("never said {end:?}, but {:?}", self.said),
            }
        }
    }

    fn interrupt(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < DEADLINE, "does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The curl command that `said` tells for a model, taken apart as a shell would: URL and body.
fn pasted(said: &str, model: &str) -> (String, String) {
    let command = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("try it: curl -s "))
        .find(|line| {
            line.contains(&format!("/v2/models/{model}/infer"))
                || line.contains("/v1/embeddings") && line.contains(model)
        })
        .unwrap();
    let (url, body) = command.split_once(" -d ").unwrap();
    let body = match body.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).unwrap(),
        None => body.trim_matches('\'').to_owned(),
    };
    (url.to_owned(), body)
}

fn post(url: &str, body: &str) -> String {
    ask("POST", url, body)
}

fn ask(method: &str, url: &str, body: &str) -> String {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_request_that_is_told_is_answered_and_ctrl_c_ends_it_well() {
    let (iris, digits) = (example("iris"), example("digits"));
    let mut running = Running::start(&[&iris, &digits]);
    running.wait_for("Ctrl-C ends it");
    let (url, body) = pasted(&running.said, "iris");
    let answer = post(&url, &body);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("setosa"),
        "{answer}"
    );
    let (url, body) = pasted(&running.said, "digits");
    assert!(post(&url, &body).starts_with("HTTP/1.1 200"));
    assert!(running.interrupt().success());
}

#[test]
fn the_embedder_of_a_configmap_without_a_key_embeds() {
    let mut running = Running::start(&[&example("embedder")]);
    running.wait_for("Ctrl-C ends it");
    let (url, body) = pasted(&running.said, "embedder");
    assert!(url.ends_with("/v1/embeddings"), "{url}");
    let answer = post(&url, &body);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"prompt_tokens\":17"),
        "{answer}"
    );
    assert!(running.interrupt().success());
}

#[test]
fn without_a_request_beside_it_one_is_made_from_the_model() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["inferenceservice.yaml", "model-configmap.yaml"] {
        std::fs::copy(example("iris").join(file), folder.path().join(file)).unwrap();
    }
    let mut running = Running::start(&[folder.path()]);
    running.wait_for("Ctrl-C ends it");
    let (url, body) = pasted(&running.said, "iris");
    assert!(
        body.contains("\"name\":\"measurements\"") && body.contains("[1,4]"),
        "{body}"
    );
    let answer = post(&url, &body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(running.interrupt().success());
}

#[test]
fn a_file_of_this_machine_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("flowers.yaml");
    let model = example("iris").join("iris.onnx").canonicalize().unwrap();
    std::fs::write(
        &manifest,
        format!(
            "apiVersion: serin.dev/v1alpha1\nkind: InferenceService\nmetadata: {{name: flowers}}\nspec: {{model: {{source: {{uri: 'file://{}'}}}}}}\n",
            model.display()
        ),
    )
    .unwrap();
    let mut running = Running::start(&[&manifest]);
    running.wait_for("Ctrl-C ends it");
    let (url, body) = pasted(&running.said, "flowers");
    assert!(post(&url, &body).starts_with("HTTP/1.1 200"));
    assert!(running.interrupt().success());
}

#[test]
fn a_changed_policy_is_reloaded_and_what_needs_a_restart_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["inferenceservice.yaml", "model-configmap.yaml"];
    for file in files {
        std::fs::copy(example("iris").join(file), folder.path().join(file)).unwrap();
    }
    let manifest = folder.path().join(files[0]);
    let first = std::fs::read_to_string(&manifest).unwrap();
    let write = |text: &str| {
        let beside = folder.path().join("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, &manifest).unwrap();
    };
    let mut running = Running::start(&[folder.path()]);
    running.wait_for("Ctrl-C ends it");
    let (url, body) = pasted(&running.said, "iris");

    let changed = format!("{first}  telemetry: {{compatMetrics: [Triton]}}\n");
    write(&changed);
    running.wait_for(
        "note: the policy is reloaded: telemetry.compatMetrics [\"VLLM\"] -> [\"Triton\"]\n",
    );
    let base = url.split("/v2/").next().unwrap();
    let page = ask("GET", &format!("{base}/metrics"), "");
    assert!(
        page.contains("nv_inference_count") && !page.contains("vllm:"),
        "{page}"
    );

    write(&format!("{changed}  api: {{nonFinite: Nul}}\n"));
    running.wait_for("note: the last good policy stays in force");
    assert!(running.said.contains("spec.api.nonFinite: "));
    assert!(
        running
            .said
            .contains(&format!("error: {}:", manifest.display()))
    );

    let other = first.replace("version: \"1\"", "version: \"2\"");
    write(&format!("{other}  api: {{nonFinite: Error}}\n"));
    running.wait_for("has another spec.model; restart serin run to apply");
    running.wait_for("api.nonFinite \"String\" -> \"Error\"");
    assert!(post(&url, &body).starts_with("HTTP/1.1 200"));
    assert!(running.interrupt().success());
}

#[test]
fn a_port_that_is_taken_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--http-port={}", taken.local_addr().unwrap().port());
    let output = Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(["run", "--grpc-port=0", "--admin-port=0", &port, "-f"])
        .arg(example("iris"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--http-port"), "{said}");
}

#[test]
fn without_onnx_runtime_the_cure_is_told_before_anything_starts() {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(["run", "--runtime-library", "/no/such/library.so", "-f"])
        .arg(example("iris"))
        .env("XDG_CACHE_HOME", empty.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("/no/such/library.so") && said.contains("serin runtime install"),
        "{said}"
    );
}

#[test]
fn a_web_page_gets_nothing_from_the_machine_of_its_reader() {
    let mut running = Running::start(&[&example("iris")]);
    running.wait_for("try it: ");
    let (url, body) = pasted(&running.said, "iris");
    let host = url
        .strip_prefix("http://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    for (named, origin, code) in [
        ("evil.example", "", "host_not_allowed"),
        (
            host,
            "Origin: https://evil.example\r\n",
            "cross_site_request",
        ),
    ] {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(
            stream,
            "POST /v2/models/iris/infer HTTP/1.1\r\nHost: {named}\r\n{origin}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains(code), "{answer}");
    }
    assert!(post(&url, &body).starts_with("HTTP/1.1 200"));
}
