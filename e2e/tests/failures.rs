//! What cannot work says what is wrong, where, and what to do.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};
use serin_crds::{ConditionType, InferenceService, Reason};
use serin_e2e::service::{Kstatus, Wanted, condition, kstatus};
use serin_e2e::{ClientPod, TestNamespace, examples, seconds, world};

fn source(uri: &str) -> Value {
    json!({"model": {"source": {"uri": uri, "digest": null}}})
}

const fn stalled(reason: Reason) -> Wanted {
    Wanted {
        type_: ConditionType::Stalled,
        status: "True",
        reason: Some(reason),
    }
}

/// Whatever failed: the generation that was looked at, and no claim to serve.
fn assert_honest(service: &InferenceService) {
    let generation = service.metadata.generation;
    for found in &service.status.as_ref().unwrap().conditions {
        assert_eq!(found.observed_generation, generation, "{found:?}");
    }
    assert_eq!(kstatus(service), Kstatus::Failed);
    let ready = condition(service, ConditionType::Ready).unwrap();
    assert_eq!(ready.status, "False", "{ready:?}");
}

/// Applies an iris service with a changed spec, waits until it is stalled for `reason`, and looks
/// for `told` in the message.
async fn fails(
    namespace: &TestNamespace,
    fields: Value,
    reason: Reason,
    told: &[&str],
) -> Condition {
    namespace.apply(&examples::iris_with(&fields));
    let (service, found) = namespace
        .reaches("iris", &stalled(reason), seconds(90))
        .await;
    assert_honest(&service);
    for wanted in told {
        assert!(
            found.message.contains(wanted),
            "{wanted:?} is not in {:?}",
            found.message
        );
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_that_is_not_there_is_named_and_its_arrival_heals() {
    let namespace = TestNamespace::new(world(), "no-map").await;
    fails(
        &namespace,
        json!({}),
        Reason::MissingReference,
        &["ConfigMap", "iris-model"],
    )
    .await;
    namespace.apply_model("iris");
    namespace.ready("iris", seconds(180)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_config_map_lacks_is_named() {
    let namespace = TestNamespace::new(world(), "no-key").await;
    namespace.apply_model("iris");
    fails(
        &namespace,
        source("configmap://iris-model/wrong.onnx"),
        Reason::MissingReference,
        &["iris-model", "wrong.onnx"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_exist_is_named() {
    let namespace = TestNamespace::new(world(), "no-host").await;
    fails(
        &namespace,
        source("https://models.invalid/iris.onnx?token=secret"),
        Reason::LoadFailed,
        &["models.invalid"],
    )
    .await;
    let text = namespace.kubectl(&[
        "get",
        "inferenceservice",
        "iris",
        "--output",
        "jsonpath={.status}",
    ]);
    assert!(
        !text.expect_success().contains("secret"),
        "the query of a URI is nobody's business"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_with_the_setting_that_would_allow_it() {
    let namespace = TestNamespace::new(world(), "private").await;
    fails(
        &namespace,
        source("https://10.96.0.1/iris.onnx"),
        Reason::LoadFailed,
        &["10.96.0.1"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_onnx_model_is_named() {
    let namespace = TestNamespace::new(world(), "no-onnx").await;
    namespace.apply_config_map("notes", "notes.onnx", "These are my notes, not a model.");
    fails(
        &namespace,
        source("configmap://notes/notes.onnx"),
        Reason::LoadFailed,
        &["configmap://notes/notes.onnx", "ONNX"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_does_not_match_shows_both() {
    let namespace = TestNamespace::new(world(), "digest").await;
    namespace.apply_model("iris");
    let declared = examples::iris_service("iris")["spec"]["model"]["source"]["digest"].clone();
    let wrong = format!("sha256:{}", "0".repeat(64));
    fails(
        &namespace,
        json!({"model": {"source": {"digest": wrong}}}),
        Reason::LoadFailed,
        &[&wrong, declared.as_str().unwrap()],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_no_node_can_take_says_what_is_short() {
    let namespace = TestNamespace::new(world(), "cpu").await;
    namespace.apply_model("iris");
    fails(
        &namespace,
        json!({"resources": {"requests": {"cpu": "1000"}, "limits": null}}),
        Reason::Unschedulable,
        &["cpu"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_where_there_is_none_says_so() {
    let namespace = TestNamespace::new(world(), "gpu").await;
    namespace.apply_model("iris");
    fails(
        &namespace,
        json!({"gpu": {"count": 1}}),
        Reason::Unschedulable,
        &["nvidia.com/gpu"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_the_laptop_is_refused_with_what_to_use_instead() {
    let namespace = TestNamespace::new(world(), "file").await;
    let found = fails(
        &namespace,
        source("file:///home/me/iris.onnx"),
        Reason::InvalidSpec,
        &["spec.model.source.uri", "configmap://"],
    )
    .await;
    assert!(
        namespace.deployments_of("iris").await.is_empty(),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_leaves_no_room_is_quoted() {
    let namespace = TestNamespace::new(world(), "quota").await;
    namespace.apply_model("iris");
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {"requests.memory": "10Mi"}}
    }));
    fails(
        &namespace,
        json!({}),
        Reason::PodsRefused,
        &["small", "memory"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_somebody_elses_is_left_alone() {
    let namespace = TestNamespace::new(world(), "conflict").await;
    namespace.apply_model("iris");
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "iris"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}
    }));
    fails(
        &namespace,
        json!({}),
        Reason::NameConflict,
        &["Service", "iris"],
    )
    .await;
    let selector = namespace.kubectl(&[
        "get",
        "service",
        "iris",
        "--output",
        "jsonpath={.spec.selector}",
    ]);
    assert_eq!(selector.expect_success(), r#"{"app":"theirs"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_previous_version_serves_while_the_new_one_cannot_load() {
    let namespace = TestNamespace::new(world(), "fallback").await;
    namespace.apply_model("iris");
    namespace.apply(&examples::iris_service("iris"));
    namespace.ready("iris", seconds(90)).await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    let (body, expected) = examples::iris_request("setosa");

    namespace.apply_config_map("notes", "notes.onnx", "These are my notes, not a model.");
    let broken = json!({"model": {"version": "2", "source": {
        "uri": "configmap://notes/notes.onnx", "digest": null
    }}});
    fails(&namespace, broken, Reason::LoadFailed, &["notes.onnx"]).await;
    let service = namespace.service("iris").await;
    assert_eq!(service.metadata.generation, Some(2));
    let available = condition(&service, ConditionType::Available).unwrap();
    assert_eq!(available.status, "True", "{available:?}");
    assert_eq!(service.status.unwrap().version.as_deref(), Some("1"));
    for _ in 0..5 {
        let answer = client.infer("iris", &body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["model_version"], expected["model_version"]);
    }

    // Back to what worked: nothing has to start for it.
    let before: Vec<_> = namespace
        .pods_of("iris")
        .await
        .into_iter()
        .filter(is_ready)
        .filter_map(|pod| pod.metadata.name)
        .collect();
    namespace.apply(&examples::iris_service("iris"));
    let service = namespace.ready("iris", seconds(30)).await;
    assert_eq!(service.metadata.generation, Some(3));
    let after: Vec<_> = namespace
        .pods_of("iris")
        .await
        .into_iter()
        .filter(is_ready)
        .filter_map(|pod| pod.metadata.name)
        .collect();
    assert_eq!(before, after);
}

fn is_ready(pod: &k8s_openapi::api::core::v1::Pod) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
