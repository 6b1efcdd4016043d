//! The OpenAPI 3.1 document: every operation of the HTTP port, and for each loaded model paths with
//! its name and bodies typed by its signature.
//!
//! A document with path placeholders and bodies of type `object` lets no tool send a request or
//! check a response. This document depends on the loaded models, so it is built at run time and not
//! derived from types at compile time.

mod answers;
mod at;
mod elements;
mod operation;
mod paths;
mod signature;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::at::At;
use self::operation::Operation;
use crate::path::segment;
use serin_core::types::ModelDescription;

/// The version of OpenAPI that the documents are written in.
const OPENAPI: &str = "3.1.0";

/// Groups of operations, in the order in which they are shown.
const TAGS: &[(&str, &str)] = &[
    ("Inference", "Predictions, by the Open Inference Protocol."),
    ("Models", "What is served, and whether it can answer."),
    (
        "OpenAI and KServe V1",
        "Embeddings and predictions as clients of other interfaces ask for them.",
    ),
    (
        "Server",
        "The server itself: health, metrics, descriptions.",
    ),
    (
        "Control",
        "Triton's extensions: statistics, configuration, repository, settings.",
    ),
];

/// The document of the whole server with these loaded models.
pub fn of_server(models: &[ModelDescription]) -> Value {
    let mut document = Document::default();
    document.add(paths::of_server(models));
    for model in models {
        document.add_model(model, true);
    }
    document.finish("Serin")
}

/// The document of one model: only its paths that name a version, or all of its paths.
pub fn of_model(model: &ModelDescription, of_version_only: bool) -> Value {
    let mut document = Document::default();
    document.add_model(model, !of_version_only);
    document.finish(&format!("{} (version {})", model.name, model.version))
}

#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    /// What models are called here: the names of schemas and operations are made of these.
    names: BTreeSet<String>,
}

impl Document {
    fn add(&mut self, operations: Vec<Operation>) {
        for operation in operations {
            let (path, method, value) = operation.finish();
            let item = self.paths.entry(path).or_insert_with(|| json!({}));
            item[method] = value;
        }
    }

    /// Adds a model's paths; those without a version too, if it is the default one and `unversioned`.
    fn add_model(&mut self, model: &ModelDescription, unversioned: bool) {
        let (name, version) = (plain(&model.name), plain(&model.version));
        let key = self.unique(&format!("{name}_v{version}"));
        self.schemas.extend(signature::schemas(model, &key));
        let base = format!("/v2/models/{}", segment(&model.name));
        let versioned = format!("{base}/versions/{}", segment(&model.version));
        if unversioned && model.versions.first() == Some(&model.version) {
            let suffix = self.unique(&name);
            self.add_at(model, base, suffix, &key);
        }
        self.add_at(model, versioned, key.clone(), &key);
    }

    fn add_at(&mut self, model: &ModelDescription, base: String, suffix: String, key: &str) {
        let at = At {
            model,
            versioned: suffix == key,
            base,
            suffix,
            key,
        };
        self.add(paths::of_model(&at));
    }

    /// `wanted`, or that with a number behind it which nothing else has.
    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }

    fn finish(mut self, title: &str) -> Value {
        self.schemas.extend(elements::schemas());
        self.schemas.extend(answers::schemas());
        let used: BTreeSet<&str> = self
            .paths
            .values()
            .filter_map(Value::as_object)
            .flat_map(Map::values)
            .filter_map(|operation| operation["tags"][0].as_str())
            .collect();
        let tags: Vec<Value> = TAGS
            .iter()
            .filter(|(name, _)| used.contains(name))
            .map(|(name, about)| json!({"name": name, "description": about}))
            .collect();
        json!({
            "openapi": OPENAPI,
            "info": {
                "title": title,
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "tags": tags,
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "responses": answers::responses(),
                "headers": answers::headers(),
            },
        })
    }
}

const ABOUT: &str = "What this server serves now, for the models that are loaded now.\n\n\
Every path also answers with one slash at its end, `HEAD` wherever there is `GET`, and `OPTIONS` with the methods in `Allow`. \
A method that a path does not have is answered 405 with `Allow`, an unknown path 404. Every answer has an `x-request-id`: the request's own where it \
matches `[A-Za-z0-9._:-]{1,128}`, else a new one.\n\n\
gRPC (`inference.GRPCInferenceService`, health, reflection) is served on the same port and on one of its own.";

/// A name that OpenAPI allows for schemas, and code generators for functions.
fn plain(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests;
