//! Bounds of `spec.autoscaling.behavior`.
//!
//! The type is Kubernetes' own and its schema bounds nothing: the API server checks the values
//! when the HorizontalPodAutoscaler is written, which is long after the user has been told that
//! the service is accepted. The same checks here (`validateScalingRules` of Kubernetes) refuse a
//! wrong value at once, and in `serin check`.

use schemars::Schema;
use serde_json::{Value, json};

/// Adds what the API server demands of a HorizontalPodAutoscaler's behavior.
pub(super) fn bounded(behavior: &mut Schema) {
    for direction in ["scaleUp", "scaleDown"] {
        let rules = format!("/properties/{direction}/properties");
        let policies = format!("{rules}/policies");
        let policy = format!("{policies}/items/properties");
        let bounds = [
            (
                format!("{rules}/stabilizationWindowSeconds"),
                json!({"minimum": 0, "maximum": 3600}),
            ),
            (
                format!("{rules}/selectPolicy"),
                json!({"enum": ["Max", "Min", "Disabled"]}),
            ),
            (policies, json!({"minItems": 1})),
            (
                format!("{policy}/type"),
                json!({"enum": ["Pods", "Percent"]}),
            ),
            (format!("{policy}/value"), json!({"minimum": 1})),
            (
                format!("{policy}/periodSeconds"),
                json!({"minimum": 1, "maximum": 1800}),
            ),
        ];
        for (field, bound) in bounds {
            add(behavior, &field, bound);
        }
    }
}

/// Where a newer Kubernetes renames a field, the tests of the definition miss its bound.
fn add(behavior: &mut Schema, field: &str, bound: Value) {
    if let (Some(Value::Object(field)), Value::Object(bound)) = (behavior.pointer_mut(field), bound)
    {
        field.extend(bound);
    }
}
