//! A policy that changes while a process serves: later requests follow it, and no connection and no
//! request under way is disturbed. With the real ONNX Runtime.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod harness;

use std::fs;
use std::time::{Duration, Instant};

use harness::{Answer, Client, PATIENCE};
use serin_crds::contract::pod_config::{ModelConfig, PodConfig, SourceConfig};
use serin_dataplane::config::Options;
use serin_dataplane::policy::{Document, PolicyInput};
use serin_dataplane::server::shutdown::{Stop, Trigger, channel};
use serin_dataplane::{Running, ServeError, serve};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const INFER: &str = "/v2/models/echo/infer";
const BODY: &str = r#"{"inputs":[{"name":"X","shape":[1,2],"datatype":"FP32","data":["NaN",1]}]}"#;

/// A process that serves `echo`, and the folder of its policy.
struct Process {
    running: Running,
    trigger: Trigger,
    served: JoinHandle<Result<(), ServeError>>,
    folder: tempfile::TempDir,
}

async fn start(policy: &str) -> Process {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy).unwrap();
    let options = Options {
        cache_dir: folder.path().to_owned(),
        local_mode: true,
        local_names: vec!["serin".to_owned()],
        model_trial: false,
        lame_duck: Duration::ZERO,
        ..harness::options()
    };
    let model = ModelConfig {
        name: "echo".to_owned(),
        version: "1".to_owned(),
        source: SourceConfig {
            uri: format!(
                "file://{}/tests/models/identity_fp32.onnx",
                env!("CARGO_MANIFEST_DIR")
            ),
            path: None,
            digest: None,
            allowed_networks: Vec::new(),
        },
        gpu: false,
        batching: None,
    };
    let config = PodConfig {
        service: "demo/echo".to_owned(),
        revision: "echo-1".to_owned(),
        models: vec![model],
    };
    let input = PolicyInput::file(&file).unwrap();
    let (trigger, shutdown) = channel();
    let (started, running) = oneshot::channel();
    let served = tokio::spawn(serve(options, config, input, shutdown, |running| {
        let _ = started.send(running);
    }));
    let mut running = running.await.unwrap();
    running.settled.wait_for(|settled| *settled).await.unwrap();
    Process {
        running,
        trigger,
        served,
        folder,
    }
}

impl Process {
    async fn client(&self) -> Client {
        Client::connect(self.running.http_addr).await
    }

    fn set_policy(&self, text: &str) {
        let beside = self.folder.path().join("policy.new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.folder.path().join("policy.json")).unwrap();
    }

    async fn end(self) {
        self.trigger.stop(Stop::Finish);
        self.served.await.unwrap().unwrap();
    }
}

/// Asks again and again on one connection, until an answer is as it should be.
async fn until(client: &mut Client, path: &str, body: &str, right: impl Fn(&Answer) -> bool) {
    let started = Instant::now();
    loop {
        let answer = client.post(path, body).await;
        if right(&answer) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{answer:?}");
    }
}

fn holds(answer: &Answer, data: &str) -> bool {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().contains(data)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_policy_holds_from_the_next_request_on_and_disturbs_none() {
    let process = start("{}").await;
    let mut kept = process.client().await;
    assert!(holds(&kept.post(INFER, BODY).await, r#"["NaN",1"#));
    // Half a request: it is in flight for as long as its body is.
    let (half, rest) = BODY.split_at(BODY.len() / 2);
    let mut in_flight = process.client().await;
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nHost: serin\r\nContent-Length: {}\r\n\r\n{half}",
        BODY.len()
    );
    in_flight.send(head).await;

    let changed = r#"{"api":{"nonFinite":"JSONNull"}}"#;
    process.set_policy(changed);
    until(&mut kept, INFER, BODY, |answer| holds(answer, "[null,1")).await;

    let mut admin = Client::connect(process.running.admin_addr).await;
    let status = admin.get("/statusz").await.json();
    let document = Document::parse(changed.as_bytes()).unwrap();
    assert_eq!(status["policy"]["hash"], document.hash);
    assert!(status["policy"]["ageSeconds"].as_f64().unwrap() < PATIENCE.as_secs_f64());

    in_flight.send(rest).await;
    assert_eq!(in_flight.answer(false).await.status, 200);
    // Its connection is kept as well.
    assert!(holds(&in_flight.post(INFER, BODY).await, "[null,1"));

    // A policy that cannot be used changes nothing; the one after it is in force again.
    process.set_policy(r#"{"api":{"nonFinite":"Nul"}}"#);
    let started = Instant::now();
    let errors = |page: &Answer| page.text().contains("serin_policy_reload_errors_total 1\n");
    while !errors(&admin.get("/metrics").await) {
        assert!(started.elapsed() < PATIENCE, "the error is never counted");
    }
    let status = admin.get("/statusz").await.json();
    let error = status["policy"]["error"].as_str().unwrap();
    assert!(error.contains("line 1: api.nonFinite: "), "{error}");
    assert!(holds(&kept.post(INFER, BODY).await, "[null,1"));
    process.set_policy("{}");
    until(&mut kept, INFER, BODY, |answer| {
        holds(answer, r#"["NaN",1"#)
    })
    .await;
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_may_load_models_while_the_policy_allows_it() {
    const LOAD: &str = "/v2/repository/models/echo/load";
    let process = start("{}").await;
    let mut client = process.client().await;
    assert_eq!(client.post(LOAD, "{}").await.status, 403);
    process.set_policy(r#"{"api":{"repositoryControl":true}}"#);
    until(&mut client, LOAD, "{}", |answer| answer.status == 200).await;
    process.set_policy("{}");
    until(&mut client, LOAD, "{}", |answer| answer.status == 403).await;
    assert_eq!(client.post(INFER, BODY).await.status, 200);
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_other_servers_follow_the_policy() {
    let process = start("{}").await;
    let mut client = process.client().await;
    let page = client.get("/metrics").await;
    assert!(page.text().contains("vllm:num_requests_running"));
    process.set_policy(r#"{"telemetry":{"compatMetrics":["Triton"]}}"#);
    let started = Instant::now();
    loop {
        let page = client.get("/metrics").await;
        let offers = |name| page.text().contains(name);
        if offers("nv_inference_count") && !offers("vllm:") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{}", page.text());
    }
    process.end().await;
}
