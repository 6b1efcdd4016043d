//! A document against an OpenAPI schema, as the API server checks it.
//!
//! Covers the keywords that the shipped definition uses; a test below fails when it starts to use
//! another one.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;

use super::cures;
use super::node::{Entry, Kind, Node, integral};
use super::problem::{Place, Problem, Source, quoted, source_text};

/// What a check found.
pub(super) struct Checked {
    pub(super) problems: Vec<Problem>,
    /// A value has the wrong type or size, or a required one is missing: rules cannot run.
    pub(super) blocking: bool,
}

/// Checks `node`, which stands at `path` ("" for a whole document) below a key at `anchor`.
pub(super) fn check(
    source: &Arc<Source>,
    schema: &JSONSchemaProps,
    node: &Node,
    path: &str,
    anchor: Place,
) -> Checked {
    let mut check = Check {
        source,
        root: schema,
        found: Checked {
            problems: Vec::new(),
            blocking: false,
        },
    };
    check.value(schema, node, path, anchor);
    check.found
}

struct Check<'a> {
    source: &'a Arc<Source>,
    root: &'a JSONSchemaProps,
    found: Checked,
}

impl Check<'_> {
    fn report(
        &mut self,
        place: Place,
        path: &str,
        wrong: impl Into<String>,
        found: Option<String>,
        cure: String,
    ) {
        let mut problem = Problem::at(self.source, place, path, wrong).cure(cure);
        if let Some(found) = found {
            problem = problem.found(found);
        }
        self.found.problems.push(problem);
    }

    fn value(&mut self, schema: &JSONSchemaProps, node: &Node, path: &str, anchor: Place) {
        if schema.x_kubernetes_int_or_string == Some(true) {
            if !matches!(node.kind, Kind::Number(_) | Kind::Text(_)) {
                self.wrong_type("a whole number or a text", schema, node, path, anchor);
            }
            return;
        }
        match (schema.type_.as_deref(), &node.kind) {
            (None, _) | (Some("boolean"), Kind::Bool(_)) => {}
            (Some("object"), Kind::Map(entries)) => self.object(schema, entries, path, anchor),
            (Some("array"), Kind::List(items)) => self.list(schema, items, path, anchor),
            (Some("string"), Kind::Text(text)) => self.string(schema, text, node, path),
            (Some("integer"), Kind::Number(number)) => match integral(number) {
                Some(value) => self.integer(schema, value, node, path),
                None => self.wrong_type("a whole number", schema, node, path, anchor),
            },
            (Some(wanted), _) => {
                let wanted = match wanted {
                    "object" => "a mapping",
                    "array" => "a list",
                    "string" => "a text",
                    "integer" => "a whole number",
                    _ => "true or false",
                };
                self.wrong_type(wanted, schema, node, path, anchor);
            }
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, entries: &[Entry], path: &str, anchor: Place) {
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            self.at_most(
                schema.max_properties,
                entries.len(),
                "entries",
                path,
                anchor,
            );
            for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
                let path = format!("{path}[{}]", entry.key);
                self.value(values, &entry.value, &path, entry.key_place);
            }
            return;
        }
        let open = schema.x_kubernetes_preserve_unknown_fields == Some(true);
        for entry in entries {
            let field_path = joined(path, &entry.key);
            match schema
                .properties
                .as_ref()
                .and_then(|fields| fields.get(&entry.key))
            {
                Some(_) if entry.value.is_null() => {}
                Some(field) => self.value(field, &entry.value, &field_path, entry.key_place),
                None if open => {}
                None => {
                    let cure = cures::for_unknown_field(self.root, schema, path, &entry.key);
                    let found = self.shown(&entry.value);
                    self.report(entry.key_place, &field_path, "unknown field", found, cure);
                }
            }
        }
        for name in schema.required.iter().flatten() {
            if !entries
                .iter()
                .any(|entry| entry.key == *name && !entry.value.is_null())
            {
                let field_path = joined(path, name);
                let cure = cures::for_missing_field(schema, &field_path, name);
                self.report(anchor, &field_path, "required, but missing", None, cure);
                self.found.blocking = true;
            }
        }
    }

    fn list(&mut self, schema: &JSONSchemaProps, items: &[Node], path: &str, anchor: Place) {
        self.at_most(schema.max_items, items.len(), "items", path, anchor);
        let Some(JSONSchemaPropsOrArray::Schema(item_schema)) = &schema.items else {
            return;
        };
        for (index, item) in items.iter().enumerate() {
            self.value(item_schema, item, &format!("{path}[{index}]"), item.place);
        }
        // Two items are the same one when these agree: the whole value of a set's, the keys of a
        // list map's.
        let identity = |item: &Node| match schema.x_kubernetes_list_type.as_deref() {
            Some("set") => Some(vec![item.to_json()]),
            Some("map") => {
                let keys = schema.x_kubernetes_list_map_keys.iter().flatten();
                Some(
                    keys.map(|key| item.get(key).map(Node::to_json).unwrap_or_default())
                        .collect(),
                )
            }
            _ => None,
        };
        for (index, item) in items.iter().enumerate() {
            let Some(mine) = identity(item) else { return };
            if items[..index]
                .iter()
                .any(|earlier| identity(earlier).as_ref() == Some(&mine))
            {
                let shown = mine
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
                let cure = "keep one of them".to_owned();
                self.report(
                    item.place,
                    &format!("{path}[{index}]"),
                    "listed twice",
                    Some(shown),
                    cure,
                );
            }
        }
    }

    fn string(&mut self, schema: &JSONSchemaProps, text: &str, node: &Node, path: &str) {
        let found = || Some(quoted(text));
        if let Some(allowed) = &schema.enum_ {
            let allowed: Vec<&str> = allowed
                .iter()
                .filter_map(|value| value.0.as_str())
                .collect();
            if !allowed.contains(&text) {
                let cure = cures::for_unknown_value(&allowed, text);
                self.report(node.place, path, "unknown value", found(), cure);
            }
            return;
        }
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(most) = schema.max_length.filter(|most| length > *most) {
            let wrong = format!("too long: {length} characters where {most} are allowed");
            self.report(
                node.place,
                path,
                wrong,
                found(),
                format!("use at most {most} characters"),
            );
            self.found.blocking = true;
            return;
        }
        let too_short = schema.min_length.is_some_and(|least| length < least);
        let misformed = schema.pattern.as_deref().is_some_and(|pattern| {
            Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
        });
        if too_short || misformed {
            let wrong = if length == 0 {
                "empty"
            } else {
                "not in the form this field takes"
            };
            let cure = cures::for_misformed(schema, path, text);
            self.report(node.place, path, wrong, found(), cure);
        }
    }

    fn integer(&mut self, schema: &JSONSchemaProps, value: i64, node: &Node, path: &str) {
        let (lowest, highest) = match schema.format.as_deref() {
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let least = schema.minimum.map_or(lowest, |least| least as i64);
        let most = schema.maximum.map_or(highest, |most| most as i64);
        if value < least || value > most {
            let cure = match (schema.minimum, schema.maximum) {
                (Some(_), None) => format!("give {least} or more"),
                _ => format!("give a number from {least} to {most}"),
            };
            let wrong = if value < least {
                "too small"
            } else {
                "too large"
            };
            let found = self.shown(node);
            self.report(node.place, path, wrong, found, cure);
        }
    }

    fn at_most(&mut self, most: Option<i64>, count: usize, what: &str, path: &str, anchor: Place) {
        let Some(most) = most.filter(|most| i64::try_from(count).is_ok_and(|count| count > *most))
        else {
            return;
        };
        self.report(
            anchor,
            path,
            format!("too many {what}"),
            Some(count.to_string()),
            format!("keep at most {most}"),
        );
        self.found.blocking = true;
    }

    fn wrong_type(
        &mut self,
        wanted: &str,
        schema: &JSONSchemaProps,
        node: &Node,
        path: &str,
        anchor: Place,
    ) {
        let cure = cures::for_wrong_type(schema, node, path, source_text(self.source, node.place));
        // A missing value has no place of its own worth pointing at.
        let place = if node.is_null() { anchor } else { node.place };
        let found = match self.shown(node) {
            Some(shown) => format!("{} {shown}", kind_of(node)),
            None => kind_of(node).to_owned(),
        };
        self.report(place, path, format!("must be {wanted}"), Some(found), cure);
        self.found.blocking = true;
    }

    /// A scalar as the user wrote it; `None` for lists, mappings and null.
    fn shown(&self, node: &Node) -> Option<String> {
        shown(self.source, node)
    }
}

/// A scalar as the user wrote it; `None` for lists, mappings and null.
pub(super) fn shown(source: &Source, node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Text(text) => Some(quoted(text)),
        Kind::Bool(value) => {
            Some(source_text(source, node.place).map_or_else(|| value.to_string(), str::to_owned))
        }
        Kind::Number(value) => {
            Some(source_text(source, node.place).map_or_else(|| value.to_string(), str::to_owned))
        }
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

fn kind_of(node: &Node) -> &'static str {
    match node.kind {
        Kind::Null => "nothing",
        Kind::Bool(_) => "the boolean",
        Kind::Number(_) => "the number",
        Kind::Text(_) => "the text",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a mapping",
    }
}

pub(super) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
