//! Who writes the number of pods, and when.

use super::*;

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
