//! `/metrics`: the classic text format unless OpenMetrics is asked for.
//!
//! prometheus-client writes OpenMetrics only. Go's classic parser, which gateways use whatever
//! they accept, reads counters in it as untyped; so the text is turned into the classic format
//! here: `# TYPE` and `# HELP` of a counter carry `_total`, units and the end mark go. Other
//! servers' names follow ours.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::encoding::text::encode;
use serin_crds::contract::policy::{CompatMetrics, Policy};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::compat;
use super::metrics::Metrics;
use crate::policy::PolicyStore;

/// The least time between two renderings: inference gateways scrape each pod every 50 ms.
const INTERVAL: Duration = Duration::from_millis(20);

/// Content type of the classic format.
pub const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Content type of OpenMetrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The last line of OpenMetrics.
const END: &str = "# EOF\n";

/// Renders the metrics, at most once per 20 ms and format.
///
/// A page is never older than the scrape that it answers: what was counted before the scrape came
/// is on it. A scrape that comes sooner than 20 ms after a rendering waits for the next one, which
/// answers all that wait.
pub struct Exposition {
    metrics: Arc<Metrics>,
    /// Says which other servers' names are offered.
    policy: Arc<PolicyStore>,
    /// The last page in the classic format and in OpenMetrics.
    pages: [Mutex<Option<Page>>; 2],
}

struct Page {
    /// When its rendering began.
    begun: Instant,
    text: Bytes,
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
            pages: Default::default(),
        }
    }

    /// Content type and text, by the request's `Accept` header.
    pub async fn render(&self, accept: Option<&str>) -> (&'static str, Bytes) {
        let asked = Instant::now();
        let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        let content_type = if open { OPEN_METRICS } else { CLASSIC };
        let mut page = self.pages[usize::from(open)].lock().await;
        if let Some(last) = &*page {
            if last.begun > asked {
                return (content_type, last.text.clone());
            }
            sleep_until(last.begun + INTERVAL).await;
        }
        let begun = Instant::now();
        let text = Bytes::from(self.text(open));
        *page = Some(Page {
            begun,
            text: text.clone(),
        });
        (content_type, text)
    }

    /// The page now, in OpenMetrics or in the classic format, however soon after the last one: for
    /// callers inside of the process.
    pub fn text(&self, open: bool) -> String {
        let mut own = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut own, &self.metrics.registry);
        let mut text = match own.strip_suffix(END) {
            Some(own) if open => own.to_owned(),
            _ => classic(&own),
        };
        let in_force = self.policy.current();
        let compat = &in_force.policy.telemetry.compat_metrics;
        compat::append(&mut text, &self.metrics, compat, open);
        if open {
            text.push_str(END);
        }
        text
    }
}

/// The classic form of OpenMetrics text. HELP comes before TYPE there, and only TYPE names the
/// kind, so a HELP line waits for the TYPE line that follows it.
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
    use super::super::Samples;
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
            parts: None,
        });
        Exposition::new(Arc::new(metrics))
    }

    #[test]
    fn counters_keep_their_type_in_the_classic_format() {
        let text = exposition().text(false);
        assert!(
            text.contains("# TYPE serin_requests_total counter\n"),
            "{text}"
        );
        assert!(text.contains("# HELP serin_requests_total Finished inference requests.\n"));
        let answered = [("outcome", "ok"), ("code", "200")];
        assert_eq!(
            Samples::read(&text).sum("serin_requests_total", &answered),
            1.0
        );
        assert!(!text.contains("# EOF"));
        assert!(!text.contains("_total_total"));
        for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
            let kind = line.rsplit(' ').next().unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn openmetrics_comes_only_when_asked_for() {
        let exposition = exposition();
        let accept = Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
        let (content_type, text) = exposition.render(accept).await;
        assert_eq!(content_type, OPEN_METRICS);
        assert!(text.ends_with(b"# EOF\n"));
        let (content_type, text) = exposition.render(Some("text/plain")).await;
        assert_eq!(content_type, CLASSIC);
        assert!(!text.ends_with(b"# EOF\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_right_after_another_sees_what_was_counted_between_them() {
        let metrics = Arc::new(Metrics::new([]));
        let exposition = Exposition::new(Arc::clone(&metrics));
        for count in 1..=3 {
            metrics.panics.inc();
            let (_, text) = exposition.render(None).await;
            let page = Samples::read(std::str::from_utf8(&text).unwrap());
            assert_eq!(page.get("serin_panics_total", &[]), Some(f64::from(count)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_rendered_once_in_20_ms_for_all_that_wait_for_it() {
        let exposition = exposition();
        let begun = Instant::now();
        let (_, first) = exposition.render(None).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let scrape = || exposition.render(None);
        let ((_, one), (_, other)) = tokio::join!(scrape(), scrape());
        assert!(begun.elapsed() <= INTERVAL + Duration::from_millis(1));
        assert_ne!(first.as_ptr(), one.as_ptr());
        assert_eq!(one.as_ptr(), other.as_ptr());
    }

    #[test]
    fn gauges_of_a_configured_model_exist_from_the_start() {
        let text = exposition().text(false);
        for name in [
            "serin_requests_in_flight",
            "serin_queue_depth",
            "serin_model_ready",
        ] {
            let labels = [("model", "iris"), ("version", "1")];
            assert_eq!(Samples::read(&text).get(name, &labels), Some(0.0), "{name}");
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
                parts: None,
            });
        }
        let text = Exposition::new(metrics).text(false);
        assert!(!text.contains("nope"));
        let labels = [("model", UNKNOWN_MODEL), ("code", "404")];
        let counted = Samples::read(&text).sum("serin_requests_total", &labels);
        assert_eq!(counted, 2.0);
    }

    #[test]
    fn a_model_that_was_loaded_again_is_described_once() {
        let metrics = Metrics::new([("iris".to_owned(), "1".to_owned())]);
        let iris = metrics.model("iris", None);
        for digest in ["sha256:0", "sha256:0", "sha256:1"] {
            iris.loaded(Duration::from_secs(1), "onnx_onnxruntime", digest);
        }
        let text = Exposition::new(Arc::new(metrics)).text(false);
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
        let text = Exposition::offering(Arc::new(metrics), all).text(false);
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
