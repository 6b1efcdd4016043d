//! One document: what kind of object it is, and whether it is a right one.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::{Value, json};

use super::node::Node;
use super::problem::{Place, Problem, Source};
use super::schema_check::{Checked, check};
use super::{ConfigMap, Origin, Other, Service, rules};
use crate::inference_service::InferenceService;
use crate::schema::shipped_schema;

/// The version of the API that this crate knows.
pub const API_VERSION: &str = "serin.dev/v1alpha1";

/// Bytes that Kubernetes allows the values of a ConfigMap.
const MAX_CONFIG_MAP_BYTES: usize = 1024 * 1024;

const KIND: &str = "InferenceService";

/// What a document turned out to be.
pub(super) enum Object {
    Service(Box<Service>),
    ConfigMap(ConfigMap),
    Other(Other),
    /// A `List`: its items.
    Many(Vec<Node>),
}

/// Reads one document.
pub(super) fn read(source: &Arc<Source>, node: Node) -> Result<Object, Vec<Problem>> {
    let text = |field: &str, example: &str| {
        node.get(field).and_then(Node::text).ok_or_else(|| {
            let (place, _) = node.locate(field);
            vec![
                Problem::at(source, place, field, "required, and must be a text")
                    .help(format!("add `{field}: {example}`")),
            ]
        })
    };
    let api_version = text("apiVersion", API_VERSION)?.to_owned();
    let kind = text("kind", KIND)?.to_owned();
    let place = node
        .entry("kind")
        .map_or(node.place, |entry| entry.value.place);
    match (api_version.as_str(), kind.as_str()) {
        ("v1", "List") => match node.get("items").map(|items| items.kind.clone()) {
            Some(super::node::Kind::List(items)) => Ok(Object::Many(items)),
            _ => Err(vec![
                Problem::at(source, place, "items", "required in a List")
                    .help("add `items:` with the objects"),
            ]),
        },
        ("v1", "ConfigMap") => config_map(source, &node).map(Object::ConfigMap),
        (API_VERSION, KIND) => {
            service(source, node).map(|service| Object::Service(Box::new(service)))
        }
        (version, KIND) if version == crate::GROUP || version.starts_with("serin.dev/") => {
            let (place, _) = node.locate("apiVersion");
            Err(vec![
                Problem::at(
                    source,
                    place,
                    "apiVersion",
                    "a version of the API that is not served",
                )
                .found(version.to_owned())
                .help(format!("write apiVersion: {API_VERSION}")),
            ])
        }
        (version, _) if version.starts_with("serin.dev/") => Err(vec![
            Problem::at(source, place, "kind", "unknown kind")
                .found(kind)
                .help(format!("write kind: {KIND}")),
        ]),
        _ => Ok(Object::Other(Other {
            file: source.name.clone(),
            line: node.place.line,
            kind,
            name: name_of(&node).unwrap_or_default(),
        })),
    }
}

static SERVICE_SCHEMA: LazyLock<JSONSchemaProps> = LazyLock::new(|| {
    let mut schema = shipped_schema();
    let fields = schema.properties.get_or_insert_default();
    // The API server drops the status of what is applied, whatever it says.
    fields.insert("status".into(), JSONSchemaProps::default());
    envelope(fields);
    schema
});

static CONFIG_MAP_SCHEMA: LazyLock<JSONSchemaProps> = LazyLock::new(|| {
    let mut schema = parsed(json!({"type": "object", "properties": {
        "data": {"type": "object", "additionalProperties": {"type": "string"}},
        "binaryData": {"type": "object", "additionalProperties": {"type": "string"}},
        "immutable": {"type": "boolean"},
    }}));
    envelope(schema.properties.get_or_insert_default());
    schema
});

fn envelope(fields: &mut BTreeMap<String, JSONSchemaProps>) {
    let label = json!({
        "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$",
    });
    let metadata = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 253,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"},
        "namespace": {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
        "labels": {"type": "object", "additionalProperties": label},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        // Written by the API server; `kubectl get -o yaml` shows them.
        "generateName": {}, "uid": {}, "resourceVersion": {}, "generation": {}, "creationTimestamp": {},
        "deletionTimestamp": {}, "deletionGracePeriodSeconds": {}, "finalizers": {}, "ownerReferences": {},
        "managedFields": {}, "selfLink": {},
    }});
    for (name, schema) in [
        ("apiVersion", json!({"type": "string"})),
        ("kind", json!({"type": "string"})),
        ("metadata", metadata),
    ] {
        fields.insert(name.into(), parsed(schema));
    }
}

