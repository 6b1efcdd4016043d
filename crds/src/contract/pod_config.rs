//! What makes a pod: one immutable file per revision, part of the revision's hash.
//!
//! The operator (or `serin run`) writes it; the data plane reads it once and refuses to start on a
//! key it does not know. What may change while a pod runs is in [`policy`](super::policy).

use serde::{Deserialize, Serialize};

use crate::inference_service::Batching;

/// Where the operator mounts the file.
pub const MOUNT_PATH: &str = "/etc/serin/config.json";

/// Where the operator mounts a `configmap://` or `pvc://` source.
pub const SOURCE_MOUNT_PATH: &str = "/var/lib/serin/source";

/// Where a pod keeps the files it fetched; the only place it may write to.
pub const CACHE_MOUNT_PATH: &str = "/var/cache/serin";

/// Everything a pod needs to know to serve one revision.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodConfig {
    /// `namespace/name` of the service, for logs; the file's name in local mode.
    pub service: String,
    /// The revision this pod belongs to.
    pub revision: String,
    /// The models to load at start.
    pub models: Vec<ModelConfig>,
}

/// One model to load.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelConfig {
    /// The name callers use.
    pub name: String,
    /// The version callers see.
    pub version: String,
    /// Where the model is.
    pub source: SourceConfig,
    /// The model must run on a GPU; loading fails where it cannot.
    #[serde(default)]
    pub gpu: bool,
    /// Whether requests may share a run; `Auto` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batching: Option<Batching>,
}

/// Where a model is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceConfig {
    /// The URI as the user wrote it; named in errors.
    pub uri: String,
    /// Where the URI's content is mounted, for the kinds that somebody else brings into reach
    /// (`configmap`, `pvc`). A file, or a folder that holds `model.onnx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the model file must hash to: `sha256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Private networks (CIDR) that an `https` source may be fetched from. Loopback and
    /// link-local addresses never are; public ones always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_not_written() {
        let text = r#"{"service":"a/b","revision":"b-1","models":[]}"#;
        let config: PodConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let text = r#"{"service":"a/b","revision":"b-1","models":[],"modles":[]}"#;
        let error = serde_json::from_str::<PodConfig>(text)
            .unwrap_err()
            .to_string();
        assert!(error.contains("modles"), "{error}");
    }
}
