//! `/metrics`: the classic text format unless OpenMetrics is asked for.
//!
//! prometheus-client writes OpenMetrics only. Go's classic parser, which gateways use whatever
//! they accept, reads counters in it as untyped; so the text is turned into the classic format
//! here: `# TYPE` and `# HELP` of a counter carry `_total`, units and the end mark go. Other
//! servers' names follow ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus_client::encoding::text::encode;
use serin_crds::contract::policy::{CompatMetrics, Policy};

use super::compat;
use super::metrics::Metrics;
use crate::policy::PolicyStore;

/// How long a rendered page is served again: inference gateways scrape each pod every 50 ms.
const CACHED_FOR: Duration = Duration::from_millis(20);

/// Content type of the classic format.
pub const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Content type of OpenMetrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The last line of OpenMetrics.
const END: &str = "# EOF\n";

/// Renders the metrics, at most once per 20 ms and format.
pub struct Exposition {
    metrics: Arc<Metrics>,
    /// Says which other servers' names are offered.
    policy: Arc<PolicyStore>,
    cache: Mutex<[Option<(Instant, Bytes)>; 2]>,
}

impl Exposition {
    /// Renders these metrics by our own names.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self::offering(metrics, Vec::new())
    }

    /// Renders these metrics by our own names and those of other servers.
    pub fn offering(metrics: Arc<Metrics>, compat: Vec<CompatMetrics>) -> Self {
        let mut policy = Policy::default();
        policy.telemetry.compat_metrics = compat;
        Self::following(metrics, Arc::new(PolicyStore::new(policy, String::new())))
    }

    /// Renders these metrics by our own names and those that the policy in force asks for.
    pub fn following(metrics: Arc<Metrics>, policy: Arc<PolicyStore>) -> Self {
        Self {
            metrics,
            policy,
            cache: Mutex::default(),
        }
    }

    /// Content type and text, by the request's `Accept` header.
    pub fn render(&self, accept: Option<&str>) -> (&'static str, Bytes) {
        let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        let content_type = if open { OPEN_METRICS } else { CLASSIC };
        // A panic while rendering leaves at worst an old page behind.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut cache[usize::from(open)];
        if let Some((rendered, text)) = slot
            && rendered.elapsed() < CACHED_FOR
        {
            return (content_type, text.clone());
        }
        let mut own = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut own, &self.metrics.registry);
        let mut text = match own.strip_suffix(END) {
            Some(own) if open => own.to_owned(),
            _ => classic(&own),
        };
        let in_force = self.policy.current();
        let compat = &in_force.policy.telemetry.compat_metrics;
        compat::append(&mut text, &own, compat, open);
        if open {
            text.push_str(END);
        }
        let text = Bytes::from(text);
        *slot = Some((Instant::now(), text.clone()));
        (content_type, text)
    }
}

