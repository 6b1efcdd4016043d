//! Hostile models served beside a good one: each is refused or bounded, nothing outside of its
//! folder is opened, and the good model answers throughout.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod harness;
#[path = "support/server.rs"]
mod server;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::Client;
use rustix::fs::inotify;
use serde::Deserialize;
use serde_json::{Value, json};
use server::{Server, children, settled, until};

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
        assert!(begun.elapsed() < server::PATIENCE, "{}", server.log());
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
