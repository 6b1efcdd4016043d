//! What pods report of themselves.

use super::*;

#[tokio::test]
async fn a_pass_reports_what_a_pod_said_last_and_asks_no_pod_itself() {
    let mut world = World::with(&service("iris"));
    world.pass("iris").await.unwrap();
    let mut starting = pod(&revision(&world), json!({"running": {}}));
    // Nobody listens there: a pass that asked would wait for its deadline.
    starting["status"]["podIP"] = json!("192.0.2.1");
    world.api.put(&format!("{PODS}/p"), starting);
    let uid = world.api.get(&format!("{PODS}/p")).unwrap()["metadata"]["uid"].clone();

    world.pass("iris").await.unwrap();
    assert_eq!(world.condition("iris", "Ready").1, "Progressing");

    let report = json!({"phase": "Loading", "message": "fetching https://h.example/m.onnx"});
    let report = serde_json::from_value(report).unwrap();
    world.context.reports.keep(uid.as_str().unwrap(), report);
    world.pass("iris").await.unwrap();
    let (status, reason, message) = world.condition("iris", "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Loading"));
    assert_eq!(message, "pod p: fetching https://h.example/m.onnx");
}