/// The classic form of OpenMetrics text. HELP comes before TYPE there, and only TYPE tells a
/// counter, so a HELP line waits for the TYPE line that follows it.
fn classic(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let mut help: Option<&str> = None;
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest);
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.rsplit_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take().and_then(|help| help.split_once(' ')) {
                out.extend(["# HELP ", name, suffix, " ", text, "\n"]);
            }
            out.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{Phases, RequestOutcome, UNKNOWN_MODEL};
    use super::*;

    fn exposition() -> Exposition {
        let metrics = Metrics::new([("iris".to_owned(), "1".to_owned())]);
        metrics.model("iris", None).finished(&RequestOutcome {
            protocol: "rest",
            operation: "infer",
            outcome: "ok",
            code: 200,
            duration: Duration::from_millis(3),
            phases: Phases::default(),
            body_bytes: None,
        });
        Exposition::new(Arc::new(metrics))
    }

    #[test]
    fn counters_keep_their_type_in_the_classic_format() {
        let (content_type, text) = exposition().render(None);
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!(content_type, CLASSIC);
        assert!(
            text.contains("# TYPE serin_requests_total counter\n"),
            "{text}"
        );
        assert!(text.contains("# HELP serin_requests_total RequestOutcome inference requests.\n"));
        assert!(text.contains("outcome=\"ok\",code=\"200\"} 1\n"), "{text}");
        assert!(!text.contains("# EOF"));
        assert!(!text.contains("_total_total"));
        for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
            let kind = line.rsplit(' ').next().unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
        }
    }

    #[test]
    fn openmetrics_comes_only_when_asked_for() {
        let accept = Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
        let (content_type, text) = exposition().render(accept);
        assert_eq!(content_type, OPEN_METRICS);
        assert!(text.ends_with(b"# EOF\n"));
    }

    #[test]
    fn gauges_of_a_configured_model_exist_from_the_start() {
        let (_, text) = exposition().render(None);
        let text = String::from_utf8(text.to_vec()).unwrap();
        for name in [
            "serin_requests_in_flight",
            "serin_queue_depth",
            "serin_model_ready",
        ] {
            let series = format!("{name}{{model=\"iris\",version=\"1\"}} 0\n");
            assert!(text.contains(&series), "{series} not in {text}");
        }
        assert!(!text.contains(&format!("serin_model_ready{{model=\"{UNKNOWN_MODEL}\"")));
        assert!(text.contains("serin_build_info{version="));
        assert!(text.contains("process_cpu_seconds_total"));
    }

    #[test]
    fn a_name_that_is_not_configured_makes_no_series_of_its_own() {
        let metrics = Arc::new(Metrics::new([("iris".to_owned(), "1".to_owned())]));
        for name in ["nope", "iris\n"] {
            metrics.model(name, None).finished(&RequestOutcome {
                protocol: "rest",
                operation: "infer",
                outcome: "client_error",
                code: 404,
                duration: Duration::ZERO,
                phases: Phases::default(),
                body_bytes: None,
            });
        }
        let (_, text) = Exposition::new(metrics).render(None);
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(!text.contains("nope"));
        assert!(text.contains("model=\"_unknown\",version=\"_unknown\",protocol=\"rest\",operation=\"infer\",outcome=\"client_error\",code=\"404\"} 2"), "{text}");
    }

    #[test]
    fn a_model_that_was_loaded_again_is_described_once() {
        let metrics = Metrics::new([("iris".to_owned(), "1".to_owned())]);
        let iris = metrics.model("iris", None);
        for digest in ["sha256:0", "sha256:0", "sha256:1"] {
            iris.loaded(Duration::from_secs(1), "onnx_onnxruntime", digest);
        }
        let (_, text) = Exposition::new(Arc::new(metrics)).render(None);
        let text = String::from_utf8(text.to_vec()).unwrap();
        let mut series = text
            .lines()
            .filter(|line| line.starts_with("serin_model_info{"));
        assert!(series.next().unwrap().contains("sha256:1"), "{text}");
        assert_eq!(series.next(), None);
    }

    #[test]
    fn every_name_is_documented_and_every_documented_name_is_there() {
        let store = Arc::new(PolicyStore::new(Policy::default(), "0".to_owned()));
        let metrics = Metrics::new([("iris".to_owned(), "1".to_owned())]).with_policy(store);
        let iris = metrics.model("iris", None);
        iris.rejected("full");
        iris.loaded(Duration::from_secs(1), "onnx_onnxruntime", "sha256:0");
        metrics.http_request("/v2", 200);
        metrics.traces_dropped("queue_full", 1);
        let all = vec![
            CompatMetrics::Vllm,
            CompatMetrics::Triton,
            CompatMetrics::KServe,
        ];
        let (_, text) = Exposition::offering(Arc::new(metrics), all).render(None);
        let text = String::from_utf8(text.to_vec()).unwrap();
        let mut shown: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        let page = include_str!("../../../docs/observability.md");
        let (_, page) = page.split_once("## Metrics").unwrap();
        let (page, _) = page.split_once("## Traces").unwrap();
        let mut documented: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .filter(|name| !["VLLM", "Triton", "KServe"].contains(name))
            .collect();
        shown.sort_unstable();
        documented.sort_unstable();
        assert_eq!(shown, documented);
    }
}
