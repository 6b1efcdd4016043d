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
    AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, INFERENCE_SERVICES, PODS, SERVICES, World,
};

mod children;
mod passing;
mod policy;
mod refusals;
mod reported;
mod revisions;
mod sizes;
mod survival;
mod templates;

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
    let object = world
        .api
        .get(&format!("{INFERENCE_SERVICES}/iris"))
        .unwrap();
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
