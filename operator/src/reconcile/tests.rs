#![allow(
    clippy::needless_pass_by_value,
    reason = "json!({...}) reads best as an owned argument"
)]

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use serin_crds::revision::revision_of;

use super::*;
use crate::leader::Fence;
use crate::testing::builders::service;
use crate::testing::fake_apiserver::Call;
use crate::testing::world::{
    ADDRESSES, AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICES, World,
};

fn managed_by(call: &Call, manager: &str) -> bool {
    call.query.contains(&format!("fieldManager={manager}"))
}

fn status_writes(writes: &[Call]) -> usize {
    writes
        .iter()
        .filter(|call| call.path.ends_with("/status"))
        .count()
}

fn revision(world: &World) -> String {
    let object = world.api.get(&format!("{SERVICES}/iris")).unwrap();
    revision_of(&serde_json::from_value(object).unwrap()).name
}

fn second_model(spec: &mut Value) {
    spec["model"]["source"]["uri"] = json!("configmap://iris-model/second.onnx");
}

fn autoscaled(min: i32, max: i32) -> impl FnOnce(&mut Value) {
    move |spec| {
        spec["autoscaling"] = json!({"minReplicas": min, "maxReplicas": max});
        spec.as_object_mut().unwrap().remove("replicas");
    }
}

async fn settled(change: impl FnOnce(&mut Value)) -> World {
    let mut world = World::with(&service("iris"));
    world.edit("iris", change);
    world.settle("iris").await;
    world
}

#[tokio::test]
async fn the_first_status_comes_before_anything_is_made() {
    let mut world = World::with(&service("iris"));
    world.pass("iris").await.unwrap();
    let writes = world.api.take_writes();
    assert!(
        writes[0].path.ends_with("/iris/status"),
        "{}",
        writes[0].path
    );
    let conditions = writes[0].body["status"]["conditions"].as_array().unwrap();
    assert!(
        conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "Unknown")
    );
    assert!(
        conditions
            .iter()
            .any(|c| c["type"] == "Reconciling" && c["status"] == "True")
    );
}

#[tokio::test]
async fn a_new_service_gets_its_children_and_becomes_ready() {
    let mut world = World::with(&service("iris"));
    world.settle("iris").await;
    let name = revision(&world);
    for path in [
        format!("{CONFIG_MAPS}/{name}"),
        format!("{DEPLOYMENTS}/{name}"),
        format!("{ADDRESSES}/iris"),
    ] {
        let owner = world.api.get(&path).unwrap()["metadata"]["ownerReferences"][0].clone();
        assert_eq!(
            (&owner["uid"], &owner["controller"]),
            (&json!("uid-of-iris"), &json!(true)),
            "{path}"
        );
    }
    let status = world.status("iris");
    assert_eq!(status["stableRevision"], name.as_str());
    assert_eq!(status["url"], "http://iris.demo.svc");
    assert_eq!(world.condition("iris", "Ready").0, "True");
    assert_eq!(world.condition("iris", "Reconciling").0, "False");
}

#[tokio::test]
async fn a_deployment_is_born_with_its_size_and_the_scale_manager_takes_it_over() {
    let mut world = World::with(&service("iris"));
    world.edit("iris", |spec| spec["replicas"] = json!(3));
    world.pass("iris").await.unwrap();
    let sizes: Vec<_> = world
        .api
        .state()
        .sizes
        .iter()
        .map(|(_, size)| *size)
        .collect();
    assert_eq!(sizes, [3], "never one pod, then three");
    let writes = world.api.take_writes();
    let sized: Vec<_> = writes
        .iter()
        .filter(|call| !call.body["spec"]["replicas"].is_null())
        .collect();
    assert_eq!(sized.len(), 2);
    assert!(managed_by(sized[0], "serin-operator") && managed_by(sized[1], "serin-scale"));
    let scale = &sized[1].body;
    assert_eq!(
        scale["spec"],
        json!({"replicas": 3}),
        "nothing but the size"
    );
}

#[tokio::test]
async fn a_suspended_service_never_starts_a_pod() {
    let mut world = World::with(&service("iris"));
    world.edit("iris", |spec| spec["suspend"] = json!(true));
    world.settle("iris").await;
    assert!(world.api.state().sizes.iter().all(|(_, size)| *size == 0));
    assert_eq!(world.condition("iris", "Ready").1, "Suspended");
    assert_eq!(world.condition("iris", "Reconciling").0, "False");
}

