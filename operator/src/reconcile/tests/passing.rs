//! Troubles that pass by themselves, or that come after everything is applied: each is told, and
//! tried again.

use super::*;

fn refuse(world: &World, method: &'static str, end: &str, code: u16, message: &str) {
    let refusal = (method, end.to_owned(), code, message.to_owned());
    world.api.state().refusals.push(refusal);
}

#[tokio::test]
async fn a_deployment_that_is_still_being_deleted_is_told_of_until_it_is_gone() {
    let mut world = settled(|_| {}).await;
    let name = revision(&world);
    let deployment = format!("{DEPLOYMENTS}/{name}");
    world.api.edit(&deployment, |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        object["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    });
    let error = world.pass("iris").await.unwrap_err();
    assert_eq!(error.label(), "still_there");
    let (status, reason, message) = world.condition("iris", "Ready");
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", "StillDeleting")
    );
    assert!(
        message.contains(&format!("Deployment {name} is still being deleted"))
            && message.contains("finalizers"),
        "{message}"
    );
    assert_eq!(world.condition("iris", "Reconciling").0, "True");
    assert_eq!(world.condition("iris", "Stalled").0, "False");

    world.api.take_writes();
    world.pass("iris").await.unwrap_err();
    assert!(world.api.take_writes().is_empty(), "told once");
    world.api.state().objects.remove(&deployment);
    world.settle("iris").await;
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_is_told_of_and_the_write_tried_again() {
    let mut world = settled(|_| {}).await;
    let name = revision(&world);
    world.edit("iris", |spec| spec["replicas"] = json!(2));
    let said = "Internal error occurred: failed calling webhook \"policy.example\"";
    refuse(&world, "PATCH", &name, 500, said);
    let error = world.pass("iris").await.unwrap_err();
    assert_eq!(error.label(), "api_error");
    let (status, reason, message) = world.condition("iris", "Ready");
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", "RequestFailed")
    );
    assert!(message.contains("policy.example"), "{message}");
    assert_eq!(world.status("iris")["observedGeneration"], 2);
    assert_eq!(world.condition("iris", "Available").0, "True");
    assert_eq!(world.condition("iris", "Stalled").0, "False");
    world.api.state().refusals.clear();
    world.settle("iris").await;
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn a_refused_deletion_is_told_of_and_tried_again() {
    let mut world = settled(|_| {}).await;
    let old = revision(&world);
    world.edit("iris", second_model);
    let said = "deployments.apps is forbidden: the operator cannot delete resource";
    refuse(&world, "DELETE", &old, 403, said);
    for _ in 0..4 {
        world.pass("iris").await.unwrap();
        world.pods_come_up();
    }
    let (status, reason, message) = world.condition("iris", "Stalled");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Rejected"));
    assert!(
        message.contains(&format!("refuses to delete Deployment {old}"))
            && message.contains(said)
            && message.contains("Grant the operator"),
        "{message}"
    );
    world.api.state().refusals.clear();
    world.settle("iris").await;
    assert_eq!(world.paths(DEPLOYMENTS).len(), 1);
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn a_promotion_is_recorded_although_a_deletion_is_refused() {
    let mut world = settled(autoscaled(1, 3)).await;
    let old = revision(&world);
    world.edit("iris", second_model);
    refuse(&world, "DELETE", &old, 403, "forbidden");
    for _ in 0..3 {
        world.pass("iris").await.unwrap();
        world.pods_come_up();
    }
    let new = revision(&world);
    assert_eq!(world.selected("iris"), new);
    assert_eq!(world.status("iris")["stableRevision"], new.as_str());
}

#[tokio::test]
async fn the_old_revision_is_said_to_answer_while_the_service_cannot_be_turned() {
    let mut world = settled(|_| {}).await;
    let old = revision(&world);
    world.edit("iris", second_model);
    world.pass("iris").await.unwrap();
    world.pods_come_up();
    refuse(&world, "PATCH", "/services/iris", 500, "no answer");
    world.pass("iris").await.unwrap_err();
    assert_eq!(world.selected("iris"), old);
    assert_eq!(world.status("iris")["stableRevision"], old.as_str());
    assert_eq!(world.condition("iris", "Ready").1, "RequestFailed");
    assert_eq!(world.condition("iris", "Available").0, "True");
    world.api.state().refusals.clear();
    world.settle("iris").await;
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn a_conflict_is_told_of_only_where_it_lasts() {
    let mut world = settled(|_| {}).await;
    let name = revision(&world);
    world.edit("iris", |spec| spec["replicas"] = json!(2));
    refuse(&world, "PATCH", &name, 409, "denied by a quota");
    let mut told = 0;
    while world.condition("iris", "Ready").0 == "True" {
        let error = world.pass("iris").await.unwrap_err();
        on_error(stored(&world), &error, Arc::clone(&world.context));
        told += 1;
        assert!(told < 10, "never told");
    }
    assert!(told > 1, "a single conflict is no issue");
    let (_, reason, message) = world.condition("iris", "Ready");
    assert_eq!(reason, "RequestFailed");
    assert!(message.contains("denied by a quota"), "{message}");
}

#[tokio::test]
async fn what_stays_in_the_way_is_looked_at_less_and_less_often() {
    let world = World::with(&service("iris"));
    let error = Error::PendingDeletion {
        kind: crate::child_kind::ChildKind::Service,
        name: "iris".into(),
    };
    for _ in 0..10 {
        on_error(stored(&world), &error, Arc::clone(&world.context));
    }
    let wait = world.context.shared.backoff.failed("uid-of-iris");
    assert!(wait > Duration::from_secs(30), "{wait:?}");
}

fn stored(world: &World) -> Arc<Guarded> {
    let object = world
        .api
        .get(&format!("{INFERENCE_SERVICES}/iris"))
        .unwrap();
    Arc::new(serde_json::from_value(object).unwrap())
}
