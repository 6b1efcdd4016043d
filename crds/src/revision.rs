//! Revisions: which part of a spec makes pods, and the name of what it makes.
//!
//! The operator names Deployments after a revision and `serin run` shows the same name, so the
//! hash must not depend on the machine, on the order of keys, or on fields that are not set.
//! A field that is added to the API later leaves every existing hash as it is, as long as it is
//! left out of the JSON while unset: an upgrade of the operator then restarts no pod.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::inference_service::{
    Batching, Gpu, InferenceService, ModelSource, PodTemplate, Resources,
};

/// Hexadecimal digits of the hash in a revision's name. With 40 bits, two of a service's
/// revisions share a name once in 10^9 pairs of edits. A service's name of 52 characters, `-`
/// and the hash fit the 63 that Kubernetes allows.
pub const HASH_DIGITS: usize = 10;

/// One immutable state of the part of a spec that makes pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// `<service>-<hash>`: the name of its Deployment and the value of the revision label.
    pub name: String,
    /// The hash alone, [`HASH_DIGITS`] hexadecimal digits.
    pub hash: String,
    /// What callers see as the model's version: `spec.model.version`, else the hash.
    pub version: String,
}

/// The part of a spec that makes pods. Two specs with an equal one run the same pods; everything
/// else (replicas, autoscaling, suspend, api, telemetry) changes without a restart.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RevisionSpec {
    /// The model, its name resolved.
    pub model: RevisionModel,
    /// CPU and memory of each pod, as the user wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// GPUs of each pod, as the user wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// Additions to the pods, as the user wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// Pods that reload the policy. Set only in the place of a revision of the same spec whose pods
    /// were made before policies and do not: it gives the new revision another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reloads_policy: Option<bool>,
}

/// The model of a revision.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RevisionModel {
    /// The name callers use: `spec.model.name`, else the object's name.
    pub name: String,
    /// The user's name for the version, where the user gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where the model's file is.
    pub source: ModelSource,
    /// Whether requests may share a run, where the user said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batching: Option<Batching>,
}

impl RevisionSpec {
    /// The part of `service` that makes pods. A section that says nothing (`resources: {}`)
    /// counts as absent.
    pub fn of(service: &InferenceService) -> Self {
        let spec = &service.spec;
        Self {
            model: RevisionModel {
                name: service.model_name().to_owned(),
                version: spec.model.version.clone(),
                source: spec.model.source.clone(),
                batching: spec.model.batching,
            },
            resources: stated(spec.resources.as_ref()),
            gpu: spec.gpu.clone(),
            pod_template: stated(spec.pod_template.as_ref()),
            reloads_policy: None,
        }
    }

    /// The first [`HASH_DIGITS`] digits of the SHA-256 of the canonical JSON.
    #[expect(clippy::expect_used, reason = "serialization cannot fail")]
    pub fn hash(&self) -> String {
        let value = serde_json::to_value(self)
            .expect("only strings, integers, lists and maps with string keys");
        hash_of_stored(&value)
    }
}

impl Revision {
    /// The revision of a service that `spec` describes.
    pub fn new(service: &str, spec: &RevisionSpec) -> Self {
        let hash = spec.hash();
        Self {
            name: format!("{service}-{hash}"),
            version: spec.model.version.clone().unwrap_or_else(|| hash.clone()),
            hash,
        }
    }
}

/// The revision that the spec of `service` describes.
pub fn revision_of(service: &InferenceService) -> Revision {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    Revision::new(name, &RevisionSpec::of(service))
}

