//! Server metadata, health and metrics.

use serde_json::json;

use crate::oip_rest::metadata;
use crate::openapi::operation::{Operation, schema};

const TAG: &str = "Server";

/// Aliases of `/v2/health/live`.
const LIVE: &[(&str, &str)] = &[
    ("/v2/health/live", "serverLive"),
    ("/", "live"),
    ("/healthz", "healthz"),
    ("/health", "health"),
    ("/ping", "ping"),
];

/// Aliases of `/v2/health/ready`.
const READY: &[(&str, &str)] = &[("/v2/health/ready", "serverReady"), ("/readyz", "readyz")];

pub(super) fn operations() -> Vec<Operation> {
    let live = LIVE.iter().map(|(path, id)| {
        Operation::get(*path, *id, TAG)
            .summary("Whether the process lives")
            .json(200, "It lives.", &schema("Health"))
    });
    let ready = READY.iter().map(|(path, id)| {
        Operation::get(*path, *id, TAG)
            .summary("Whether every model can answer")
            .json(200, "All can.", &schema("Health"))
            .json(503, "`error` says what is missing.", &schema("Health"))
    });
    let mut operations = vec![metadata(), metrics()];
    operations.extend(live);
    operations.extend(ready);
    operations
}

fn metadata() -> Operation {
    let server = metadata::server(true);
    Operation::get("/v2", "serverMetadata", TAG)
        .summary("What this server is")
        .json(
            200,
            "Name, version, and the extensions that are on.",
            &json!({
                "type": "object",
                "required": ["name", "version", "extensions"],
                "properties": {
                    "name": {"const": server.name},
                    "version": {"type": "string"},
                    "extensions": {"type": "array", "items": {"type": "string", "enum": server.extensions}},
                },
            }),
        )
}

fn metrics() -> Operation {
    let text = json!({"schema": {"type": "string"}});
    Operation::get("/metrics", "metrics", TAG)
        .summary("Metrics for Prometheus")
        .about("OpenMetrics where `Accept` asks for it, else the classic text format.")
        .answer(
            200,
            "The metrics.",
            &json!({"text/plain": text, "application/openmetrics-text": text}),
        )
}
