//! Drift: whether a live object differs from what was applied to it.

use serde_json::{Map, Value};

use crate::child::{APPLIED_HASH, Child};
use crate::child_kind::{ChildObject, ChildType, KindVisitor};
use crate::quantity;

/// Maps that select objects. An added key changes the selection, and Kubernetes merges none of these
/// maps: they are compared as a whole.
const WHOLE_MAPS: [&str; 3] = ["selector", "nodeSelector", "matchLabels"];

/// Maps to which other field managers may add keys. The API server keeps empty values in them.
const SHARED_MAPS: [&str; 3] = ["labels", "annotations", "data"];

/// Fields whose value is a quantity.
const AMOUNTS: [&str; 2] = ["sizeLimit", "tolerance"];

/// Whether `live` needs no write: `child` was the last applied body, and none of its fields has
/// changed since. Fields that `child` does not set are ignored.
pub fn up_to_date(child: &Child, live: &ChildObject) -> bool {
    let annotations = live.metadata().annotations.as_ref();
    let applied = annotations.and_then(|annotations| annotations.get(APPLIED_HASH));
    if applied != Some(&child.hash) {
        return false;
    }
    let json = live.json();
    // By position first. Where others have added elements to a list, such as a sidecar, elements are
    // matched by the keys that Kubernetes merges the list by: without drift a merge changes nothing.
    holds(&child.body, &json, false)
        || merged(&child.body, live).is_some_and(|merged| holds(&merged, &json, false))
}

/// `live` with every field of `desired`; `None` where `desired` is no object of the kind.
fn merged(desired: &Value, live: &ChildObject) -> Option<Value> {
    struct Merge<'a>(&'a Value, &'a ChildObject);
    impl KindVisitor for Merge<'_> {
        type Output = Option<Value>;
        fn visit<K: ChildType>(self) -> Self::Output {
            let Self(desired, live) = self;
            let mut merged = live.typed::<K>()?.clone();
            merged.merge_from(serde_json::from_value(desired.clone()).ok()?);
            serde_json::to_value(merged).ok()
        }
    }
    live.kind().visit(Merge(desired, live))
}

/// `quantities`: strings are quantities and compared by value.
fn holds(desired: &Value, live: &Value, quantities: bool) -> bool {
    match (desired, live) {
        (Value::Null, _) => true,
        (Value::Object(desired), Value::Object(live)) => object_holds(desired, live),
        (Value::Array(desired), Value::Array(live)) => list_holds(desired, live),
        (Value::String(desired), Value::String(live)) => {
            desired == live || quantities && quantity::equal(desired, live)
        }
        (Value::Number(desired), Value::Number(live)) => desired.as_f64() == live.as_f64(),
        (desired, Value::Null) => is_empty(desired),
        (desired, live) => desired == live,
    }
}

fn object_holds(desired: &Map<String, Value>, live: &Map<String, Value>) -> bool {
    desired.iter().all(|(key, value)| {
        let live = live.get(key).unwrap_or(&Value::Null);
        match (key.as_str(), value, live) {
            ("limits" | "requests", Value::Object(desired), Value::Object(live)) => desired
                .iter()
                .all(|(name, amount)| holds(amount, live.get(name).unwrap_or(&Value::Null), true)),
            (map, Value::Object(desired), Value::Object(live)) if WHOLE_MAPS.contains(&map) => {
                desired == live
            }
            (map, Value::Object(desired), Value::Object(live)) if SHARED_MAPS.contains(&map) => {
                desired
                    .iter()
                    .all(|(key, text)| live.get(key) == Some(text))
            }
            (field, value, live) => holds(value, live, AMOUNTS.contains(&field)),
        }
    })
}

fn list_holds(desired: &[Value], live: &[Value]) -> bool {
    desired.len() == live.len()
        && desired
            .iter()
            .zip(live)
            .all(|(desired, live)| holds(desired, live, false))
}