#[tokio::test]
async fn a_settled_service_is_not_written_to_again() {
    let mut world = settled(|_| {}).await;
    for _ in 0..5 {
        world.pass("iris").await.unwrap();
    }
    assert!(world.api.take_writes().is_empty());
}

#[tokio::test]
async fn what_an_autoscaler_measures_causes_no_write() {
    let mut world = settled(autoscaled(2, 5)).await;
    let path = format!("{AUTOSCALERS}/{}", revision(&world));
    for percent in [40, 41, 43] {
        world.api.edit(&path, |object| {
            object["status"] = json!({
                "desiredReplicas": 2, "currentReplicas": 2,
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}],
                "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}],
            });
        });
        world.pass("iris").await.unwrap();
        let writes = world.api.take_writes();
        assert!(percent == 40 || writes.is_empty(), "{writes:#?}");
    }
}

#[tokio::test]
async fn a_pass_that_changes_the_status_writes_it_once() {
    let mut world = settled(|_| {}).await;
    world.edit("iris", |spec| spec["replicas"] = json!(4));
    world.pass("iris").await.unwrap();
    assert_eq!(status_writes(&world.api.take_writes()), 1);
}

#[tokio::test]
async fn every_condition_speaks_of_the_generation_that_was_processed() {
    let mut world = settled(|_| {}).await;
    world.edit("iris", |spec| spec["replicas"] = json!(2));
    world.pass("iris").await.unwrap();
    let generation =
        world.api.get(&format!("{SERVICES}/iris")).unwrap()["metadata"]["generation"].clone();
    let status = world.status("iris");
    assert_eq!(status["observedGeneration"], generation);
    for condition in status["conditions"].as_array().unwrap() {
        assert_eq!(condition["observedGeneration"], generation, "{condition}");
    }
}

#[tokio::test]
async fn edits_by_hand_are_undone() {
    let mut world = settled(|_| {}).await;
    let deployment = format!("{DEPLOYMENTS}/{}", revision(&world));
    world.api.edit(&deployment, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil:1");
        object["spec"]["replicas"] = json!(7);
    });
    world.api.edit(&format!("{ADDRESSES}/iris"), |object| {
        object["spec"]["selector"] = json!({"a": "b"});
    });
    world.settle("iris").await;
    let object = world.api.get(&deployment).unwrap();
    assert_eq!(
        object["spec"]["template"]["spec"]["containers"][0]["image"],
        "serin-dataplane:test"
    );
    assert_eq!(object["spec"]["replicas"], 1);
    assert_eq!(world.selected("iris"), revision(&world));
}

#[tokio::test]
async fn what_is_deleted_comes_back() {
    let mut world = settled(|spec| spec["replicas"] = json!(2)).await;
    let name = revision(&world);
    for path in [
        format!("{DEPLOYMENTS}/{name}"),
        format!("{CONFIG_MAPS}/{name}"),
        format!("{ADDRESSES}/iris"),
    ] {
        world.api.state().objects.remove(&path);
        world.settle("iris").await;
        assert!(world.api.get(&path).is_some(), "{path}");
    }
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn an_object_that_lost_its_label_is_found_and_gets_it_back() {
    let mut world = settled(|_| {}).await;
    let deployment = format!("{DEPLOYMENTS}/{}", revision(&world));
    world.api.edit(&deployment, |object| {
        object["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("app.kubernetes.io/managed-by");
    });
    let uid = world.api.get(&deployment).unwrap()["metadata"]["uid"].clone();
    world.settle("iris").await;
    let object = world.api.get(&deployment).unwrap();
    assert_eq!(
        object["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "serin-operator"
    );
    assert_eq!(object["metadata"]["uid"], uid);
}

#[tokio::test]
async fn somebody_elses_object_is_left_alone_and_named() {
    let mut world = World::with(&service("iris"));
    let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "iris", "namespace": "demo"}, "spec": {}});
    world.api.put(&format!("{ADDRESSES}/iris"), foreign);
    world.pass("iris").await.unwrap();
    let writes = world.api.take_writes();
    assert!(
        writes.iter().all(|call| call.path.ends_with("/status")),
        "{writes:#?}"
    );
    let (status, reason, message) = world.condition("iris", "Stalled");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "NameConflict"));
    assert!(message.contains("Service iris"), "{message}");
    assert!(world.status("iris")["stableRevision"].is_null());
}

