#![allow(
    clippy::needless_pass_by_value,
    reason = "json!({...}) reads best as an owned argument"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::*;

fn source() -> Source {
    Source::ConfigMap {
        name: "iris-model".into(),
        key: Some("iris.onnx".into()),
    }
}

fn pod(status: Value) -> Arc<Pod> {
    let pod = json!({"metadata": {"name": "iris-1-x"}, "status": status});
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn reported(pod: &str, report: Value) -> (String, Arc<StatusReport>) {
    let report = serde_json::from_value(report).unwrap();
    (pod.to_owned(), Arc::new(report))
}

fn container_in(state: Value) -> Value {
    json!({"containerStatuses": [{
        "name": "server", "image": "serin-dataplane:1", "imageID": "", "ready": false,
        "restartCount": 3, "state": state,
    }]})
}

fn waiting(reason: &str) -> Value {
    container_in(json!({"waiting": {"reason": reason, "message": "kubelet's words"}}))
}

fn ended(exit_code: i32, reason: &str, message: &str) -> Value {
    container_in(
        json!({"terminated": {"exitCode": exit_code, "reason": reason, "message": message}}),
    )
}

fn unplaced(seconds: i64, message: &str) -> Value {
    let since = Timestamp::from_second(seconds).unwrap().to_string();
    json!({"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": message, "lastTransitionTime": since,
    }]})
}

fn found_in(revision: &ObservedRevision, state: SourceState) -> Option<Issue> {
    let now = Timestamp::from_second(1000).unwrap();
    issue("iris-1", revision, &source(), state, now)
}

fn found(status: Value) -> Option<Issue> {
    let revision = ObservedRevision {
        pods: vec![pod(status)],
        ..ObservedRevision::default()
    };
    found_in(&revision, SourceState::NotAsked)
}

#[test]
fn each_state_of_a_pod_has_its_reason_and_says_what_to_do() {
    let panicked = ended(101, "Error", "thread 'main' panicked");
    let cases = [
        (
            waiting("ErrImagePull"),
            Reason::ImagePullFailed,
            true,
            "imagePullSecrets",
        ),
        (
            waiting("ImagePullBackOff"),
            Reason::ImagePullFailed,
            true,
            "serin-dataplane:1",
        ),
        (
            waiting("CreateContainerConfigError"),
            Reason::MissingReference,
            true,
            "kubelet's words",
        ),
        (
            ended(1, "Error", "iris.onnx is no ONNX model"),
            Reason::LoadFailed,
            true,
            "iris.onnx is no ONNX model",
        ),
        (
            ended(
                1,
                "Error",
                "{\"level\":\"error\",\"message\":\"404 from h\"}\n",
            ),
            Reason::LoadFailed,
            true,
            "404 from h",
        ),
        (
            ended(1, "Error", ""),
            Reason::CrashLooping,
            true,
            "--previous",
        ),
        (panicked, Reason::CrashLooping, true, "exit code 101"),
        (
            ended(137, "OOMKilled", ""),
            Reason::CrashLooping,
            true,
            "limits.memory",
        ),
        (
            unplaced(900, "0/1 nodes: 1 Insufficient cpu."),
            Reason::Unschedulable,
            true,
            "Insufficient cpu. Lower",
        ),
        (
            unplaced(990, "0/1 nodes: 1 Insufficient cpu."),
            Reason::Unschedulable,
            false,
            "add a node",
        ),
    ];
    for (status, reason, stalled, part) in cases {
        let issue = found(status.clone()).unwrap_or_else(|| panic!("{status}"));
        assert_eq!((issue.reason, issue.stalled), (reason, stalled), "{status}");
        assert!(issue.message.contains(part), "{}", issue.message);
    }
}

#[test]
fn a_healthy_or_merely_starting_pod_is_no_trouble() {
    for status in [
        waiting("ContainerCreating"),
        container_in(json!({"running": {}})),
        ended(0, "Completed", "bye"),
        json!({}),
    ] {
        assert_eq!(found(status), None);
    }
}