/// Whether the API server may leave a field out that has this value.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::child_kind::ChildKind;

    fn same(desired: &Value, live: &Value) -> bool {
        holds(desired, live, false)
    }

    fn deployment(pod: &Value) -> Child {
        let object = json!({
            "metadata": {"name": "a"},
            "spec": {"selector": {}, "template": {"spec": pod}},
        });
        Child::new(ChildKind::Deployment, "a", &object)
    }

    /// Whether a Deployment with the pods `desired` is up to date after somebody's `change`.
    fn stands(desired: &Value, change: impl FnOnce(&mut Value)) -> bool {
        let child = deployment(desired);
        let mut live = child.body.clone();
        change(&mut live["spec"]);
        up_to_date(&child, &ChildObject::read(child.kind, live).unwrap())
    }

    fn server() -> Value {
        json!({"containers": [{"name": "server", "image": "a", "ports": [
            {"containerPort": 8080, "name": "http"}, {"containerPort": 8081, "name": "grpc"},
        ]}]})
    }

    #[test]
    fn what_others_add_is_no_drift() {
        assert!(stands(&server(), |spec| {
            spec["replicas"] = json!(3);
            let pod = &mut spec["template"]["spec"];
            pod["containers"][0]["imagePullPolicy"] = json!("Always");
            let containers = pod["containers"].as_array_mut().unwrap();
            containers.insert(0, json!({"name": "sidecar", "image": "z"}));
            pod["volumes"] = json!([{"name": "injected", "emptyDir": {}}]);
        }));
    }

    #[test]
    fn a_changed_or_missing_field_is_drift() {
        for change in [
            json!([{"name": "server", "image": "b"}]),
            json!([{"name": "other", "image": "a"}]),
            json!([]),
        ] {
            assert!(!stands(&server(), |spec| {
                spec["template"]["spec"]["containers"] = change;
            }));
        }
        assert!(!stands(&server(), |spec| {
            let containers = &mut spec["template"]["spec"]["containers"];
            containers[0]["image"] = json!("b");
            let containers = containers.as_array_mut().unwrap();
            containers.push(json!({"name": "sidecar"}));
        }));
    }

    #[test]
    fn two_elements_that_kubernetes_names_alike_are_no_drift() {
        let spread =
            |when: &str| json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when});
        let pod = json!({
            "containers": [],
            "topologySpreadConstraints": [spread("DoNotSchedule"), spread("ScheduleAnyway")],
        });
        assert!(stands(&pod, |_| {}));
    }

    #[test]
    fn a_field_of_a_later_kubernetes_that_cannot_be_read_back_is_no_drift() {
        let mut pod = server();
        pod["containers"][0]["fieldOfTomorrow"] = json!(true);
        assert!(stands(&pod, |_| {}));
    }

    #[test]
    fn lists_are_compared_place_by_place() {
        let desired = json!({"args": ["a", "b"]});
        assert!(same(&desired, &json!({"args": ["a", "b"]})));
        assert!(!same(&desired, &json!({"args": ["b", "a"]})));
        assert!(!same(&desired, &json!({"args": ["a", "b", "c"]})));
    }

    #[test]
    fn amounts_are_compared_by_value_and_other_strings_are_not() {
        let desired = json!({"limits": {"cpu": "0.5"}, "emptyDir": {"sizeLimit": "1024Mi"}});
        assert!(same(
            &desired,
            &json!({"limits": {"cpu": "500m"}, "emptyDir": {"sizeLimit": "1Gi"}})
        ));
        assert!(same(
            &json!({"behavior": {"scaleUp": {"tolerance": "0.1"}}}),
            &json!({"behavior": {"scaleUp": {"tolerance": "100m"}}})
        ));
        assert!(!same(&json!({"args": ["1.0"]}), &json!({"args": ["1"]})));
    }

    #[test]
    fn what_is_empty_may_be_absent() {
        assert!(same(&json!({"emptyDir": {}, "env": []}), &json!({})));
        assert!(same(
            &json!({"tolerations": [{"key": "gpu", "value": "", "effect": ""}]}),
            &json!({"tolerations": [{"key": "gpu"}]})
        ));
    }

    #[test]
    fn a_key_added_to_a_map_that_selects_is_drift() {
        for map in ["selector", "nodeSelector", "matchLabels"] {
            let desired = json!({"spec": {map: {"a": "b"}}});
            assert!(same(&desired, &desired), "{map}");
            assert!(
                !same(&desired, &json!({"spec": {map: {"a": "b", "x": ""}}})),
                "{map}"
            );
            assert!(!same(&desired, &json!({"spec": {}})), "{map}");
        }
    }

    #[test]
    fn a_label_without_a_value_is_not_the_same_as_none() {
        for map in ["labels", "annotations", "data", "nodeSelector"] {
            let desired = json!({map: {"a": ""}});
            assert!(!same(&desired, &json!({map: {"b": "c"}})), "{map}");
            assert!(!same(&desired, &json!({})), "{map}");
        }
        let live = json!({"labels": {"a": "", "b": "c"}});
        assert!(same(&json!({"labels": {"a": ""}}), &live));
    }

    #[test]
    fn a_child_without_our_annotation_is_written_again() {
        let object = json!({"metadata": {"name": "a"}});
        let child = Child::new(ChildKind::Service, "a", &object);
        let live = |json: Value| ChildObject::read(child.kind, json).unwrap();
        assert!(up_to_date(&child, &live(child.body.clone())));
        let mut other = child.body.clone();
        other["metadata"]["annotations"][APPLIED_HASH] = json!("0");
        assert!(!up_to_date(&child, &live(other)));
    }
}
