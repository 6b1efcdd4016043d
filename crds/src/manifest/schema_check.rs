//! A document against an OpenAPI schema, as the API server checks it.
//!
//! Covers the keywords that the shipped definition uses; a test below fails when it starts to use
//! another one.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;

use super::node::{Entry, Kind, Node, integral};
use super::problem::{Place, Problem, Source, quoted, source_text};
use super::suggestions;

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
    fn report(&mut self, problem: Problem) {
        self.found.problems.push(problem);
    }

    /// Reports a fault after which rules cannot run.
    fn block(&mut self, problem: Problem) {
        self.report(problem);
        self.found.blocking = true;
    }

    fn at(&self, place: Place, path: &str, wrong: impl Into<String>) -> Problem {
        Problem::at(self.source, place, path, wrong)
    }

    fn value(&mut self, schema: &JSONSchemaProps, node: &Node, path: &str, anchor: Place) {
        let int_or_string = schema.x_kubernetes_int_or_string == Some(true);
        match (schema.type_.as_deref(), &node.kind) {
            (_, Kind::Number(_) | Kind::Text(_)) if int_or_string => {}
            (None, _) if !int_or_string => {}
            (Some("boolean"), Kind::Bool(_)) => {}
            (Some("object"), Kind::Map(entries)) => self.object(schema, entries, path, anchor),
            (Some("array"), Kind::List(items)) => self.list(schema, items, path, anchor),
            (Some("string"), Kind::Text(text)) => self.string(schema, text, node, path),
            (Some("integer"), Kind::Number(number)) if integral(number).is_some() => {
                self.integer(schema, integral(number).unwrap_or_default(), node, path);
            }
            _ => self.wrong_type(schema, node, path, anchor),
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, entries: &[Entry], path: &str, anchor: Place) {
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            if let Some(most) = exceeded(schema.max_properties, entries.len()) {
                let problem = self.at(anchor, path, "too many entries");
                self.block(
                    problem
                        .found(entries.len().to_string())
                        .help(format!("keep at most {most}")),
                );
            }
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
                    let help = suggestions::for_unknown_field(self.root, schema, path, &entry.key);
                    let found = self.shown(&entry.value);
                    let problem = self.at(entry.key_place, &field_path, "unknown field");
                    self.report(problem.found(found).help(help));
                }
            }
        }
        for name in schema.required.iter().flatten() {
            if !entries
                .iter()
                .any(|entry| entry.key == *name && !entry.value.is_null())
            {
                let field_path = joined(path, name);
                let help = suggestions::for_missing_field(schema, &field_path, name);
                self.block(
                    self.at(anchor, &field_path, "required, but missing")
                        .help(help),
                );
            }
        }
    }

    fn list(&mut self, schema: &JSONSchemaProps, items: &[Node], path: &str, anchor: Place) {
        let too_many = exceeded(schema.max_items, items.len());
        if let Some(most) = too_many {
            let problem = self.at(anchor, path, "too many items");
            self.block(
                problem
                    .found(items.len().to_string())
                    .help(format!("keep at most {most}")),
            );
        }
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if let Some(least) = schema.min_items.filter(|least| count < *least) {
            let problem = self.at(anchor, path, "too few items");
            let help = format!("give at least {least}, or remove the list");
            self.report(problem.found(count.to_string()).help(help));
        }
        let Some(JSONSchemaPropsOrArray::Schema(item_schema)) = &schema.items else {
            return;
        };
        for (index, item) in items.iter().enumerate() {
            self.value(item_schema, item, &format!("{path}[{index}]"), item.place);
        }
        if too_many.is_some() {
            return;
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
                let problem = self.at(item.place, &format!("{path}[{index}]"), "listed twice");
                self.report(problem.found(shown).help("keep one of them"));
            }
        }
    }

    fn string(&mut self, schema: &JSONSchemaProps, text: &str, node: &Node, path: &str) {
        let at = |wrong: String| self.at(node.place, path, wrong).found(quoted(text));
        if let Some(allowed) = &schema.enum_ {
            let allowed: Vec<&str> = allowed
                .iter()
                .filter_map(|value| value.0.as_str())
                .collect();
            if !allowed.contains(&text) {
                let help = suggestions::for_unknown_value(&allowed, text);
                self.report(at("unknown value".to_owned()).help(help));
            }
            return;
        }
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(most) = schema.max_length.filter(|most| length > *most) {
            let wrong = format!("too long: {length} characters where {most} are allowed");
            self.block(at(wrong).help(format!("use at most {most} characters")));
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
            let help = suggestions::for_misformed(schema, path, text);
            self.report(at(wrong.to_owned()).help(help));
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
            let help = match (schema.minimum, schema.maximum) {
                (Some(_), None) => format!("give {least} or more"),
                _ => format!("give a number from {least} to {most}"),
            };
            let wrong = if value < least {
                "too small"
            } else {
                "too large"
            };
            let found = self.shown(node);
            self.report(self.at(node.place, path, wrong).found(found).help(help));
        }
    }

    fn wrong_type(&mut self, schema: &JSONSchemaProps, node: &Node, path: &str, anchor: Place) {
        let wanted = match schema.type_.as_deref() {
            Some("object") => "a mapping",
            Some("array") => "a list",
            Some("string") => "a text",
            Some("integer") => "a whole number",
            Some("boolean") => "true or false",
            _ => "a whole number or a text",
        };
        let help =
            suggestions::for_wrong_type(schema, node, path, source_text(self.source, node.place));
        // A missing value has no place of its own worth pointing at.
        let place = if node.is_null() { anchor } else { node.place };
        let found = match self.shown(node) {
            Some(shown) => format!("{} {shown}", kind_of(node)),
            None => kind_of(node).to_owned(),
        };
        self.block(
            self.at(place, path, format!("must be {wanted}"))
                .found(found)
                .help(help),
        );
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

fn exceeded(most: Option<i64>, count: usize) -> Option<i64> {
    most.filter(|most| i64::try_from(count).is_ok_and(|count| count > *most))
}
