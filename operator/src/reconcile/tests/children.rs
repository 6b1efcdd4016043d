//! What is made, kept and left alone.

use super::*;

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
        format!("{SERVICES}/iris"),
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
    let generation = world
        .api
        .get(&format!("{INFERENCE_SERVICES}/iris"))
        .unwrap()["metadata"]["generation"]
        .clone();
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
    world.api.edit(&format!("{SERVICES}/iris"), |object| {
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
async fn a_label_added_to_the_selector_of_the_service_is_taken_away() {
    let mut world = settled(|_| {}).await;
    let address = format!("{SERVICES}/iris");
    let before = world.api.get(&address).unwrap()["spec"]["selector"].clone();
    world.api.edit(&address, |object| {
        object["spec"]["selector"]["debug"] = json!("true");
    });
    world.settle("iris").await;
    assert_eq!(
        world.api.get(&address).unwrap()["spec"]["selector"],
        before,
        "no pod carries the label: nobody would answer"
    );
}

#[tokio::test]
async fn what_is_deleted_comes_back() {
    let mut world = settled(|spec| spec["replicas"] = json!(2)).await;
    let name = revision(&world);
    for path in [
        format!("{DEPLOYMENTS}/{name}"),
        format!("{CONFIG_MAPS}/{name}"),
        format!("{SERVICES}/iris"),
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
async fn nothing_of_the_services_own_metadata_reaches_its_children() {
    let mut world = World::with(&service("iris"));
    world
        .api
        .edit(&format!("{INFERENCE_SERVICES}/iris"), |object| {
            object["metadata"]["labels"] = json!({"argocd.argoproj.io/instance": "app"});
            object["metadata"]["annotations"] = json!({"argocd.argoproj.io/tracking-id": "app"});
        });
    world.settle("iris").await;
    let state = world.api.state();
    let children = state
        .objects
        .iter()
        .filter(|(path, _)| !path.starts_with(INFERENCE_SERVICES));
    for (path, object) in children {
        assert!(!object.to_string().contains("argocd"), "{path}");
    }
}