#[tokio::test]
async fn what_a_deleted_namesake_left_is_waited_for() {
    let mut world = World::with(&service("iris"));
    let owner = json!({"apiVersion": "serin.dev/v1alpha1", "kind": "InferenceService", "name": "iris", "uid": "older", "controller": true});
    let left = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "iris", "namespace": "demo", "ownerReferences": [owner]}});
    world.api.put(&format!("{ADDRESSES}/iris"), left);
    assert!(matches!(
        world.pass("iris").await,
        Err(Error::StillThere { .. })
    ));
    assert_eq!(world.condition("iris", "Stalled").0, "False");
    world
        .api
        .state()
        .objects
        .remove(&format!("{ADDRESSES}/iris"));
    world.settle("iris").await;
}

#[tokio::test]
async fn what_the_api_server_refuses_is_reported_with_its_words() {
    let mut world = World::with(&service("iris"));
    let refusal = (
        "PATCH",
        revision(&world),
        422,
        "spec.template: Invalid value".to_owned(),
    );
    world.api.state().refusals.push(refusal);
    world.pass("iris").await.unwrap();
    let (status, reason, message) = world.condition("iris", "Stalled");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Rejected"));
    assert!(
        message.contains("spec.template: Invalid value"),
        "{message}"
    );
    assert_eq!(world.status("iris")["observedGeneration"], 1);
    world.api.state().refusals.clear();
    world.settle("iris").await;
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn a_file_source_is_an_invalid_spec_and_what_served_goes_on() {
    let mut world = settled(|_| {}).await;
    let stable = revision(&world);
    world.edit("iris", |spec| {
        spec["model"]["source"]["uri"] = json!("file:///m.onnx");
    });
    world.pass("iris").await.unwrap();
    assert_eq!(world.condition("iris", "Stalled").1, "InvalidSpec");
    assert_eq!(world.condition("iris", "Available").0, "True");
    assert_eq!(world.status("iris")["stableRevision"], stable.as_str());
    assert_eq!(world.status("iris")["observedGeneration"], 2);
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_says_so_and_stops_no_other() {
    let mut world = World::with(&service("iris"));
    let poison = json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "InferenceService",
        "metadata": {"name": "poison", "namespace": "demo", "generation": 3},
        "spec": {"model": {"source": {"uri": "https://h/m"}}, "autoscaling": {"maxReplicas": 2, "engine": "FromTheFuture"}},
    });
    world.api.put(&format!("{SERVICES}/poison"), poison);
    world.pass("poison").await.unwrap();
    assert_eq!(world.condition("poison", "Stalled").1, "InvalidSpec");
    assert!(
        world
            .condition("poison", "Ready")
            .2
            .contains("FromTheFuture")
    );
    assert_eq!(world.status("poison")["observedGeneration"], 3);
    world.api.take_writes();
    world.pass("poison").await.unwrap();
    assert!(world.api.take_writes().is_empty());
    world.settle("iris").await;
}

