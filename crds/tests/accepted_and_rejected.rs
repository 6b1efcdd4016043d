//! Every rule, pattern and bound of the definition, with a manifest it accepts and one it refuses.
//!
//! The manifests are whole documents, so that the end-to-end tests can put the same ones before a
//! real API server.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serin_crds::manifest::{Service, parse};
use serin_crds::schema::{EMBEDDED, shipped_schema};

struct Case {
    name: String,
    text: String,
    says: Vec<String>,
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/manifests")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let after = |document: &str, mark: &str| -> Vec<String> {
        let lines = document.lines().filter_map(|line| line.strip_prefix(mark));
        lines.map(str::to_owned).collect()
    };
    text.split("\n---\n")
        .skip(1)
        .map(|document| Case {
            name: after(document, "# case: ").remove(0),
            says: after(document, "# says: "),
            text: document.to_owned(),
        })
        .collect()
}

fn accepted(case: &Case) -> Service {
    let mut manifest =
        parse("m.yaml", &case.text).unwrap_or_else(|problems| panic!("{}\n{problems}", case.name));
    assert_eq!(manifest.services.len(), 1, "{}", case.name);
    manifest.services.remove(0)
}

fn refused(case: &Case) -> String {
    match parse("m.yaml", &case.text) {
        Ok(_) => panic!("accepted: {}", case.name),
        Err(problems) => problems.to_string(),
    }
}

fn changed(before: &Case, after: &Case) -> String {
    let problems = accepted(after).problems_over(&accepted(before));
    problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

/// Path of each field of our own below `spec`, with its schema.
fn fields(schema: &JSONSchemaProps, path: &str, found: &mut Vec<(String, JSONSchemaProps)>) {
    found.push((path.to_owned(), schema.clone()));
    if EMBEDDED.contains(&path) {
        return;
    }
    for (name, field) in schema.properties.iter().flatten() {
        fields(field, &format!("{path}.{name}"), found);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        fields(items, path, found);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        found.push((format!("{path}["), (**values).clone()));
    }
}

fn our_fields() -> Vec<(String, JSONSchemaProps)> {
    let mut found = Vec::new();
    fields(
        &shipped_schema().properties.unwrap()["spec"],
        "spec",
        &mut found,
    );
    found
}

#[test]
fn what_is_right_is_accepted() {
    for case in cases("accepted.yaml") {
        accepted(&case);
    }
}

#[test]
fn what_is_wrong_is_refused_with_place_value_and_help() {
    for case in cases("rejected.yaml") {
        let message = refused(&case);
        assert!(!case.says.is_empty(), "{}", case.name);
        for says in &case.says {
            assert!(
                message.contains(says),
                "{}: {says}\nis not in\n{message}",
                case.name
            );
        }
    }
}

#[test]
fn a_change_is_judged_by_what_was_there_before() {
    for pair in cases("transitions.yaml").chunks(2) {
        let message = changed(&pair[0], &pair[1]);
        assert_eq!(
            message.is_empty(),
            pair[1].says.is_empty(),
            "{}\n{message}",
            pair[1].name
        );
        for says in &pair[1].says {
            assert!(
                message.contains(says),
                "{}: {says}\nis not in\n{message}",
                pair[1].name
            );
        }
    }
}

#[test]
fn every_rule_has_a_manifest_that_breaks_it() {
    let mut said: String = cases("rejected.yaml").iter().map(refused).collect();
    for pair in cases("transitions.yaml").chunks(2) {
        said.push_str(&changed(&pair[0], &pair[1]));
    }
    let root = shipped_schema()
        .x_kubernetes_validations
        .unwrap_or_default();
    let below = our_fields()
        .into_iter()
        .flat_map(|(_, field)| field.x_kubernetes_validations.unwrap_or_default());
    let mut rules = 0;
    for rule in root.into_iter().chain(below) {
        let message = rule
            .message
            .unwrap_or_else(|| panic!("{} has no message", rule.rule));
        assert!(
            said.contains(&message),
            "no rejected manifest breaks: {message}"
        );
        rules += 1;
    }
    assert!(rules >= 14, "found only {rules} rules");
}

#[test]
fn every_pattern_has_a_manifest_that_breaks_it() {
    let said: String = cases("rejected.yaml").iter().map(refused).collect();
    let mut patterns = 0;
    for (path, field) in our_fields() {
        let Some(pattern) = field.pattern else {
            continue;
        };
        let colon = if path.ends_with('[') { "" } else { ":" };
        let broken = said.lines().any(|line| {
            line.contains(&format!(" {path}{colon}"))
                && line.contains("not in the form this field takes")
        });
        assert!(broken, "no rejected manifest breaks the pattern of {path}");
        // Go's and Rust's classes of these names differ outside ASCII.
        for class in [r"\s", r"\w", r"\d", r"\b"] {
            assert!(!pattern.contains(class), "{path}: write {class} out");
        }
        patterns += 1;
    }
    assert!(patterns >= 10, "found only {patterns} patterns");
}

#[test]
fn every_field_stands_in_an_accepted_manifest() {
    let services: Vec<Service> = cases("accepted.yaml").iter().map(accepted).collect();
    let mut unused = BTreeSet::new();
    for (path, _) in our_fields() {
        let path = path
            .trim_end_matches('[')
            .replace(".metrics.", ".metrics[0].");
        if !services.iter().any(|service| service.states(&path)) {
            unused.insert(path);
        }
    }
    assert!(unused.is_empty(), "in no accepted manifest: {unused:?}");
}
