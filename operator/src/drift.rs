//! Whether a live object still holds what was applied to it.

use serde_json::{Map, Value};

use crate::child::{APPLIED_HASH, Child};
use crate::quantity;

/// Fields that name an element of a list, where Kubernetes merges the list by them. Other lists
/// are compared place by place.
const LIST_KEYS: [&str; 5] = ["name", "mountPath", "containerPort", "port", "topologyKey"];

/// Maps that say who is meant. A key that somebody adds changes the answer, up to a Service that
/// leads to no pod, and Kubernetes merges none of them: they are compared as a whole.
const WHOLE_MAPS: [&str; 3] = ["selector", "nodeSelector", "matchLabels"];

/// Maps to which others may add keys. Here an empty value is a value: the API server keeps it.
const SHARED_MAPS: [&str; 3] = ["labels", "annotations", "data"];

/// Fields that hold one amount.
const AMOUNTS: [&str; 2] = ["sizeLimit", "tolerance"];

/// Whether `live` needs no write: what was last applied to it is `child`, and nobody has changed
/// a field of it since. Fields that `child` does not speak of are others' business.
pub fn up_to_date(child: &Child, live: &Value) -> bool {
    live["metadata"]["annotations"][APPLIED_HASH] == child.hash.as_str()
        && holds(&child.body, live, false)
}

/// `quantities`: strings below are amounts, compared by value.
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
    let Some(key) = list_key(desired) else {
        return desired.len() == live.len()
            && desired
                .iter()
                .zip(live)
                .all(|(desired, live)| holds(desired, live, false));
    };
    desired.iter().all(|element| {
        live.iter()
            .find(|candidate| candidate[key] == element[key])
            .is_some_and(|candidate| holds(element, candidate, false))
    })
}

/// The field whose values tell the elements apart, where there is one.
fn list_key(elements: &[Value]) -> Option<&'static str> {
    LIST_KEYS
        .into_iter()
        .find(|key| {
            elements.iter().enumerate().all(|(index, element)| {
                !element[*key].is_null()
                    && elements[..index]
                        .iter()
                        .all(|other| other[*key] != element[*key])
            })
        })
        .filter(|_| !elements.is_empty())
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

    fn same(desired: &Value, live: &Value) -> bool {
        holds(desired, live, false)
    }

    #[test]
    fn what_others_add_is_no_drift() {
        let desired = json!({"spec": {"containers": [{"name": "server", "image": "a"}]}});
        let live = json!({"spec": {"replicas": 3, "containers": [
            {"name": "sidecar", "image": "z"},
            {"name": "server", "image": "a", "imagePullPolicy": "Always"},
        ]}});
        assert!(same(&desired, &live));
    }

    #[test]
    fn a_changed_or_missing_field_is_drift() {
        let desired = json!({"containers": [{"name": "server", "image": "a"}]});
        assert!(!same(
            &desired,
            &json!({"containers": [{"name": "server", "image": "b"}]})
        ));
        assert!(!same(
            &desired,
            &json!({"containers": [{"name": "other", "image": "a"}]})
        ));
        assert!(!same(&desired, &json!({})));
    }

    #[test]
    fn lists_without_a_key_are_compared_place_by_place() {
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
        let child = Child::new(
            crate::child_kind::ChildKind::Service,
            "a",
            &json!({"metadata": {"name": "a"}}),
        );
        assert!(up_to_date(&child, &child.body));
        let mut other = child.body.clone();
        other["metadata"]["annotations"][APPLIED_HASH] = json!("0");
        assert!(!up_to_date(&child, &other));
    }
}