#[tokio::test]
async fn a_panic_in_a_pass_is_an_error_of_that_pass() {
    let mut world = World::with(&service("iris"));
    world.change(|shared| shared.clock = || panic!("a bug"));
    let error = world.pass("iris").await.unwrap_err();
    assert_eq!(error.label(), "panic");
    assert!(error.to_string().contains("a bug"));
    world.change(|shared| shared.clock = || Timestamp::UNIX_EPOCH);
    world.settle("iris").await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_holds_a_pass_for_seconds() {
    let mut world = World::with(&service("iris"));
    world.sync();
    world.api.state().hangs = true;
    let began = Instant::now();
    let error = world.stale_pass("iris").await.unwrap_err();
    assert_eq!(error.label(), "no_answer");
    assert!(
        began.elapsed() <= crate::call::DEADLINE * 2,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_pass_ends_whatever_it_waits_for() {
    let world = World::with(&service("iris"));
    // Watches that never finish their first list.
    let stored: Guarded =
        serde_json::from_value(world.api.get(&format!("{SERVICES}/iris")).unwrap()).unwrap();
    let error = reconcile(Arc::new(stored), Arc::clone(&world.context))
        .await
        .unwrap_err();
    assert_eq!(error.label(), "overlong");
}

#[tokio::test]
async fn a_process_that_does_not_lead_writes_nothing() {
    let mut world = World::with(&service("iris"));
    world.change(|shared| {
        shared.writer = crate::writer::Writer::new(
            shared.client.clone(),
            Fence::fallen(),
            shared.metrics.clone(),
        );
    });
    assert_eq!(world.pass("iris").await.unwrap_err().label(), "not_leader");
    assert!(world.api.take_writes().is_empty());
}

#[tokio::test]
async fn a_pass_waits_until_the_watches_show_the_last_writes() {
    let mut world = World::with(&service("iris"));
    world.pass("iris").await.unwrap();
    world.api.take_writes();
    world.stale_pass("iris").await.unwrap();
    assert!(world.api.take_writes().is_empty());
}

#[tokio::test]
async fn a_new_revision_takes_over_when_all_its_pods_are_available() {
    let mut world = settled(|spec| spec["replicas"] = json!(3)).await;
    let old = revision(&world);
    world.edit("iris", second_model);
    let new = revision(&world);
    world.pass("iris").await.unwrap();
    let next = format!("{DEPLOYMENTS}/{new}");
    assert_eq!(world.api.get(&next).unwrap()["spec"]["replicas"], 3);
    for available in [0, 2] {
        world.deployment_says(&next, Some(available));
        world.pass("iris").await.unwrap();
        assert_eq!(world.selected("iris"), old);
        assert_eq!(world.condition("iris", "Ready").1, "RollingOut");
        assert_eq!(world.condition("iris", "Available").0, "True");
    }
    world.deployment_says(&next, None);
    world.api.take_writes();
    world.pass("iris").await.unwrap();
    assert_eq!(world.selected("iris"), new);
    assert_eq!(world.status("iris")["stableRevision"], new.as_str());
    let writes = world.api.take_writes();
    let turned = writes
        .iter()
        .position(|call| call.path.ends_with("/services/iris"))
        .unwrap();
    let recorded = writes
        .iter()
        .position(|call| call.path.ends_with("/status"))
        .unwrap();
    assert!(turned < recorded);
    assert!(
        world.api.get(&format!("{DEPLOYMENTS}/{old}")).is_some(),
        "kept until the promotion is recorded"
    );

    world.pass("iris").await.unwrap();
    assert!(world.api.get(&format!("{DEPLOYMENTS}/{old}")).is_none());
    assert!(world.api.get(&format!("{CONFIG_MAPS}/{old}")).is_none());
    let deletes: Vec<_> = world
        .api
        .take_writes()
        .into_iter()
        .filter(|call| call.method == "DELETE")
        .collect();
    assert_eq!(deletes.len(), 2);
    for call in deletes {
        let preconditions = &call.body["preconditions"];
        assert!(
            !preconditions["uid"].is_null() && !preconditions["resourceVersion"].is_null(),
            "{call:?}"
        );
    }
    world.settle("iris").await;
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn a_revision_that_cannot_load_leaves_the_old_one_serving_and_healing() {
    let mut world = settled(|spec| spec["replicas"] = json!(2)).await;
    let old = revision(&world);
    world.edit("iris", second_model);
    let new = revision(&world);
    world.pass("iris").await.unwrap();
    world.api.put(
        &format!("{PODS}/p"),
        pod(
            &new,
            json!({"terminated": {"exitCode": 1, "message": "second.onnx is no ONNX model"}}),
        ),
    );
    world.deployment_says(&format!("{DEPLOYMENTS}/{new}"), Some(0));
    world.pass("iris").await.unwrap();
    assert_eq!(world.condition("iris", "Ready").0, "False");
    assert_eq!(world.condition("iris", "Available").0, "True");
    let (status, reason, message) = world.condition("iris", "Stalled");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "LoadFailed"));
    assert!(
        message.contains("second.onnx is no ONNX model"),
        "{message}"
    );

    // The operator was upgraded meanwhile: the old revision comes back as it was.
    world.change(|shared| shared.pinned.image = "serin-dataplane:next".into());
    let deployment = format!("{DEPLOYMENTS}/{old}");
    world.api.state().objects.remove(&deployment);
    world.pass("iris").await.unwrap();
    let object = world.api.get(&deployment).unwrap();
    assert_eq!(
        object["spec"]["template"]["spec"]["containers"][0]["image"],
        "serin-dataplane:test"
    );
    assert_eq!(object["spec"]["replicas"], 2);
    assert_eq!(world.selected("iris"), old);

    // Back to the old spec: the failed revision goes.
    world.edit("iris", |spec| {
        spec["model"]["source"]["uri"] = json!("configmap://iris-model/iris.onnx");
    });
    world.settle("iris").await;
    assert_eq!(world.paths(DEPLOYMENTS), [deployment]);
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn an_upgrade_of_the_operator_restarts_no_model() {
    let mut world = settled(|_| {}).await;
    world.change(|shared| {
        shared.pinned.image = "serin-dataplane:next".into();
        shared.pinned.allowed_networks = vec!["10.0.0.0/8".into()];
    });
    world.pass("iris").await.unwrap();
    assert!(world.api.take_writes().is_empty());
}

#[tokio::test]
async fn an_autoscaled_deployment_keeps_its_size_through_drift_and_every_main_apply_is_without_it()
{
    let mut world = settled(autoscaled(2, 6)).await;
    let deployment = format!("{DEPLOYMENTS}/{}", revision(&world));
    world
        .api
        .edit(&deployment, |object| object["spec"]["replicas"] = json!(5));
    world.api.edit(&deployment, |object| {
        object["metadata"]["labels"]["serin.dev/service"] = json!("iris");
    });
    world.api.edit(&deployment, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil:1");
    });
    world.pass("iris").await.unwrap();
    let writes = world.api.take_writes();
    let applied: Vec<_> = writes
        .iter()
        .filter(|call| call.path == deployment)
        .collect();
    assert!(!applied.is_empty());
    for call in applied {
        assert!(call.body["spec"]["replicas"].is_null(), "{call:?}");
    }
    assert_eq!(world.api.get(&deployment).unwrap()["spec"]["replicas"], 5);
}

#[tokio::test]
async fn fixed_autoscaled_and_fixed_again_never_drops_a_replica() {
    let mut world = settled(|spec| spec["replicas"] = json!(3)).await;
    let deployment = format!("{DEPLOYMENTS}/{}", revision(&world));
    world.edit("iris", autoscaled(2, 6));
    world.settle("iris").await;
    assert_eq!(world.paths(AUTOSCALERS).len(), 1);
    world.edit("iris", |spec| {
        spec["replicas"] = json!(3);
        spec.as_object_mut().unwrap().remove("autoscaling");
    });
    world.settle("iris").await;
    assert!(world.paths(AUTOSCALERS).is_empty());
    assert_eq!(world.api.get(&deployment).unwrap()["spec"]["replicas"], 3);
    let sizes: Vec<_> = world
        .api
        .state()
        .sizes
        .iter()
        .map(|(_, size)| *size)
        .collect();
    assert_eq!(sizes, [3]);
}

#[tokio::test]
async fn the_autoscaler_goes_before_the_size_is_fixed() {
    let mut world = settled(autoscaled(2, 6)).await;
    world.edit("iris", |spec| spec["suspend"] = json!(true));
    world.settle_writes("iris").await;
    let state = world.api.state();
    let deleted = state
        .calls
        .iter()
        .position(|call| call.method == "DELETE")
        .unwrap();
    let sized = state
        .calls
        .iter()
        .position(|call| managed_by(call, "serin-scale"))
        .unwrap();
    assert!(deleted < sized);
}

#[tokio::test]
async fn a_missing_metrics_api_is_a_condition() {
    let mut world = settled(autoscaled(1, 3)).await;
    let (status, reason, message) = world.condition("iris", "AutoscalingActive");
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", "NoMetricsAPI")
    );
    assert!(message.contains("metrics-server"), "{message}");
    world.edit("iris", |spec| {
        spec.as_object_mut().unwrap().remove("autoscaling");
    });
    world.settle("iris").await;
    let status = world.status("iris");
    assert!(
        status["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .all(|c| c["type"] != "AutoscalingActive")
    );
}

#[tokio::test]
async fn a_status_that_changed_meanwhile_is_not_overwritten() {
    let mut world = settled(|_| {}).await;
    world.edit("iris", |spec| spec["replicas"] = json!(2));
    world.sync();
    // A newer spec than the one the pass sees.
    world.edit("iris", |spec| spec["replicas"] = json!(5));
    let error = world.stale_pass("iris").await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(world.status("iris")["observedGeneration"], 1);
}

#[tokio::test]
async fn nothing_of_the_services_own_metadata_reaches_its_children() {
    let mut world = World::with(&service("iris"));
    world.api.edit(&format!("{SERVICES}/iris"), |object| {
        object["metadata"]["labels"] = json!({"argocd.argoproj.io/instance": "app"});
        object["metadata"]["annotations"] = json!({"argocd.argoproj.io/tracking-id": "app"});
    });
    world.settle("iris").await;
    let state = world.api.state();
    let children = state
        .objects
        .iter()
        .filter(|(path, _)| !path.starts_with(SERVICES));
    for (path, object) in children {
        assert!(!object.to_string().contains("argocd"), "{path}");
    }
}

fn pod(revision: &str, state: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "p", "namespace": "demo",
            "labels": {
                "app.kubernetes.io/managed-by": "serin-operator",
                "serin.dev/service": "iris", "serin.dev/revision": revision,
            },
        },
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "server", "image": "i", "imageID": "", "ready": false, "restartCount": 1, "state": state,
        }]},
    })
}
