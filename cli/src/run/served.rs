//! What a running `serin run` serves, compared with what its manifests say now.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use serin_crds::manifest::{Manifest, Problem, Problems, Service};

use super::plan::CLUSTER_FIELDS;
use crate::runtime::hash_of;
use crate::source::{self, Found};

/// Fields of a spec that are reloaded.
const RELOADED_FIELDS: [&str; 2] = ["spec.api", "spec.telemetry"];

/// Each service that was served at the start, as its manifests said it then.
pub struct Served(BTreeMap<Name, Start>);

/// Namespace and name.
type Name = (Option<String>, String);

struct Start {
    file: String,
    /// The fields of the spec that act at the start only.
    spec: Map<String, Value>,
    /// SHA-256 of the model, where it stands in a ConfigMap among the manifests.
    model: Option<String>,
}

impl Served {
    /// The services of `manifest` that are served.
    ///
    /// # Errors
    /// Models that are not there.
    pub fn of(manifest: &Manifest) -> Result<Self, Problems> {
        let mut served = BTreeMap::new();
        let mut problems = Vec::new();
        for service in &manifest.services {
            if service.service.is_suspended() {
                continue;
            }
            match start(service, manifest) {
                Ok(start) => {
                    served.insert(name(service), start);
                }
                Err(problem) => problems.push(problem),
            }
        }
        match problems.is_empty() {
            true => Ok(Self(served)),
            false => Err(Problems(problems)),
        }
    }

    /// Whether `service` was served at the start.
    pub fn holds(&self, service: &Service) -> bool {
        self.0.contains_key(&name(service))
    }

    /// What `now` says that only a restart applies, a phrase for each service.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, start) in &self.0 {
            let (_, text) = name;
            let file = &start.file;
            match now.0.get(name) {
                None => differences.push(format!("{text} ({file}) is gone or suspended")),
                Some(now) => {
                    let fields = start.differing(now);
                    if !fields.is_empty() {
                        differences.push(format!(
                            "{text} ({}) has another {}",
                            now.file,
                            fields.join(", ")
                        ));
                    }
                }
            }
        }
        let new = now.0.iter().filter(|(name, _)| !self.0.contains_key(*name));
        differences.extend(
            new.map(|((_, text), start)| format!("{text} ({}) is not served yet", start.file)),
        );
        differences
    }
}

impl Start {
    fn differing(&self, now: &Self) -> Vec<String> {
        let added = now.spec.keys().filter(|key| !self.spec.contains_key(*key));
        let mut fields: Vec<String> = self
            .spec
            .keys()
            .chain(added)
            .filter(|key| self.spec.get(*key) != now.spec.get(*key))
            .map(|key| format!("spec.{key}"))
            .collect();
        if self.model != now.model {
            fields.push("model in its ConfigMap".to_owned());
        }
        fields
    }
}

fn name(service: &Service) -> Name {
    let metadata = &service.service.metadata;
    (metadata.namespace.clone(), service.name().to_owned())
}

fn start(service: &Service, manifest: &Manifest) -> Result<Start, Problem> {
    let model = match source::find(service, &manifest.config_maps)? {
        Found::Bytes { bytes, .. } => Some(hash(bytes)),
        Found::Folder(files) => {
            let hashes: String = files
                .iter()
                .map(|(key, bytes)| format!("{key} {}\n", hash(bytes)))
                .collect();
            Some(hash(hashes.as_bytes()))
        }
        Found::Absent(problem) => return Err(problem),
        Found::File(_) | Found::Remote | Found::Volume => None,
    };
    let mut spec = match serde_json::to_value(&service.service.spec) {
        Ok(Value::Object(spec)) => spec,
        // A spec is a mapping of plain data.
        _ => Map::new(),
    };
    let cluster = CLUSTER_FIELDS.iter().map(|(field, _)| *field);
    let without_restart = cluster.chain(RELOADED_FIELDS);
    for field in without_restart.filter_map(|field| field.strip_prefix("spec.")) {
        spec.remove(field);
    }
    Ok(Start {
        file: service.file().to_owned(),
        spec,
        model,
    })
}

fn hash(mut bytes: &[u8]) -> String {
    // Reading memory does not fail.
    hash_of(&mut bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_crds::manifest::parse;

    fn served(text: &str) -> Served {
        Served::of(&parse("m.yaml", text).unwrap()).unwrap()
    }

    fn service(name: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: serin.dev/v1alpha1\nkind: InferenceService\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
        )
    }

    const REMOTE: &str = "model: {source: {uri: 'https://models.example.com/a.onnx'}}";

    #[test]
    fn what_is_reloaded_or_acts_on_clusters_only_needs_no_restart() {
        let start = served(&service("a", REMOTE));
        let now = service(
            "a",
            &format!(
                "{REMOTE}, replicas: 2, api: {{nonFinite: Error}}, telemetry: {{compatMetrics: []}}"
            ),
        );
        assert!(start.differences(&served(&now)).is_empty());
    }

    #[test]
    fn services_and_fields_that_differ_are_named() {
        let start = served(&(service("a", REMOTE) + &service("b", REMOTE)));
        let now = service("a", &REMOTE.replace("a.onnx", "b.onnx"))
            + &service("b", &format!("{REMOTE}, suspend: true"))
            + &service("c", REMOTE);
        assert_eq!(
            start.differences(&served(&now)),
            [
                "a (m.yaml) has another spec.model",
                "b (m.yaml) is gone or suspended",
                "c (m.yaml) is not served yet",
            ]
        );
    }

    #[test]
    fn another_model_in_a_config_map_is_named() {
        let map = |data: &str| {
            format!(
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata: {{a.onnx: {data}}}\n"
            )
        };
        for uri in ["configmap://m/a.onnx", "configmap://m"] {
            let service = service("a", &format!("model: {{source: {{uri: '{uri}'}}}}"));
            let start = served(&(service.clone() + &map("one")));
            assert_eq!(
                start.differences(&served(&(service.clone() + &map("two")))),
                ["a (m.yaml) has another model in its ConfigMap"]
            );
            let manifest = parse("m.yaml", &service).unwrap();
            let Err(problems) = Served::of(&manifest) else {
                panic!("the ConfigMap is missing")
            };
            assert!(
                problems.to_string().contains("no ConfigMap m"),
                "{problems}"
            );
        }
    }
}