/// Whether `name` is one that a revision of the service may have: `<service>-<hash>`.
pub fn is_revision_name(service: &str, name: &str) -> bool {
    name.strip_prefix(service)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|hash| {
            hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

/// The hash of a [`RevisionSpec`] as it was stored, perhaps by another version of Serin with members
/// that this one does not know.
pub fn hash_of_stored(spec: &Value) -> String {
    let mut digits = sha256_of(spec);
    digits.truncate(HASH_DIGITS);
    digits
}

/// SHA-256 of the canonical JSON of `value`, in hexadecimal.
pub fn sha256_of(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn stated<T: Default + PartialEq + Clone>(section: Option<&T>) -> Option<T> {
    section.filter(|value| **value != T::default()).cloned()
}

/// Keys in byte order and no white space. (`serde_json` keeps the order of insertion as soon as
/// any crate of the build asks for it, so its own output is not a stable one.)
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.iter().collect();
            keys.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (index, (key, field)) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(field, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference_service::api::RepositoryControl;
    use crate::inference_service::{Api, Model, ResourceAmounts, Telemetry};

    fn iris() -> InferenceService {
        let mut service = InferenceService::default();
        service.metadata.name = Some("iris".into());
        service.spec.model = Model {
            source: ModelSource {
                uri: "configmap://iris-model/iris.onnx".into(),
                digest: None,
            },
            ..Model::default()
        };
        service
    }

    #[test]
    fn the_hash_of_a_known_spec_never_changes() {
        // Were this to change, an upgrade of the operator would restart every model.
        assert_eq!(revision_of(&iris()).name, "iris-158608a4c6");
    }

    #[test]
    fn the_version_is_the_users_or_the_hash() {
        let mut service = iris();
        let unnamed = revision_of(&service);
        assert_eq!(unnamed.version, unnamed.hash);
        service.spec.model.version = Some("2".into());
        let named = revision_of(&service);
        assert_eq!(named.version, "2");
        assert_ne!(named.hash, unnamed.hash);
    }

    #[test]
    fn what_starts_no_pod_changes_no_revision() {
        let plain = revision_of(&iris());
        let mut service = iris();
        service.spec.replicas = Some(5);
        service.spec.suspend = Some(true);
        service.spec.resources = Some(Resources::default());
        service.spec.pod_template = Some(PodTemplate::default());
        service.spec.api = Some(Api {
            repository_control: Some(RepositoryControl::Enabled),
            ..Api::default()
        });
        service.spec.telemetry = Some(Telemetry {
            compat_metrics: Some(Vec::new()),
            traces: None,
        });
        service.spec.model.name = Some("iris".into());
        assert_eq!(revision_of(&service), plain);
    }

    #[test]
    fn what_a_pod_is_made_of_changes_the_revision() {
        let plain = revision_of(&iris()).hash;
        let mut more_memory = iris();
        more_memory.spec.resources = Some(Resources {
            requests: Some(ResourceAmounts {
                memory: Some("1Gi".into()),
                cpu: None,
            }),
            limits: None,
        });
        let mut other_file = iris();
        other_file.spec.model.source.digest = Some(format!("sha256:{}", "0".repeat(64)));
        let mut on_gpu = iris();
        on_gpu.spec.gpu = Some(Gpu {
            count: 1,
            resource: None,
            products: Vec::new(),
        });
        let mut unmerged = iris();
        unmerged.spec.model.batching = Some(Batching::Disabled);
        for changed in [more_memory, other_file, on_gpu, unmerged] {
            assert_ne!(revision_of(&changed).hash, plain, "{changed:?}");
        }
    }

    #[test]
    fn the_name_of_a_revision_is_told_from_other_names() {
        let revision = revision_of(&iris()).name;
        assert!(is_revision_name("iris", &revision));
        for other in [
            "iris",
            "iris-policy",
            "iris-",
            "iris-158608a4c",
            "iri-158608a4c6",
        ] {
            assert!(!is_revision_name("iris", other), "{other}");
        }
        assert!(!is_revision_name("ir", &revision));
    }

    #[test]
    fn canonical_json_sorts_keys_at_every_level() {
        let value: Value =
            serde_json::from_str(r#"{"b":[{"z":1,"a":"\u0001"}],"a":null}"#).unwrap();
        let mut text = String::new();
        write_canonical(&value, &mut text);
        assert_eq!(text, r#"{"a":null,"b":[{"a":"\u0001","z":1}]}"#);
    }
}
