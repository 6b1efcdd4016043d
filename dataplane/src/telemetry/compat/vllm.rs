//! vLLM's names. The five gauges are those that the endpoint picker of the Gateway API inference
//! extension reads, by default and without any configuration; it takes the first series of each,
//! so a pod has one, summed over its models (GAIE, docs/proposals/003).

use std::time::{SystemTime, UNIX_EPOCH};

use super::page::Page;
use super::writer::{Kind, Writer};

pub(super) fn write(page: &Page<'_>, now: SystemTime, to: &mut Writer<'_>) {
    let Some(first) = page.models.first() else {
        return;
    };
    let labels = [("model_name", first.name), ("engine", "0")];
    let mut gauge = |name: &str, help: &str, more: &[(&str, &str)], value: f64| {
        to.family(name, Kind::Gauge, help);
        to.sample(name, &[&labels, more].concat(), value);
    };
    let waiting = page.sum("serin_queue_depth", &[]);
    let in_flight = page.sum("serin_requests_in_flight", &[]);
    gauge(
        "vllm:num_requests_waiting",
        "Requests waiting for the engine",
        &[],
        waiting,
    );
    gauge(
        "vllm:num_requests_running",
        "Requests being served that do not wait",
        &[],
        (in_flight - waiting).max(0.0),
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
    let ok = page.sum("serin_requests_total", &[("outcome", "ok")]);
    to.sample(
        name,
        &[labels[0], labels[1], ("finished_reason", "stop")],
        ok,
    );
    for (name, help, of, only) in [
        (
            "vllm:e2e_request_latency_seconds",
            "From receiving a request to its last byte, of those that were answered",
            "serin_request_duration_seconds",
            ("outcome", "ok"),
        ),
        (
            "vllm:request_queue_time_seconds",
            "Waiting for the engine",
            "serin_request_phase_seconds",
            ("phase", "queue"),
        ),
        (
            "vllm:request_inference_time_seconds",
            "Running the model",
            "serin_request_phase_seconds",
            ("phase", "compute"),
        ),
    ] {
        to.family(name, Kind::Histogram, help);
        to.histogram(name, &labels, &page.histogram(of, &[only]));
    }
}
