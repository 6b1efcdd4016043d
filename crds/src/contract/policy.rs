//! What a pod does that may change while it runs: a file that the operator (or `serin run`) rewrites
//! and the data plane reloads. It is not part of a revision's hash, so a change starts no pod.
//!
//! The last document that could be read stays in force; its hash and age are in `/statusz` and in the
//! metrics.

use serde::{Deserialize, Serialize};

pub use crate::inference_service::api::{NonFinite, StreamKeepAlive};
pub use crate::inference_service::telemetry::CompatMetrics;

use crate::inference_service::api::RepositoryControl;
use crate::inference_service::telemetry::DEFAULT_SAMPLE_PERCENT;
use crate::inference_service::{Api, InferenceServiceSpec, Telemetry};

/// Where the operator mounts the service's policy: a folder, since the kubelet updates no single
/// file (`subPath`) of a ConfigMap.
pub const POLICY_MOUNT_PATH: &str = "/etc/serin/policy";

/// The document's key in its ConfigMap, and the file's name below [`POLICY_MOUNT_PATH`].
pub const POLICY_KEY: &str = "policy.json";

/// Everything that a pod reloads.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// What the protocols offer, where that is a choice.
    #[serde(skip_serializing_if = "is_default")]
    pub api: ApiConfig,
    /// What monitoring is given besides Serin's own metrics.
    #[serde(skip_serializing_if = "is_default")]
    pub telemetry: TelemetryConfig,
}

impl From<&InferenceServiceSpec> for Policy {
    /// What the user asks for, every default applied.
    fn from(spec: &InferenceServiceSpec) -> Self {
        Self {
            api: ApiConfig::from(spec.api.as_ref()),
            telemetry: TelemetryConfig::from(spec.telemetry.as_ref()),
        }
    }
}

impl Policy {
    /// The policy's ConfigMap of a service.
    pub fn config_map_name(service: &str) -> String {
        format!("{service}-policy")
    }
}

/// A member at its default is not written, so that a pod of an earlier Serin can read the document.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the protocols offer, where that is a choice.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_defaults_is_empty() {
        let policy: Policy = serde_json::from_str("{}").unwrap();
        assert_eq!(policy.api.non_finite, NonFinite::String);
        assert_eq!(policy.telemetry.compat_metrics, [CompatMetrics::Vllm]);
        assert_eq!(serde_json::to_string(&policy).unwrap(), "{}");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = serde_json::from_str::<Policy>(r#"{"apis":{}}"#).unwrap_err();
        assert!(error.to_string().contains("apis"), "{error}");
    }
}
