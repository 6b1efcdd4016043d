//! What the operator tells a data-plane pod: one immutable file per revision.
//!
//! The operator (or `serin run`) writes it, the data plane reads it and refuses to start on a key
//! it does not know.

use serde::{Deserialize, Serialize};

pub use crate::inference_service::api::{NonFinite, StreamKeepAlive};
pub use crate::inference_service::telemetry::CompatMetrics;

use crate::inference_service::api::RepositoryControl;
use crate::inference_service::telemetry::DEFAULT_SAMPLE_PERCENT;
use crate::inference_service::{Api, Telemetry};

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
    /// What the protocols offer, where that is a choice.
    #[serde(default, skip_serializing_if = "is_default")]
    pub api: ApiConfig,
    /// What is told to monitoring besides our own metrics.
    #[serde(default, skip_serializing_if = "is_default")]
    pub telemetry: TelemetryConfig,
}

/// A member that is not written where it says nothing: services that do not set it keep their
/// revision's name.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the protocols offer, where that is a choice.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Callers may load and unload models; off by default.
    pub repository_control: bool,
    /// How a float that JSON has no number for is written.
    pub non_finite: NonFinite,
    /// What keeps an idle event stream open.
    pub stream_keep_alive: StreamKeepAlive,
}

impl From<Option<&Api>> for ApiConfig {
    /// What the user asks for, every default applied.
    fn from(api: Option<&Api>) -> Self {
        let Some(api) = api else {
            return Self::default();
        };
        let control = api.repository_control.unwrap_or_default();
        Self {
            repository_control: control == RepositoryControl::Enabled,
            non_finite: api.non_finite.unwrap_or_default(),
            stream_keep_alive: api.stream_keep_alive.unwrap_or_default(),
        }
    }
}

/// What is told to monitoring besides our own metrics.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Other servers' metric names to offer as well.
    pub compat_metrics: Vec<CompatMetrics>,
    /// Where traces go; nowhere by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<TracesConfig>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            // Gateways that pick endpoints by load read these names.
            compat_metrics: vec![CompatMetrics::Vllm],
            traces: None,
        }
    }
}

impl From<Option<&Telemetry>> for TelemetryConfig {
    /// What the user asks for, every default applied.
    fn from(telemetry: Option<&Telemetry>) -> Self {
        let Some(telemetry) = telemetry else {
            return Self::default();
        };
        let traces = telemetry.traces.as_ref().map(|traces| TracesConfig {
            endpoint: traces.endpoint.clone(),
            sample_percent: traces.sample_percent.unwrap_or(DEFAULT_SAMPLE_PERCENT),
        });
        Self {
            compat_metrics: telemetry
                .compat_metrics
                .clone()
                .unwrap_or_else(|| Self::default().compat_metrics),
            traces,
        }
    }
}

/// Where traces go.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TracesConfig {
    /// Base URL of an OpenTelemetry collector that takes OTLP over HTTP, such as
    /// `http://collector:4318`.
    pub endpoint: String,
    /// Of a hundred requests whose caller made no decision, how many are traced.
    pub sample_percent: i32,
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
        assert_eq!(config.api.non_finite, NonFinite::String);
        assert_eq!(config.telemetry.compat_metrics, [CompatMetrics::Vllm]);
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