#[expect(
    clippy::expect_used,
    reason = "every caller passes a literal, and the tests pass through each"
)]
fn parsed(schema: Value) -> JSONSchemaProps {
    serde_json::from_value(schema).expect("a literal schema")
}

fn checked(source: &Arc<Source>, schema: &JSONSchemaProps, node: &Node) -> Checked {
    let mut checked = check(source, schema, node, "", node.place);
    if node.get("metadata").is_none() {
        checked.blocking = true;
        checked.problems.push(
            Problem::at(source, node.place, "metadata.name", "required, but missing")
                .help("add `metadata: {name: …}`"),
        );
    }
    checked
}

fn service(source: &Arc<Source>, node: Node) -> Result<Service, Vec<Problem>> {
    let Checked {
        mut problems,
        blocking,
    } = checked(source, &SERVICE_SCHEMA, &node);
    let mut value = node.to_json();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if !blocking {
        problems.extend(rules::broken(source, &node, &value, None));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let service: InferenceService = serde_json::from_value(value.clone()).map_err(|error| {
        vec![
            Problem::at(source, node.place, "", error.to_string())
                .help("correct the value that the message names"),
        ]
    })?;
    Ok(Service {
        service,
        origin: Origin {
            source: Arc::clone(source),
            root: node,
        },
        value,
    })
}

fn config_map(source: &Arc<Source>, node: &Node) -> Result<ConfigMap, Vec<Problem>> {
    let Checked { mut problems, .. } = checked(source, &CONFIG_MAP_SCHEMA, node);
    let mut data = BTreeMap::new();
    for (section, binary) in [("data", false), ("binaryData", true)] {
        for entry in node.get(section).map(Node::entries).unwrap_or_default() {
            let Some(text) = entry.value.text() else {
                continue;
            };
            let path = format!("{section}[{}]", entry.key);
            let at = |wrong: &str| Problem::at(source, entry.key_place, &path, wrong);
            if !is_key(&entry.key) {
                problems.push(
                    at("not a key of a ConfigMap").help("use letters, digits, '-', '_' and '.'"),
                );
            }
            let bytes = if binary {
                // Base64 is often wrapped into lines.
                let packed: String = text.split_ascii_whitespace().collect();
                match STANDARD.decode(packed) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        problems.push(
                            at(&format!("not base64: {error}"))
                                .help("write the output of `base64 FILE`"),
                        );
                        continue;
                    }
                }
            } else {
                text.as_bytes().to_vec()
            };
            if data.insert(entry.key.clone(), bytes).is_some() {
                problems.push(
                    at("the key stands in both data and binaryData").help("keep one of them"),
                );
            }
        }
    }
    let size: usize = data.values().map(Vec::len).sum();
    if size > MAX_CONFIG_MAP_BYTES {
        problems.push(
            Problem::at(source, node.place, "", "the ConfigMap is too large")
                .found(format!("{size} bytes"))
                .help(format!(
                    "keep it within {MAX_CONFIG_MAP_BYTES} bytes, or serve the model from https:// or pvc://"
                )),
        );
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(ConfigMap {
        file: source.name.clone(),
        line: node.place.line,
        name: name_of(node).unwrap_or_default(),
        namespace: namespace_of(node),
        data,
    })
}

fn is_key(key: &str) -> bool {
    (1..=253).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && key != "."
        && !key.starts_with("..")
}

fn name_of(node: &Node) -> Option<String> {
    Some(node.get("metadata")?.get("name")?.text()?.to_owned())
}

fn namespace_of(node: &Node) -> Option<String> {
    Some(node.get("metadata")?.get("namespace")?.text()?.to_owned())
}

/// Where the name of an object stands.
pub(super) fn name_place(root: &Node) -> Place {
    root.locate("metadata.name").0
}
