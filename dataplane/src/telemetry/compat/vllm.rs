//! vLLM's names. The five gauges are those that the endpoint picker of the Gateway API inference
//! extension reads, by default and without any configuration; it takes the first series of each,
//! so a pod has one, summed over its models (GAIE, docs/proposals/003).

use std::sync::Arc;

use std::time::{SystemTime, UNIX_EPOCH};

use super::sums::{durations, phases};
use super::writer::{Kind, Writer};
use crate::telemetry::metrics::{ModelMetrics, Phase};

pub(super) fn write(models: &[Arc<ModelMetrics>], now: SystemTime, to: &mut Writer<'_>) {
    let Some(first) = models.first() else {
        return;
    };
    let labels = [("model_name", first.name()), ("engine", "0")];
    let mut gauge = |name: &str, help: &str, more: &[(&str, &str)], value: f64| {
        to.family(name, Kind::Gauge, help);
        to.sample(name, &[&labels, more].concat(), value);
    };
    let waiting: i64 = models.iter().map(|model| model.waiting()).sum();
    let in_flight: i64 = models.iter().map(|model| model.in_flight()).sum();
    gauge(
        "vllm:num_requests_waiting",
        "Requests waiting for the engine",
        &[],
        waiting as f64,
    );
    gauge(
        "vllm:num_requests_running",
        "Requests being served that do not wait",
        &[],
        (in_flight - waiting).max(0) as f64,
    );
    // There is no cache of keys and values; a missing gauge is an error of each scrape.
    gauge(
        "vllm:kv_cache_usage_perc",
        "Always 0: these models keep no such cache",
        &[],
        0.0,
    );
    gauge(
        "vllm:cache_config_info",
        "Always 1: these models keep no such cache",
        &[("block_size", ""), ("num_gpu_blocks", "")],
        1.0,
    );
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    gauge(
        "vllm:lora_requests_info",
        "Unix time; there are no adapters",
        &[
            ("max_lora", "0"),
            ("running_lora_adapters", ""),
            ("waiting_lora_adapters", ""),
        ],
        seconds as f64,
    );

    let name = "vllm:request_success_total";
    to.family(name, Kind::Counter, "Requests that were answered");
    let answered = durations(models, "ok");
    to.sample(
        name,
        &[labels[0], labels[1], ("finished_reason", "stop")],
        answered.count() as f64,
    );
    for (name, help, figures) in [
        (
            "vllm:e2e_request_latency_seconds",
            "From receiving a request to its last byte, of those that were answered",
            answered,
        ),
        (
            "vllm:request_queue_time_seconds",
            "Waiting for the engine",
            phases(models, Phase::Queue),
        ),
        (
            "vllm:request_inference_time_seconds",
            "Running the model",
            phases(models, Phase::Compute),
        ),
    ] {
        to.family(name, Kind::Histogram, help);
        to.histogram(name, &labels, &figures);
    }
}