#[test]
fn a_failure_stays_known_while_the_container_starts_again() {
    let mut status = container_in(json!({"running": {}}));
    status["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 1, "message": "no such file"}});
    assert_eq!(found(status).unwrap().reason, Reason::LoadFailed);
}

#[test]
fn a_missing_configmap_or_key_is_named() {
    let revision = ObservedRevision {
        pods: vec![pod(waiting("ContainerCreating"))],
        ..ObservedRevision::default()
    };
    let message = |state| found_in(&revision, state).map(|issue| issue.message);
    let waits = found_in(&revision, SourceState::NoConfigMap).unwrap();
    assert!(!waits.stalled, "it may be applied in a moment");
    assert!(
        message(SourceState::NoConfigMap)
            .unwrap()
            .contains("ConfigMap iris-model")
    );
    assert!(
        message(SourceState::NoKey)
            .unwrap()
            .contains("key iris.onnx")
    );
    assert_eq!(message(SourceState::Present), None);
}

#[test]
fn what_the_api_server_and_the_deployment_say_is_passed_on() {
    let deployment = |type_: &str, status: &str| -> ObservedRevision {
        let object: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "iris-1"},
            "spec": {"selector": {}, "template": {}},
            "status": {"conditions": [{"type": type_, "status": status, "message": "exceeded quota: q"}]},
        }))
        .unwrap();
        ObservedRevision {
            deployment: Some(Arc::new(object)),
            ..ObservedRevision::default()
        }
    };
    let reason = |revision| found_in(&revision, SourceState::NotAsked).map(|issue| issue.reason);
    assert_eq!(
        reason(deployment("ReplicaFailure", "True")),
        Some(Reason::PodsRefused)
    );
    assert_eq!(
        reason(deployment("Progressing", "False")),
        Some(Reason::DeadlineExceeded)
    );
    assert_eq!(reason(deployment("Progressing", "True")), None);
}

#[test]
fn what_a_running_pod_says_of_itself_is_believed() {
    let saying = |phase: &str, message: &str| {
        let report = json!({"phase": phase, "message": message});
        let revision = ObservedRevision {
            reports: BTreeMap::from([reported("iris-1-x", report)]),
            ..ObservedRevision::default()
        };
        found_in(&revision, SourceState::NotAsked)
    };
    for phase in ["Starting", "Loading", "Warming"] {
        let said = "https://h/m: connection refused, trying again";
        let loading = saying(phase, said).unwrap();
        assert_eq!((loading.reason, loading.stalled), (Reason::Loading, false));
        assert!(loading.message.contains("connection refused"));
    }
    let silent = saying("Loading", "").unwrap();
    assert!(silent.message.contains("the model is being loaded"));
    for phase in ["Ready", "Draining", "Stopped"] {
        assert_eq!(saying(phase, ""), None, "{phase}");
    }
}

#[test]
fn a_fetch_that_is_tried_again_and_again_calls_for_help_after_a_while() {
    let tried_since = |second: i64| {
        let started = Timestamp::from_second(second).unwrap().to_string();
        let report = json!({
            "phase": "Loading", "message": "model 'iris': https://models.invalid cannot be fetched",
            "models": [{"name": "iris", "version": "1", "ready": false, "reason": "cannot be fetched"}],
        });
        let revision = ObservedRevision {
            pods: vec![pod(container_in(
                json!({"running": {"startedAt": started}}),
            ))],
            reports: BTreeMap::from([reported("iris-1-x", report)]),
            ..ObservedRevision::default()
        };
        found_in(&revision, SourceState::NotAsked).unwrap()
    };
    let fresh = tried_since(995);
    assert_eq!((fresh.reason, fresh.stalled), (Reason::LoadFailed, false));
    assert!(tried_since(980).stalled);
    assert!(fresh.message.contains("models.invalid"));
}

#[test]
fn a_missing_claim_is_named() {
    let revision = ObservedRevision {
        pods: vec![pod(unplaced(
            900,
            "0/1 nodes are available: persistentvolumeclaim \"models\" not found. not found",
        ))],
        ..ObservedRevision::default()
    };
    let source = Source::Pvc {
        claim: "models".into(),
        path: "m.onnx".into(),
    };
    let now = Timestamp::from_second(1000).unwrap();
    let found = issue("iris-1", &revision, &source, SourceState::NotAsked, now).unwrap();
    assert_eq!(found.reason, Reason::MissingReference);
    assert!(
        found.message.contains("PersistentVolumeClaim models"),
        "{}",
        found.message
    );
}

