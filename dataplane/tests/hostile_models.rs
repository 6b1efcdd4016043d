//! Hostile models served beside a good one: each is refused or bounded, nothing outside of its
//! folder is opened, and the good model answers throughout.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::Client;
use rustix::fs::inotify;
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest time until every model is refused or answers.
const PATIENCE: Duration = Duration::from_secs(120);
/// What models may take together, in MiB; and what the process may hold: that, an eighth for the
/// answers, and itself.
const MODELS_MIB: u64 = 512;
const PROCESS_MIB: u64 = MODELS_MIB + MODELS_MIB / 8 + 160;
const CANARY: &str = "canary that nobody may read";

#[derive(Deserialize)]
struct Case {
    name: String,
    refused: Option<bool>,
    says: String,
    beside: Vec<(String, String, String)>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    input: String,
    data: Vec<i64>,
    says: String,
}

fn hostile() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/hostile")
}

fn cases() -> Vec<Case> {
    let text = fs::read(hostile().join("cases.json")).expect("the cases");
    serde_json::from_slice(&text).expect("cases")
}

/// Puts a case's model into a folder of its own, with what lies beside it.
fn lay(root: &Path, case: &Case) -> PathBuf {
    let folder = root.join(&case.name);
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("model.onnx");
    fs::copy(hostile().join(format!("{}.onnx", case.name)), &file).expect("the model");
    for (kind, name, target) in &case.beside {
        let path = folder.join(name);
        match kind.as_str() {
            "file" => fs::write(&path, target),
            "folder" => fs::create_dir_all(&path),
            "symlink" => std::os::unix::fs::symlink(target, &path),
            "hard_link" => fs::hard_link(folder.join(target), &path),
            "pipe" => rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
                0,
            )
            .map_err(Into::into),
            other => panic!("{other} is not known"),
        }
        .expect("what lies beside");
    }
    file
}

