//! What keeps a pass from its end, and what is said of it.

use super::*;

#[tokio::test]
async fn somebody_elses_object_is_left_alone_and_named() {
    let mut world = World::with(&service("iris"));
    let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "iris", "namespace": "demo"}, "spec": {}});
    world.api.put(&format!("{SERVICES}/iris"), foreign);
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
    world.api.put(&format!("{SERVICES}/iris"), left);
    assert!(matches!(
        world.pass("iris").await,
        Err(Error::PendingDeletion { .. })
    ));
    assert_eq!(world.condition("iris", "Stalled").0, "False");
    world
        .api
        .state()
        .objects
        .remove(&format!("{SERVICES}/iris"));
    world.settle("iris").await;
}

#[tokio::test]
async fn a_namesake_of_another_kind_keeps_its_objects() {
    let mut world = World::with(&service("iris"));
    let owner = json!({"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "name": "iris", "uid": "theirs", "controller": true});
    let theirs = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "iris", "namespace": "demo", "ownerReferences": [owner]}});
    world.api.put(&format!("{SERVICES}/iris"), theirs);
    world.pass("iris").await.unwrap();
    let (status, reason, message) = world.condition("iris", "Stalled");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "NameConflict"));
    assert!(
        message.contains("InferenceService iris (serving.kserve.io/v1beta1)"),
        "{message}"
    );
}

#[tokio::test]
async fn what_somebody_makes_between_the_look_and_the_write_is_not_taken_over() {
    let mut world = World::with(&service("iris"));
    let path = format!("{SERVICES}/iris");
    let theirs = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "iris", "namespace": "demo"}, "spec": {"selector": {"app": "theirs"}}});
    world.api.state().latecomers.insert(path.clone(), theirs);
    let error = world.pass("iris").await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    let left = world.api.get(&path).unwrap();
    assert_eq!(left["spec"]["selector"], json!({"app": "theirs"}));
    assert!(left["metadata"]["ownerReferences"].is_null(), "{left:#}");
    world.pass("iris").await.unwrap();
    assert_eq!(world.condition("iris", "Stalled").1, "NameConflict");
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

fn file_source(spec: &mut Value) {
    spec["model"]["source"]["uri"] = json!("file:///m.onnx");
}

#[tokio::test]
async fn of_a_bad_spec_that_comes_while_no_pod_is_ready_it_is_not_said_that_none_ever_served() {
    let mut world = settled(|spec| spec["replicas"] = json!(2)).await;
    let stable = revision(&world);
    let deployment = format!("{DEPLOYMENTS}/{stable}");
    world.edit("iris", file_source);
    world.deployment_says(&deployment, Some(0));
    world.pass("iris").await.unwrap();
    let (status, reason, message) = world.condition("iris", "Available");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NoReadyPods"));
    assert!(message.contains(&stable), "{message}");
    assert_eq!(world.status("iris")["versions"][0]["ready"], 0);
    let (status, reason, _) = world.condition("iris", "ModelLoaded");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "InvalidSpec"));

    world.deployment_says(&deployment, None);
    world.pass("iris").await.unwrap();
    assert_eq!(world.condition("iris", "Available").0, "True");
    assert_eq!(world.status("iris")["versions"][0]["ready"], 2);
}

#[tokio::test]
async fn a_suspended_service_with_a_bad_spec_is_still_called_suspended() {
    let mut world = settled(|spec| spec["suspend"] = json!(true)).await;
    world.edit("iris", file_source);
    world.pass("iris").await.unwrap();
    let (status, reason, _) = world.condition("iris", "Available");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Suspended"));
}

#[tokio::test]
async fn a_first_spec_that_is_bad_was_never_served() {
    let mut world = World::with(&service("iris"));
    world.edit("iris", file_source);
    world.pass("iris").await.unwrap();
    let (status, _, message) = world.condition("iris", "Available");
    assert_eq!(status, "False");
    assert!(
        message.contains("no valid spec was ever served"),
        "{message}"
    );
    assert!(world.status("iris")["stableRevision"].is_null());
}

#[tokio::test]
async fn a_bad_spec_does_not_hide_the_autoscaler_that_goes_on() {
    let mut world = settled(autoscaled(1, 3)).await;
    let deployment = format!("{DEPLOYMENTS}/{}", revision(&world));
    world.edit("iris", file_source);
    world
        .api
        .edit(&deployment, |object| object["spec"]["replicas"] = json!(3));
    world.pods_come_up();
    world.pass("iris").await.unwrap();
    assert_eq!(
        world.condition("iris", "AutoscalingActive").1,
        "NoMetricsAPI"
    );
    let status = world.status("iris");
    assert_eq!(
        (&status["replicas"], &status["autoscaling"]["current"]),
        (&json!(3), &json!(3))
    );
}
