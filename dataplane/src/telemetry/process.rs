//! The `process_*` metrics that every Prometheus dashboard knows, read from `/proc/self`.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Clock ticks a second in `/proc/self/stat`: the kernel reports 100 on every architecture that
/// has an ONNX Runtime.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: Option<u64>| {
            let Some(value) = value else { return Ok(()) };
            let metric = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(encoder)
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |key| status_value(&status, key).and_then(|value| value.parse::<u64>().ok());
        gauge(
            "process_resident_memory_bytes",
            "Resident memory",
            kib("VmRSS:").map(|value| value * 1024),
        )?;
        gauge(
            "process_virtual_memory_bytes",
            "Virtual memory",
            kib("VmSize:").map(|value| value * 1024),
        )?;
        gauge("process_threads", "Threads", kib("Threads:"))?;
        // The listing itself holds one descriptor open.
        let open = fs::read_dir("/proc/self/fd")
            .ok()
            .map(|entries| entries.count().saturating_sub(1) as u64);
        gauge("process_open_fds", "Open file descriptors", open)?;
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        gauge(
            "process_max_fds",
            "Most file descriptors allowed",
            status_value(&limits, "Max open files").and_then(|value| value.parse().ok()),
        )?;

        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&stat) {
            let metric = ConstCounter::new(seconds);
            let encoder = encoder.encode_descriptor(
                "process_cpu_seconds",
                "Processor time, user and system",
                None,
                metric.metric_type(),
            )?;
            metric.encode(encoder)?;
        }
        Ok(())
    }
}

/// The first word after `key` at the start of a line.
fn status_value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next())
}

/// User and system time: fields 14 and 15, counted after the command's name, which may hold
/// spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 5 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
    }

    #[test]
    fn limits_are_read_by_name() {
        let text =
            "Limit                     Soft Limit\nMax open files            1024    4096 files\n";
        assert_eq!(status_value(text, "Max open files"), Some("1024"));
    }
}
