use serde_json::{Value, json};

use super::*;
use crate::testing::fake_pod::FakePod;

const LOADING: &str = r#"{"phase":"Loading","message":"fetching"}"#;

/// A pod of service iris that runs and is not ready.
fn pod(name: &str, address: IpAddr) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "demo", "uid": format!("uid-of-{name}"),
            "labels": {"serin.dev/service": "iris", "serin.dev/revision": "iris-1"},
        },
        "status": {"podIP": address.to_string(), "containerStatuses": [{
            "name": "server", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {}},
        }]},
    })
}

fn pods(pods: &[Value]) -> Vec<Arc<Pod>> {
    let pods = pods.iter().cloned();
    pods.map(|pod| Arc::new(serde_json::from_value(pod).unwrap()))
        .collect()
}

fn iris() -> ObjectRef<Guarded> {
    ObjectRef::new("iris").within("demo")
}

fn message(reports: &Reports, pods: &[Arc<Pod>], name: &str) -> Option<String> {
    let reports = reports.of(pods);
    reports.get(name).map(|report| report.message.clone())
}

#[tokio::test]
async fn a_service_is_woken_when_what_its_pod_reports_has_changed() {
    let server = FakePod::start(LOADING).await;
    let client = PodClient::new(server.address.port());
    let reports = Reports::default();
    let pods = pods(&[pod("a", server.address.ip())]);
    assert_eq!(round(&pods, &client, &reports).await, [iris()]);
    assert_eq!(message(&reports, &pods, "a").as_deref(), Some("fetching"));
    assert_eq!(round(&pods, &client, &reports).await, [], "nothing new");
    server.says(r#"{"phase":"Warming","message":"warming"}"#);
    assert_eq!(round(&pods, &client, &reports).await, [iris()]);
    assert_eq!(message(&reports, &pods, "a").as_deref(), Some("warming"));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_task_wakes_passes_and_ends_with_the_one_who_listens() {
    let server = FakePod::start(LOADING).await;
    let (store, mut writer) = kube::runtime::reflector::store();
    let pod = serde_json::from_value(pod("a", server.address.ip())).unwrap();
    writer.apply_watcher_event(&kube::runtime::watcher::Event::Apply(pod));
    let reports = Arc::new(Reports::default());
    let (wake, mut woken) = mpsc::channel(1);
    let client = PodClient::new(server.address.port());
    let task = tokio::spawn(poll(store, client, Arc::clone(&reports), wake));
    assert_eq!(woken.recv().await, Some(iris()));
    drop(woken);
    task.await.unwrap();
}

#[tokio::test]
async fn the_last_report_is_kept_while_a_pod_says_nothing_and_dropped_when_it_is_gone() {
    let server = FakePod::start(LOADING).await;
    let client = PodClient::new(server.address.port());
    let reports = Reports::default();
    let there = pods(&[pod("a", server.address.ip())]);
    round(&there, &client, &reports).await;
    server.says("nonsense");
    assert_eq!(round(&there, &client, &reports).await, []);
    assert!(message(&reports, &there, "a").is_some());
    assert_eq!(round(&[], &client, &reports).await, []);
    assert_eq!(message(&reports, &there, "a"), None);
}

#[tokio::test]
async fn only_pods_that_run_and_are_not_ready_are_asked() {
    let server = FakePod::start(LOADING).await;
    let client = PodClient::new(server.address.port());
    let reports = Reports::default();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut pod = pod("a", server.address.ip());
        change(&mut pod);
        pods(&[pod])
    };
    let state = |pod: &mut Value, field: &str, value: Value| {
        pod["status"]["containerStatuses"][0][field] = value;
    };
    for needless in [
        changed(&|pod| state(pod, "ready", json!(true))),
        changed(&|pod| {
            state(
                pod,
                "state",
                json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            );
        }),
        changed(&|pod| pod["status"]["phase"] = json!("Failed")),
        changed(&|pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z")),
    ] {
        assert_eq!(round(&needless, &client, &reports).await, []);
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn of_many_pods_of_one_revision_a_few_are_asked_and_wake_once() {
    let server = FakePod::start(LOADING).await;
    let client = PodClient::new(server.address.port());
    let reports = Reports::default();
    let names = ["a", "b", "c", "d", "e"];
    let many = pods(&names.map(|name| pod(name, server.address.ip())));
    assert_eq!(round(&many, &client, &reports).await, [iris()]);
    assert_eq!(server.requests(), PODS_PER_REVISION);
}
