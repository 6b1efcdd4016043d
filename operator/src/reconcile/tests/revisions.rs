//! From one revision to the next.

use super::*;

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
    world.change(|shared| shared.defaults.image = "serin-dataplane:next".into());
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
        shared.defaults.image = "serin-dataplane:next".into();
        shared.defaults.allowed_networks = vec!["10.0.0.0/8".into()];
    });
    world.pass("iris").await.unwrap();
    assert!(world.api.take_writes().is_empty());
}

#[tokio::test]
async fn a_pod_that_was_evicted_once_stalls_no_later_step() {
    let mut world = settled(|_| {}).await;
    let current = revision(&world);
    let mut evicted = pod(&current, json!({"terminated": {"exitCode": 137}}));
    evicted["status"]["phase"] = json!("Failed");
    evicted["status"]["reason"] = json!("Evicted");
    world.api.put(&format!("{PODS}/evicted"), evicted);
    let mut serving = pod(&current, json!({"running": {}}));
    serving["metadata"]["name"] = json!("serving");
    serving["status"]["containerStatuses"][0]["ready"] = json!(true);
    world.api.put(&format!("{PODS}/serving"), serving);
    world.edit("iris", |spec| spec["replicas"] = json!(2));
    world.pass("iris").await.unwrap();
    world.deployment_says(&format!("{DEPLOYMENTS}/{current}"), Some(1));
    world.pass("iris").await.unwrap();
    assert_eq!(world.condition("iris", "Stalled").0, "False");
    assert_eq!(world.condition("iris", "Ready").1, "Scaling");
}

/// A service that follows the load, whose second version is about to take over while the API
/// server refuses one object; and the revisions, old and new.
async fn promoted_despite(refused: impl FnOnce(&str) -> String) -> (World, String, String) {
    let mut world = settled(|spec| {
        autoscaled(1, 3)(spec);
        spec["model"]["version"] = json!("1");
    })
    .await;
    let old = revision(&world);
    world.edit("iris", |spec| {
        second_model(spec);
        spec["model"]["version"] = json!("2");
    });
    let new = revision(&world);
    let words = "behavior: Invalid value".to_owned();
    let refusal = ("PATCH", refused(&new), 422, words);
    world.api.state().refusals.push(refusal);
    world.pass("iris").await.unwrap();
    world.pods_come_up();
    world.pass("iris").await.unwrap();
    (world, old, new)
}

#[tokio::test]
async fn a_refused_autoscaler_neither_misnames_nor_keeps_what_a_promotion_replaced() {
    let (mut world, _, new) =
        promoted_despite(|new| format!("/horizontalpodautoscalers/{new}")).await;
    assert_eq!(world.selected("iris"), new);
    let status = world.status("iris");
    assert_eq!(status["stableRevision"], new.as_str());
    assert_eq!(status["version"], "2");
    assert_eq!(world.condition("iris", "Stalled").1, "Rejected");
    assert_eq!(world.condition("iris", "Available").0, "True");
    let (active, reason, message) = world.condition("iris", "AutoscalingActive");
    assert_eq!((active.as_str(), reason.as_str()), ("False", "Rejected"));
    assert!(message.contains("behavior: Invalid value"), "{message}");

    world.pass("iris").await.unwrap();
    assert_eq!(world.paths(DEPLOYMENTS), [format!("{DEPLOYMENTS}/{new}")]);
    assert!(world.paths(AUTOSCALERS).is_empty());
    assert_eq!(world.condition("iris", "Stalled").1, "Rejected");
    world.api.take_writes();
    world.pass("iris").await.unwrap();
    let changes = world.api.take_writes();
    assert!(
        changes.iter().all(|call| call.path.contains("autoscalers")),
        "{changes:#?}"
    );

    world.api.state().refusals.clear();
    world.settle("iris").await;
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn while_the_service_cannot_be_turned_the_status_speaks_of_what_answers() {
    let (mut world, old, new) = promoted_despite(|_| "/services/iris".to_owned()).await;
    for _ in 0..2 {
        assert_eq!(world.selected("iris"), old);
        let status = world.status("iris");
        assert_eq!(status["stableRevision"], old.as_str());
        assert_eq!(status["version"], "1");
        let selector = status["selector"].as_str().unwrap();
        assert!(selector.contains(&old), "{selector}");
        let roles: Vec<_> = status["versions"].as_array().unwrap().iter().collect();
        assert_eq!(roles.len(), 2, "{roles:#?}");
        assert_eq!(
            (
                &roles[0]["version"],
                &roles[0]["role"],
                &roles[0]["revision"]
            ),
            (&json!("1"), &json!("Stable"), &json!(old))
        );
        assert_eq!(
            (
                &roles[1]["version"],
                &roles[1]["role"],
                &roles[1]["revision"]
            ),
            (&json!("2"), &json!("Next"), &json!(new))
        );
        assert_eq!(world.condition("iris", "Available").0, "True");
        assert_eq!(world.condition("iris", "Stalled").1, "Rejected");
        assert_eq!(world.paths(AUTOSCALERS), [format!("{AUTOSCALERS}/{old}")]);
        world.pass("iris").await.unwrap();
    }
    world.api.state().refusals.clear();
    world.settle("iris").await;
    assert_eq!(world.status("iris")["stableRevision"], new.as_str());
}

#[tokio::test]
async fn going_back_to_the_first_version_is_told_as_such() {
    let mut world = settled(|_| {}).await;
    let first = revision(&world);
    world.edit("iris", second_model);
    let second = revision(&world);
    world.settle("iris").await;
    world.edit("iris", |spec| {
        spec["model"]["source"]["uri"] = json!("configmap://iris-model/iris.onnx");
    });
    world.api.state().calls.clear();
    world.settle_writes("iris").await;
    let notes: Vec<_> = world
        .api
        .state()
        .calls
        .iter()
        .filter(|call| call.path.contains("/events") && call.body["reason"] == "Promoted")
        .map(|call| call.body["note"].as_str().unwrap_or_default().to_owned())
        .collect();
    let told = format!("revision {first} answers callers now, in place of {second}");
    assert_eq!(notes, [told]);
}
