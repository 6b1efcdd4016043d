//! The examples that users get, and variations of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Path of a file or folder under `examples/`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name)
}

/// Text of a file under `examples/`.
///
/// # Panics
/// When it cannot be read.
pub fn text(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A request of the iris example and the answer it must get: `setosa` or `three-flowers`.
///
/// # Panics
/// When there is none of that name.
pub fn iris_request(name: &str) -> (String, Value) {
    request("iris", name)
}

/// A request of an example and the answer it must get.
///
/// # Panics
/// When there is none of that name.
pub fn request(example: &str, name: &str) -> (String, Value) {
    let expected = text(&format!("{example}/requests/{name}.expected.json"));
    let expected = serde_json::from_str(&expected).expect("the expected answer is JSON");
    (text(&format!("{example}/requests/{name}.json")), expected)
}

/// Where a request of an example goes: to the model of that name, or to the embedder.
pub fn path_of(example: &str, request: &str) -> String {
    if request.contains("\"input\":") {
        "/v1/embeddings".to_owned()
    } else {
        format!("/v2/models/{example}/infer")
    }
}

/// Names of the examples, and of the requests of each.
///
/// # Panics
/// When the folder cannot be read.
pub fn all() -> Vec<(String, Vec<String>)> {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder that can be read");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    names(&path(""))
        .into_iter()
        .filter(|example| path(example).join("inferenceservice.yaml").is_file())
        .map(|example| {
            let requests = names(&path(&example).join("requests"))
                .iter()
                .filter_map(|file| file.strip_suffix(".expected.json"))
                .map(str::to_owned)
                .collect();
            (example, requests)
        })
        .collect()
}

/// The manifest of the iris example's service as a value, for changes: `iris` or `iris/v2`.
///
/// # Panics
/// When the file is no manifest.
pub fn iris_service(folder: &str) -> Value {
    let text = text(&format!("{folder}/inferenceservice.yaml"));
    serde_saphyr::from_str(&text).expect("the example is YAML")
}

/// The iris service with `fields` of its spec replaced (`null` removes one).
pub fn iris_with(fields: &Value) -> Value {
    let mut service = iris_service("iris");
    merge(&mut service, &json!({ "spec": fields }));
    service
}

/// JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().map(|object| object.remove(name));
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}
