//! The number of pods: fixed, none, and decided by a real HorizontalPodAutoscaler on real metrics.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use serde_json::{Value, json};
use serin_crds::{ConditionType, InferenceService, Reason};
use serin_e2e::client_pod::infer_url;
use serin_e2e::service::{Kstatus, Wanted, condition, kstatus, status_of};
use serin_e2e::{ClientPod, TestNamespace, World, eventually, examples, seconds, world};
use tokio::sync::RwLock;

/// Who needs the metrics API reads; who takes it away writes.
static METRICS_API: RwLock<()> = RwLock::const_new(());

const METRICS_SERVICE: &str = "v1beta1.metrics.k8s.io";

/// Stopped, because the user said so.
const SUSPENDED: Wanted = Wanted {
    type_: ConditionType::Ready,
    status: "False",
    reason: Some(Reason::Suspended),
};

async fn iris(theme: &str, fields: Value) -> TestNamespace {
    let namespace = TestNamespace::new(world(), theme).await;
    namespace.apply_model("iris");
    namespace.apply(&examples::iris_with(&fields));
    namespace
}

fn autoscaled(least: i32, most: i32, target: i32, window: i32) -> Value {
    json!({
        "replicas": null,
        "resources": {"requests": {"cpu": "50m"}},
        "autoscaling": {
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "CPU", "targetPercent": target}],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 0},
                "scaleDown": {"stabilizationWindowSeconds": window}
            }
        }
    })
}

/// Waits until `count` pods answer and none is on its way in or out.
async fn pods(namespace: &TestNamespace, count: i32, limit: Duration) -> InferenceService {
    eventually(&format!("iris has {count} pods"), limit, || async {
        let service = namespace.service("iris").await;
        let pods = namespace.pods_of("iris").await.len();
        let replicas = status_of(&service).replicas;
        if pods == usize::try_from(count).unwrap() && replicas == Some(count) {
            Ok(service)
        } else {
            Err(format!("{pods} pods, status.replicas {replicas:?}"))
        }
    })
    .await
}