/// A pod that its node evicted; the kubelet's own fields.
fn evicted(name: &str, finished: i64) -> Arc<Pod> {
    let at = Timestamp::from_second(finished).unwrap().to_string();
    let mut status = container_in(json!({"terminated": {
        "exitCode": 137, "reason": "Error", "finishedAt": at,
    }}));
    status["phase"] = json!("Failed");
    status["reason"] = json!("Evicted");
    status["message"] = json!("Usage of EmptyDir volume \"cache\" exceeds the limit \"10Gi\". ");
    let pod = json!({"metadata": {"name": name}, "status": status});
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn found_among(pods: Vec<Arc<Pod>>) -> Option<Issue> {
    let revision = ObservedRevision {
        pods,
        ..ObservedRevision::default()
    };
    found_in(&revision, SourceState::NotAsked)
}

#[test]
fn an_evicted_pod_is_no_trouble_once_another_one_is_in_its_place() {
    let serving = pod(json!({"phase": "Running", "containerStatuses": [{
        "name": "server", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {}},
    }]}));
    assert_eq!(found_among(vec![evicted("a", 500), serving]), None);
    let starting = pod(waiting("ContainerCreating"));
    assert_eq!(found_among(vec![evicted("a", 500), starting]), None);
}

#[test]
fn an_evicted_pod_does_not_hide_what_keeps_the_live_one_from_answering() {
    let waits = pod(unplaced(900, "0/1 nodes: 1 Insufficient cpu."));
    let found = found_among(vec![evicted("a", 500), waits]).unwrap();
    assert_eq!(found.reason, Reason::Unschedulable);
    let failed = pod(ended(1, "Error", "iris.onnx is no ONNX model"));
    let found = found_among(vec![evicted("a", 500), failed]).unwrap();
    assert_eq!(found.reason, Reason::LoadFailed);
}

#[test]
fn where_only_evicted_pods_are_left_the_latest_says_why() {
    let found = found_among(vec![evicted("b", 900), evicted("a", 500)]).unwrap();
    assert_eq!((found.reason, found.stalled), (Reason::CrashLooping, true));
    let quoted = "pod b (Evicted: Usage of EmptyDir volume \"cache\" exceeds the limit \"10Gi\")";
    assert!(found.message.contains(quoted), "{}", found.message);
    let fresh = found_among(vec![evicted("a", 995)]).unwrap();
    assert!(!fresh.stalled, "another pod is on its way");
}

#[test]
fn pods_that_are_evicted_one_after_the_other_while_loading_say_so() {
    let report = json!({"phase": "Loading", "message": "fetching", "models": []});
    let mut revision = ObservedRevision {
        pods: vec![evicted("a", 500), pod(container_in(json!({"running": {}})))],
        reports: BTreeMap::from([reported("iris-1-x", report)]),
        ..ObservedRevision::default()
    };
    let found = found_in(&revision, SourceState::NotAsked).unwrap();
    assert_eq!((found.reason, found.stalled), (Reason::Loading, false));
    assert!(
        found
            .message
            .contains("fetching; before, the cluster ended pod a (Evicted: Usage"),
        "{}",
        found.message
    );
    let serves = json!({
        "metadata": {"name": "iris-1"}, "spec": {"selector": {}, "template": {}},
        "status": {"readyReplicas": 1},
    });
    revision.deployment = Some(Arc::new(serde_json::from_value(serves).unwrap()));
    let found = found_in(&revision, SourceState::NotAsked).unwrap();
    assert!(!found.message.contains("Evicted"), "{}", found.message);
}

#[test]
fn a_configmap_that_only_an_evicted_pod_waited_for_is_not_missed() {
    let mut status = waiting("ContainerCreating");
    status["phase"] = json!("Failed");
    let revision = ObservedRevision {
        pods: vec![pod(status), pod(container_in(json!({"running": {}})))],
        ..ObservedRevision::default()
    };
    assert_eq!(found_in(&revision, SourceState::NoConfigMap), None);
}
