//! What pods reload while they run.

use super::*;

fn policy() -> String {
    format!("{CONFIG_MAPS}/iris-policy")
}

fn document(world: &World) -> Value {
    let policy = world.api.get(&policy()).unwrap();
    serde_json::from_str(policy["data"]["policy.json"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_change_of_api_or_telemetry_writes_the_policy_and_nothing_else() {
    let mut world = settled(|_| {}).await;
    let before = revision(&world);
    assert_eq!(document(&world), json!({}));
    for (section, value) in [
        ("api", json!({"repositoryControl": "Enabled"})),
        ("telemetry", json!({"compatMetrics": []})),
    ] {
        world.edit("iris", |spec| spec[section] = value);
        world.api.take_writes();
        world.settle_writes("iris").await;
        let writes = world.api.take_writes();
        let written: Vec<&str> = writes.iter().map(|call| call.path.as_str()).collect();
        let status = format!("{INFERENCE_SERVICES}/iris/status");
        assert_eq!(written, [policy(), status], "{section}");
    }
    assert_eq!(
        document(&world),
        json!({
            "api": {"repositoryControl": true, "nonFinite": "String", "streamKeepAlive": "Comment"},
            "telemetry": {"compatMetrics": []},
        })
    );
    assert_eq!(revision(&world), before);
    assert_eq!(world.paths(DEPLOYMENTS).len(), 1);
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn the_policy_is_there_before_the_pods_and_belongs_to_the_service() {
    let mut world = World::with(&service("iris"));
    world.pass("iris").await.unwrap();
    let writes = world.api.take_writes();
    let place = |end: &str| writes.iter().position(|call| call.path.contains(end));
    assert!(place("/iris-policy").unwrap() < place("/deployments/").unwrap());
    let metadata = world.api.get(&policy()).unwrap()["metadata"].clone();
    assert_eq!(metadata["ownerReferences"][0]["uid"], "uid-of-iris");
    assert!(metadata["labels"]["serin.dev/revision"].is_null());
}

#[tokio::test]
async fn a_policy_that_is_edited_or_deleted_comes_back() {
    let mut world = settled(|spec| spec["api"] = json!({"repositoryControl": "Enabled"})).await;
    let before = document(&world);
    world.api.edit(&policy(), |policy| {
        policy["data"]["policy.json"] = json!("{}");
    });
    world.settle("iris").await;
    assert_eq!(document(&world), before);
    world.api.state().objects.remove(&policy());
    world.settle("iris").await;
    assert_eq!(document(&world), before);
}

#[tokio::test]
async fn a_policy_stays_when_a_revision_goes() {
    let mut world = settled(|_| {}).await;
    let old = revision(&world);
    world.edit("iris", second_model);
    world.settle("iris").await;
    assert!(world.api.get(&format!("{CONFIG_MAPS}/{old}")).is_none());
    assert!(world.api.get(&policy()).is_some());
}

#[tokio::test]
async fn pods_of_before_policies_are_replaced_once_the_policy_changes() {
    let mut world = settled(|_| {}).await;
    let old = revision(&world);
    let config = format!("{CONFIG_MAPS}/{old}");
    world.api.edit(&config, |config| {
        config["data"]
            .as_object_mut()
            .unwrap()
            .remove("pod-template.json");
    });
    world.settle("iris").await;
    assert_eq!(
        world.selected("iris"),
        old,
        "an upgrade alone rolls nothing"
    );

    world.edit("iris", |spec| {
        spec["api"] = json!({"repositoryControl": "Enabled"});
    });
    world.settle("iris").await;
    let new = world.selected("iris");
    assert_ne!(new, old);
    assert_eq!(world.paths(DEPLOYMENTS), [format!("{DEPLOYMENTS}/{new}")]);

    world.edit("iris", |spec| spec["api"] = json!({}));
    world.settle("iris").await;
    assert_eq!(world.selected("iris"), new, "from then on they reload it");
}
