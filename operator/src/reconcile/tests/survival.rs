//! What a pass survives.

use super::*;

#[tokio::test]
async fn an_object_that_cannot_be_decoded_says_so_and_stops_no_other() {
    let mut world = World::with(&service("iris"));
    let poison = json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "InferenceService",
        "metadata": {"name": "poison", "namespace": "demo", "generation": 3},
        "spec": {"model": {"source": {"uri": "https://h/m"}}, "autoscaling": {"maxReplicas": 2, "engine": "FromTheFuture"}},
    });
    world
        .api
        .put(&format!("{INFERENCE_SERVICES}/poison"), poison);
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

/// What a status says of a service that can be told without its spec.
fn assert_tells_of_the_same(after: &Value, before: &Value) {
    for field in [
        "version",
        "stableRevision",
        "replicas",
        "selector",
        "versions",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
}

#[tokio::test]
async fn a_service_that_becomes_unreadable_is_available_as_long_as_its_pods_are() {
    let mut world = settled(|_| {}).await;
    let stable = revision(&world);
    let before = world.status("iris");
    world.edit("iris", |spec| {
        spec["autoscaling"] = json!({"maxReplicas": 2, "engine": "FromTheFuture"});
    });
    world.pass("iris").await.unwrap();
    assert_eq!(world.condition("iris", "Stalled").1, "InvalidSpec");
    assert_eq!(world.condition("iris", "Available").0, "True");
    let after = world.status("iris");
    assert_tells_of_the_same(&after, &before);
    assert_eq!(after["url"], before["url"]);
    world.deployment_says(&format!("{DEPLOYMENTS}/{stable}"), Some(0));
    world.pass("iris").await.unwrap();
    let (status, _, message) = world.condition("iris", "Available");
    assert_eq!(status, "False");
    assert!(message.contains(&stable), "{message}");
}

#[tokio::test]
async fn an_unreadable_service_whose_status_was_lost_gets_it_back_from_what_serves() {
    let mut world = settled(|_| {}).await;
    let before = world.status("iris");
    world.edit("iris", |spec| {
        spec["autoscaling"] = json!({"maxReplicas": 2, "engine": "FromTheFuture"});
    });
    world
        .api
        .edit(&format!("{INFERENCE_SERVICES}/iris"), |object| {
            object.as_object_mut().unwrap().remove("status");
        });
    world.pass("iris").await.unwrap();
    let after = world.status("iris");
    assert_tells_of_the_same(&after, &before);
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
        began.elapsed() <= crate::deadline::DEADLINE * 2,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_pass_ends_whatever_it_waits_for() {
    let world = World::with(&service("iris"));
    // Watches that never finish their first list.
    let stored: Guarded = serde_json::from_value(
        world
            .api
            .get(&format!("{INFERENCE_SERVICES}/iris"))
            .unwrap(),
    )
    .unwrap();
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
