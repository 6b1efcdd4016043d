//! The definition's CEL rules, run in this process.

use std::sync::{Arc, LazyLock};

use kube::core::cel::Validator;
use serde_json::Value;

use super::node::Node;
use super::problem::{Problem, Source};
use super::schema_check::shown;
use crate::schema::shipped_schema;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(shipped_schema()).unwrap_or_default());

/// The rules that `new` breaks, each at the field that the rule names. With `old`, the rules about
/// changes apply too.
pub(super) fn broken(
    source: &Arc<Source>,
    root: &Node,
    new: &Value,
    old: Option<&Value>,
) -> Vec<Problem> {
    let Err(errors) = Validator::new().validate(&SCHEMA, new, old) else {
        return Vec::new();
    };
    errors
        .into_vec()
        .into_iter()
        .map(|error| {
            let mut field = error.field_path.trim_start_matches('.').to_owned();
            // The rules of a whole object are about its name.
            if field.is_empty() {
                field.push_str("metadata.name");
            }
            let (place, node) = root.locate(&field);
            let problem = Problem::at(source, place, &field, error.message);
            match node.and_then(|node| shown(source, node)) {
                Some(found) => problem.found(found),
                None => problem,
            }
        })
        .collect()
}
