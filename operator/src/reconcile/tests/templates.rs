//! An operator whose code makes other pods than the one before it.

use serin_crds::revision::sha256_of;

use super::*;
use crate::desired::config_keys::TEMPLATE_KEY;
use crate::desired::template::TEMPLATE_HASH;

/// The paths of the declared revision's Deployment and ConfigMap.
fn of_declared(world: &World) -> (String, String) {
    let revision = revision(world);
    (
        format!("{DEPLOYMENTS}/{revision}"),
        format!("{CONFIG_MAPS}/{revision}"),
    )
}

fn arguments(world: &World, deployment: &str) -> Vec<Value> {
    let found = world.api.get(deployment).unwrap();
    let container = &found["spec"]["template"]["spec"]["containers"][0];
    container["args"].as_array().unwrap().clone()
}

/// Writes another argument into the template that is kept; its hash.
fn other_template(world: &World, config: &str) -> String {
    let mut hash = String::new();
    world.api.edit(config, |config| {
        let text = config["data"][TEMPLATE_KEY].as_str().unwrap();
        let mut template: Value = serde_json::from_str(text).unwrap();
        let arguments = &mut template["spec"]["containers"][0]["args"];
        arguments.as_array_mut().unwrap().push("--other".into());
        hash = sha256_of(&template);
        config["data"][TEMPLATE_KEY] = template.to_string().into();
    });
    hash
}

#[tokio::test]
async fn an_operator_that_makes_other_pods_leaves_those_that_run_alone() {
    let mut world = settled(|_| {}).await;
    let (deployment, config) = of_declared(&world);
    let hash = other_template(&world, &config);
    world.api.edit(&deployment, |deployment| {
        deployment["metadata"]["annotations"][TEMPLATE_HASH] = hash.into();
        let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array_mut().unwrap();
        arguments.push("--other".into());
    });
    let running = arguments(&world, &deployment);
    world.settle("iris").await;
    assert_eq!(arguments(&world, &deployment), running);
    world.api.take_writes();
    world.pass("iris").await.unwrap();
    assert!(world.api.take_writes().is_empty());

    world.edit("iris", second_model);
    world.pass("iris").await.unwrap();
    let (next, _) = of_declared(&world);
    assert_ne!(arguments(&world, &next), running, "made by this one");
    assert_eq!(arguments(&world, &deployment), running);
}

#[tokio::test]
async fn a_template_that_no_deployment_vouches_for_makes_no_pods() {
    let mut world = settled(|_| {}).await;
    let (deployment, config) = of_declared(&world);
    let running = arguments(&world, &deployment);
    other_template(&world, &config);
    world.settle("iris").await;
    assert_eq!(arguments(&world, &deployment), running);
    world.api.state().objects.remove(&deployment);
    world.settle("iris").await;
    assert_eq!(arguments(&world, &deployment), running);
}

/// Pods as they were made when there were no policies.
fn forget_policy(pod: &mut Value) {
    let drop = |list: &mut Value, drops: &dyn Fn(&Value) -> bool| {
        list.as_array_mut().unwrap().retain(|item| !drops(item));
    };
    drop(&mut pod["volumes"], &|volume| volume["name"] == "policy");
    let container = &mut pod["containers"][0];
    drop(&mut container["volumeMounts"], &|mount| {
        mount["name"] == "policy"
    });
    drop(&mut container["args"], &|arg| {
        arg == "--policy" || arg == "/etc/serin/policy/policy.json"
    });
}

#[tokio::test]
async fn a_revision_of_before_policies_is_rebuilt_without_them() {
    let mut world = settled(|_| {}).await;
    let (deployment, config) = of_declared(&world);
    world.api.edit(&config, |config| {
        let text = config["data"][TEMPLATE_KEY].as_str().unwrap();
        let mut template: Value = serde_json::from_str(text).unwrap();
        forget_policy(&mut template["spec"]);
        config["data"][TEMPLATE_KEY] = template.to_string().into();
    });
    world.api.state().objects.remove(&deployment);
    world.settle("iris").await;
    let rebuilt = arguments(&world, &deployment);
    assert!(!rebuilt.contains(&json!("--policy")), "{rebuilt:?}");
    assert_eq!(world.condition("iris", "Ready").0, "True");
}

#[tokio::test]
async fn a_revision_that_was_stored_without_its_template_is_read() {
    let mut world = settled(|_| {}).await;
    let (deployment, config) = of_declared(&world);
    let without = |object: &mut Value, field: &str, key: &str| {
        let keys = object.pointer_mut(field).unwrap();
        keys.as_object_mut().unwrap().remove(key).unwrap();
    };
    world
        .api
        .edit(&config, |config| without(config, "/data", TEMPLATE_KEY));
    world.api.edit(&deployment, |deployment| {
        without(deployment, "/metadata/annotations", TEMPLATE_HASH);
        forget_policy(&mut deployment["spec"]["template"]["spec"]);
    });
    let running = arguments(&world, &deployment);
    assert!(!running.contains(&json!("--policy")));
    world.settle("iris").await;
    assert_eq!(arguments(&world, &deployment), running);
    assert_eq!(world.condition("iris", "Ready").0, "True");
}