/// Names of all objects of the namespace, of every kind that can be listed. kubectl fails while
/// one registered API does not answer, so the caller must keep the metrics API in place.
fn everything(namespace: &TestNamespace) -> BTreeSet<String> {
    let kinds = world()
        .kubectl(&[
            "api-resources",
            "--namespaced",
            "--verbs=list",
            "--output=name",
        ])
        .expect_success();
    let kinds: Vec<_> = kinds
        .lines()
        .filter(|kind| !kind.starts_with("events") && !kind.contains("metrics.k8s.io"))
        .collect();
    let listed = namespace.kubectl(&["get", &kinds.join(","), "--output=name"]);
    listed.expect_success().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_scales_suspends_resumes_and_deletes_without_a_trace() {
    let _metrics = METRICS_API.read().await;
    let namespace = TestNamespace::new(world(), "size").await;
    namespace.apply_model("iris");
    let before = everything(&namespace);
    namespace.apply(&examples::iris_service("iris"));
    namespace.ready("iris", seconds(90)).await;

    namespace
        .kubectl(&["scale", "sis/iris", "--replicas=3"])
        .expect_success();
    pods(&namespace, 3, seconds(90)).await;
    let service = namespace.ready("iris", seconds(60)).await;
    assert_eq!(status_of(&service).replicas, Some(3));

    namespace
        .kubectl(&["scale", "sis/iris", "--replicas=0"])
        .expect_success();
    pods(&namespace, 0, seconds(90)).await;
    namespace.reaches("iris", &SUSPENDED, seconds(30)).await;
    namespace
        .kubectl(&["scale", "sis/iris", "--replicas=3"])
        .expect_success();
    namespace.ready("iris", seconds(90)).await;

    let suspend = |value: bool| {
        let patch = json!({"spec": {"suspend": value}}).to_string();
        namespace
            .kubectl(&["patch", "sis/iris", "--type=merge", "--patch", &patch])
            .expect_success();
    };
    suspend(true);
    pods(&namespace, 0, seconds(90)).await;
    let (service, ready) = namespace.reaches("iris", &SUSPENDED, seconds(30)).await;
    assert!(ready.message.contains("suspend"), "{}", ready.message);
    for (type_, status) in [
        (ConditionType::Available, "False"),
        (ConditionType::Reconciling, "False"),
        (ConditionType::Stalled, "False"),
    ] {
        assert_eq!(
            condition(&service, type_).unwrap().status,
            status,
            "{type_:?}"
        );
    }

    suspend(false);
    pods(&namespace, 3, seconds(90)).await;
    namespace.ready("iris", seconds(60)).await;

    namespace
        .kubectl(&["delete", "sis/iris", "--wait=false"])
        .expect_success();
    eventually("nothing is left", seconds(90), || async {
        let after = everything(&namespace);
        let left: Vec<_> = after.difference(&before).collect();
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_grows_under_load_and_shrinks_after_it() {
    let _metrics = METRICS_API.read().await;
    let namespace = iris("hpa", autoscaled(1, 3, 60, 5)).await;
    namespace.ready("iris", seconds(90)).await;
    let active = Wanted {
        type_: ConditionType::AutoscalingActive,
        status: "True",
        reason: Some(Reason::MetricsAvailable),
    };
    namespace.reaches("iris", &active, seconds(120)).await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    let (body, _) = examples::iris_request("setosa");

    let load = client.load(&infer_url("iris", "iris"), &body, 4, 0);
    eventually("the load brings more pods", seconds(120), || async {
        let status = status_of(&namespace.service("iris").await);
        let desired = status.autoscaling.map_or(0, |scaling| scaling.desired);
        match status.replicas {
            Some(replicas) if replicas >= 2 && desired >= 2 => Ok(()),
            other => Err(format!(
                "replicas {other:?}, desired {desired}; {:?}",
                load.so_far()
            )),
        }
    })
    .await;
    let report = load.stop();
    assert_eq!(report.failed, 0, "{:?}", report.failures);

    pods(&namespace, 1, seconds(150)).await;
    let service = namespace.ready("iris", seconds(30)).await;
    assert_eq!(status_of(&service).autoscaling.unwrap().current, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaled_service_can_be_suspended_and_resumed() {
    let _metrics = METRICS_API.read().await;
    let mut fields = autoscaled(2, 3, 90, 3600);
    let namespace = iris("hpa-suspend", fields.clone()).await;
    namespace.ready("iris", seconds(90)).await;

    fields["suspend"] = true.into();
    namespace.apply(&examples::iris_with(&fields));
    pods(&namespace, 0, seconds(90)).await;
    namespace.reaches("iris", &SUSPENDED, seconds(30)).await;

    fields["suspend"] = false.into();
    namespace.apply(&examples::iris_with(&fields));
    pods(&namespace, 2, seconds(90)).await;
    namespace.ready("iris", seconds(60)).await;
}

/// The wanted sizes that the Deployments of a namespace had, from the start of the watch on.
struct Sizes {
    seen: Arc<Mutex<Vec<i32>>>,
    watch: tokio::task::JoinHandle<()>,
}

impl Sizes {
    async fn watch(namespace: &TestNamespace) -> Self {
        let api: Api<Deployment> = namespace.api();
        let version = api
            .list(&Default::default())
            .await
            .unwrap()
            .metadata
            .resource_version;
        let version = version.unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let watch = tokio::spawn(async move {
            let events = api.watch(&WatchParams::default(), &version).await.unwrap();
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.try_next().await.unwrap() {
                let size = match event {
                    WatchEvent::Added(deployment) | WatchEvent::Modified(deployment) => {
                        deployment.spec.replicas.unwrap_or(1)
                    }
                    WatchEvent::Deleted(_) => 0,
                    _ => continue,
                };
                sink.lock().unwrap().push(size);
            }
        });
        Self { seen, watch }
    }

    /// The sizes so far; the watch must not have ended before.
    fn end(self) -> Vec<i32> {
        assert!(!self.watch.is_finished(), "the watch ended too early");
        self.watch.abort();
        self.seen.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handing_the_size_to_an_autoscaler_and_back_drops_no_pod() {
    let _metrics = METRICS_API.read().await;
    let namespace = iris("handover", json!({"replicas": 3})).await;
    namespace.ready("iris", seconds(90)).await;
    let sizes = Sizes::watch(&namespace).await;

    let mut bounded = autoscaled(2, 5, 90, 3600);
    bounded["resources"] = json!({});
    namespace.apply(&examples::iris_with(&bounded));
    let active = Wanted {
        type_: ConditionType::AutoscalingActive,
        status: "True",
        reason: None,
    };
    namespace.reaches("iris", &active, seconds(120)).await;
    let service = namespace.ready("iris", seconds(30)).await;
    assert_eq!(status_of(&service).replicas, Some(3));

    namespace.apply(&examples::iris_with(&json!({"replicas": 3})));
    eventually("the autoscaler is gone", seconds(30), || async {
        use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
        let left = namespace.of::<HorizontalPodAutoscaler>("iris").await.len();
        (left == 0)
            .then_some(())
            .ok_or(format!("{left} autoscalers"))
    })
    .await;
    let service = namespace.ready("iris", seconds(30)).await;
    assert_eq!(status_of(&service).autoscaling, None);
    namespace.apply(&examples::iris_with(&json!({"replicas": 4})));
    namespace.ready("iris", seconds(60)).await;

    let seen = sizes.end();
    assert!(seen.contains(&4), "the watch saw nothing: {seen:?}");
    assert!(
        seen.iter().all(|size| *size >= 3),
        "a pod was dropped: {seen:?}"
    );
}

/// The metrics API's registration, put back at the end whatever happens.
struct WithoutMetrics {
    world: &'static World,
    registration: String,
}

impl WithoutMetrics {
    fn begin(world: &'static World) -> Self {
        let found = world
            .kubectl(&["get", "apiservice", METRICS_SERVICE, "--output=json"])
            .expect_success();
        let found: Value = serde_json::from_str(&found).unwrap();
        let registration = json!({
            "apiVersion": found["apiVersion"], "kind": found["kind"],
            "metadata": {"name": METRICS_SERVICE, "labels": found["metadata"]["labels"]},
            "spec": found["spec"],
        })
        .to_string();
        world
            .kubectl(&["delete", "apiservice", METRICS_SERVICE])
            .expect_success();
        Self {
            world,
            registration,
        }
    }
}

impl Drop for WithoutMetrics {
    fn drop(&mut self) {
        let applied = self.world.kubectl_with(
            &["apply", "--filename", "-"],
            &self.registration,
            seconds(30),
        );
        if !applied.success {
            eprintln!(
                "the metrics API is not registered again: {}",
                applied.stderr
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_metrics_api_is_a_condition_and_not_an_outage() {
    let _alone = METRICS_API.write().await;
    let without = WithoutMetrics::begin(world());
    let namespace = iris("no-metrics", autoscaled(1, 3, 60, 5)).await;
    let missing = Wanted {
        type_: ConditionType::AutoscalingActive,
        status: "False",
        reason: Some(Reason::NoMetricsApi),
    };
    let (_, found) = namespace.reaches("iris", &missing, seconds(120)).await;
    assert!(
        found.message.contains("metrics.k8s.io"),
        "{}",
        found.message
    );
    let available = Wanted {
        type_: ConditionType::Available,
        status: "True",
        reason: None,
    };
    let (service, _) = namespace.reaches("iris", &available, seconds(90)).await;
    assert_ne!(
        kstatus(&service),
        Kstatus::Failed,
        "it serves, at its smallest size"
    );

    drop(without);
    let active = Wanted {
        type_: ConditionType::AutoscalingActive,
        status: "True",
        reason: Some(Reason::MetricsAvailable),
    };
    namespace.reaches("iris", &active, seconds(150)).await;
}