/// The program with models of these names and files.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(models: &[(String, PathBuf)], flags: &[&str]) -> Self {
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

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Where HTTP and the admin port are served.
    async fn addresses(&self) -> (SocketAddr, SocketAddr) {
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
    fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.expect("VmHWM").trim().trim_end_matches(" kB");
        kib.parse::<u64>().expect("a number") >> 10
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    async fn ended(&mut self) -> Option<i32> {
        until("it ends", || self.child.try_wait().expect("a child"))
            .await
            .code()
    }
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
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
fn children(parent: u32) -> Vec<u32> {
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
async fn settled(admin: SocketAddr, models: usize) -> BTreeMap<String, Option<String>> {
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

/// For models that may run for ever.
const SHORT: Duration = Duration::from_secs(2);
/// For the good one, on a machine that they keep busy.
const LONG: Duration = Duration::from_secs(30);

fn request(
    input: &str,
    datatype: &str,
    data: &[i64],
    rows: Option<usize>,
    timeout: Duration,
) -> String {
    let timeout = u64::try_from(timeout.as_micros()).expect("some seconds");
    let shape = rows.map_or_else(
        || json!([data.len()]),
        |rows| json!([rows, data.len() / rows]),
    );
    let input = json!({"name": input, "shape": shape, "datatype": datatype, "data": data});
    json!({"parameters": {"timeout": timeout}, "inputs": [input]}).to_string()
}

/// Asks the good model again and again; how often it answered.
async fn good_answers(http: SocketAddr, stop: Arc<AtomicBool>) -> usize {
    let body = request("X", "FP32", &[1, 2, 3, 4], Some(1), LONG);
    let mut client = Client::connect(http).await;
    let mut answered = 0;
    while !stop.load(Ordering::SeqCst) {
        let answer = client.post("/v2/models/good/infer", &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answered += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_model_is_refused_or_bounded_and_a_good_one_answers_throughout() {
    let root = tempfile::tempdir().expect("a folder");
    let canary = root.path().join("canary");
    fs::write(&canary, CANARY).expect("a file");
    let cases = cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    let good = hostile().join("../linear.onnx");
    let models: Vec<_> = std::iter::once(("good".to_owned(), good))
        .chain(
            cases
                .iter()
                .map(|case| (case.name.clone(), lay(root.path(), case))),
        )
        .collect();
    let watched = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify");
    let events = inotify::WatchFlags::OPEN | inotify::WatchFlags::ACCESS;
    inotify::add_watch(&watched, &canary, events).expect("a watch");

    let memory = format!("--model-memory-mib={MODELS_MIB}");
    let mut server = Server::start(&models, &[&memory, "--model-load-timeout=6s"]);
    let (http, admin) = server.addresses().await;
    // It is the first to be loaded, and the others wait for their turn.
    let begun = Instant::now();
    while Client::connect(http)
        .await
        .get("/v2/models/good/ready")
        .await
        .status
        != 200
    {
        assert!(begun.elapsed() < PATIENCE, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn(good_answers(http, Arc::clone(&stop)));

    let states = settled(admin, models.len()).await;
    for case in &cases {
        let state = &states[&case.name];
        if let Some(refused) = case.refused {
            assert_eq!(state.is_some(), refused, "{}: {state:?}", case.name);
        }
        if let Some(reason) = state {
            assert!(reason.contains(&case.says), "{}: {reason}", case.name);
        }
    }
    for case in &cases {
        for run in &case.runs {
            let datatype = if run.input == "S" { "INT64" } else { "FP32" };
            let body = request(&run.input, datatype, &run.data, None, SHORT);
            let path = format!("/v2/models/{}/infer", case.name);
            let answer = Client::connect(http).await.post(&path, body).await;
            let text = answer.text();
            let place = format!("{} {:?}: {text}", case.name, run.data);
            assert_eq!(answer.status == 200, run.says.is_empty(), "{place}");
            assert!(run.says == "*" || text.contains(&run.says), "{place}");
            assert!(!text.contains(CANARY), "{place}");
        }
    }
    // A loop without end was stopped at its request's deadline: its thread is free again.
    let endless = Client::connect(http)
        .await
        .post(
            "/v2/models/endless_loop/infer",
            request("X", "FP32", &[1], None, SHORT),
        )
        .await;
    assert_eq!(endless.status, 504, "{endless:?}");

    stop.store(true, Ordering::SeqCst);
    let answered = asking.await.expect("the good model answers");
    assert!(answered > 10, "{answered}");
    let peak = server.peak_mib();
    assert!(peak < PROCESS_MIB, "{peak} MiB");
    assert_eq!(children(server.child.id()), [] as [u32; 0]);
    let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
    let mut reader = inotify::Reader::new(watched, &mut buffer);
    let touched = reader.next();
    assert!(
        touched.is_err(),
        "something outside was opened: {touched:?}"
    );
    // The watch sees what it is there for.
    fs::read(&canary).expect("the canary");
    reader.next().expect("an event");
    for line in server.log().lines() {
        serde_json::from_str::<Value>(line).expect("one JSON object a line, whatever names hold");
    }
    server.signal("TERM");
    assert_eq!(server.ended().await, Some(0));
}

#[tokio::test]
async fn a_trial_ends_with_the_process_that_waits_for_it() {
    let root = tempfile::tempdir().expect("a folder");
    let case = cases()
        .into_iter()
        .find(|case| case.name == "multiplied_at_load")
        .expect("the case");
    let models = [("m".to_owned(), lay(root.path(), &case))];
    for signal in ["TERM", "KILL"] {
        let mut server = Server::start(&models, &["--model-load-timeout=10m"]);
        let parent = server.child.id();
        let child = until("a child tries the model", || {
            children(parent).first().copied()
        })
        .await;
        server.signal(signal);
        let code = server.ended().await;
        assert_eq!(code, (signal == "TERM").then_some(0), "{}", server.log());
        let gone = || (!Path::new(&format!("/proc/{child}/exe")).exists()).then_some(());
        until("the child is gone", gone).await;
    }
}
