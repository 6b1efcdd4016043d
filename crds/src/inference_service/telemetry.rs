//! `spec.telemetry`: what monitoring is told besides Serin's own metrics.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Of a hundred requests whose caller made no decision, how many are traced by default.
pub const DEFAULT_SAMPLE_PERCENT: i32 = 100;

/// What monitoring is told besides Serin's own metrics.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// Servers whose metric names `/metrics` offers too, for dashboards and gateways that know
    /// these: `VLLM` (`vllm:...`, read by the Gateway API inference extension), `Triton`
    /// (`nv_inference_...`), `KServe` (`request_predict_seconds`...). `[]` offers none.
    /// Default: `[VLLM]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub compat_metrics: Option<Vec<CompatMetrics>>,

    /// Where traces of requests go. Default: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
}

/// A server whose metric names are offered as well.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompatMetrics {
    /// `vllm:...`, read by the Gateway API inference extension.
    #[serde(rename = "VLLM")]
    Vllm,
    /// `nv_inference_...`.
    Triton,
    /// `request_predict_seconds` and its like.
    KServe,
}

/// Where traces of requests go, and of which requests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.endpoint.matches('^https?://[^/]*@')").message("telemetry.traces.endpoint must not carry a user or password").field_path(".endpoint"),
    validation = Rule::new("!self.endpoint.matches('^https?://[^/]+:4317(/|$)')").message("port 4317 is that of OTLP over gRPC; Serin sends OTLP over HTTP, whose port is 4318").field_path(".endpoint"),
)]
pub struct Traces {
    /// Base URL of an OpenTelemetry collector that takes OTLP over HTTP, for example
    /// `http://otel-collector.monitoring:4318`. `/v1/traces` is appended to it.
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^https?://[^ \t\r\n/?#]+(/[^ \t\r\n?#]*)?$")
    )]
    pub endpoint: String,

    /// Of a hundred requests that bring no `traceparent`, how many are traced; for the others
    /// their caller has decided. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub sample_percent: Option<i32>,
}
