//! What would be right instead: the second half of every message.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};

use super::nearest::nearest;
use super::node::{Kind, Node, integral};
use super::schema_check::joined;

/// The forms that patterns describe, for people: the end of a field's path, and what to write.
pub(super) const FORMS: [(&str, &str); 12] = [
    (
        "spec.model.source.uri",
        "give https://HOST/PATH, pvc://CLAIM/PATH, configmap://NAME/KEY, configmap://NAME or (for `serin run`) file:///PATH, for example configmap://iris-model/iris.onnx",
    ),
    (
        "spec.model.source.digest",
        "give `sha256:` and 64 lower-case hexadecimal digits, as `sha256sum FILE` prints them",
    ),
    (
        "spec.model.name",
        "use letters, digits, '-', '_' and '.', with a letter or digit at both ends, for example iris",
    ),
    (
        "spec.model.version",
        "use letters, digits, '-', '_' and '.', with a letter or digit at both ends, for example \"2\"",
    ),
    ("cpu", "give processor cores, for example \"2\" or \"500m\""),
    ("memory", "give bytes, for example \"512Mi\" or \"4Gi\""),
    (
        "spec.gpu.resource",
        "give an extended resource, for example nvidia.com/gpu",
    ),
    (
        "spec.podTemplate.metadata.labels[]",
        "a label value has letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    ),
    (
        "metadata.labels[]",
        "a label value has letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    ),
    (
        "nodeSelector[]",
        "a label value has letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    ),
    (
        "metadata.name",
        "use lower-case letters, digits and '-', for example iris",
    ),
    (
        "metadata.namespace",
        "use lower-case letters, digits and '-', for example default",
    ),
];

/// The form of the field at `path`, where one is written down.
pub(super) fn form_of(path: &str) -> Option<&'static str> {
    let path = path
        .split_once('[')
        .map_or_else(|| path.to_owned(), |(map, _)| format!("{map}[]"));
    FORMS
        .iter()
        .find(|(field, _)| path == *field || path.ends_with(&format!(".{field}")))
        .map(|(_, form)| *form)
}

pub(super) fn for_misformed(schema: &JSONSchemaProps, path: &str, text: &str) -> String {
    let form = form_of(path).map_or_else(
        || match &schema.pattern {
            Some(pattern) => format!("it must match {pattern}"),
            None => "write something, or leave the field out".to_owned(),
        },
        str::to_owned,
    );
    if text.is_empty() || text.trim() == text {
        form
    } else {
        format!("remove the white space around it: {form}")
    }
}

pub(super) fn for_wrong_type(
    schema: &JSONSchemaProps,
    node: &Node,
    path: &str,
    written: Option<&str>,
) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    match (schema.type_.as_deref(), &node.kind) {
        (Some("string"), Kind::Number(_) | Kind::Bool(_)) => match written {
            Some(written) => format!("put quotes around it: {name}: \"{written}\""),
            None => "put quotes around it".to_owned(),
        },
        (Some("integer"), Kind::Text(text)) if text.trim().parse::<i64>().is_ok() => {
            format!("remove the quotes: {name}: {}", text.trim())
        }
        (Some("integer"), Kind::Number(number)) if integral(number).is_none() => {
            "write it without a fraction".to_owned()
        }
        (Some("boolean"), _) => format!("write {name}: true or {name}: false"),
        (Some("array"), _) => format!("write a list below `{name}:`, each item after `- `"),
        (Some("object"), _) => match fields(schema) {
            Some(fields) => format!("write its fields below `{name}:`, indented: {fields}"),
            None => format!("write `key: value` lines below `{name}:`, indented"),
        },
        (Some("integer"), _) => format!("write {name}: 1, for example"),
        _ => form_of(path).map_or_else(|| "write a text".to_owned(), str::to_owned),
    }
}

pub(super) fn for_missing_field(schema: &JSONSchemaProps, path: &str, name: &str) -> String {
    if let Some(form) = form_of(path) {
        return format!("add `{name}: …`: {form}");
    }
    let field = schema
        .properties
        .as_ref()
        .and_then(|fields| fields.get(name));
    match field.and_then(fields) {
        Some(fields) => format!("add `{name}:` with its fields: {fields}"),
        None => format!("add `{name}: …`"),
    }
}

pub(super) fn for_unknown_value(allowed: &[&str], text: &str) -> String {
    match nearest(text, allowed.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("give one of {}", allowed.join(", ")),
    }
}

pub(super) fn for_unknown_field(
    root: &JSONSchemaProps,
    schema: &JSONSchemaProps,
    path: &str,
    name: &str,
) -> String {
    let known = schema
        .properties
        .iter()
        .flatten()
        .map(|(field, _)| field.as_str());
    if let Some(meant) = nearest(name, known) {
        return format!("did you mean `{meant}`?");
    }
    let mut elsewhere = Vec::new();
    paths_of(root, "", name, 4, &mut elsewhere);
    match (elsewhere.as_slice(), fields(schema)) {
        ([only], _) => format!("it belongs at {only}"),
        (_, Some(fields)) => format!(
            "the fields of {} are {fields}",
            if path.is_empty() { "the object" } else { path }
        ),
        (_, None) => "remove it".to_owned(),
    }
}

/// Where fields called `name` stand in our own part of the schema, `depth` levels deep.
fn paths_of(
    schema: &JSONSchemaProps,
    path: &str,
    name: &str,
    depth: usize,
    found: &mut Vec<String>,
) {
    if depth == 0 || path == "status" {
        return;
    }
    for (field, below) in schema.properties.iter().flatten() {
        let at = joined(path, field);
        if field == name {
            found.push(at.clone());
        }
        paths_of(below, &at, name, depth - 1, found);
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &below.items {
            paths_of(items, &format!("{at}[]"), name, depth - 1, found);
        }
    }
}

fn fields(schema: &JSONSchemaProps) -> Option<String> {
    let names: Vec<&str> = schema
        .properties
        .as_ref()?
        .keys()
        .map(String::as_str)
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}
