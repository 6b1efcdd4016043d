use super::super::otlp::ExportTraceServiceRequest;
use super::super::{Sampled, Span, SpanInfo};
use super::*;
use crate::telemetry::metrics::{Phases, RequestOutcome};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A collector on the loopback: its address, and the names of the spans that it is sent.
async fn collector() -> (String, mpsc::UnboundedReceiver<String>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, names) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, sender.clone()));
        }
    });
    (address, names)
}

async fn answer(mut stream: TcpStream, names: mpsc::UnboundedSender<String>) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec())
            .unwrap()
            .to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let Some(body) = bytes.get(end + 4..end + 4 + length) else {
            continue;
        };
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let spans = request.resource_spans.into_iter().flat_map(|resource| {
            let scopes = resource.scope_spans.into_iter();
            scopes.flat_map(|scope| scope.spans)
        });
        for span in spans {
            let _ = names.send(span.name);
        }
        bytes.clear();
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    }
}

fn policy(endpoint: Option<&str>, sample_percent: i32) -> Policy {
    let mut policy = Policy::default();
    policy.telemetry.traces = endpoint.map(|endpoint| TracesConfig {
        endpoint: endpoint.to_owned(),
        sample_percent,
    });
    policy
}

fn start(policy: &Policy, variables: &'static [(&str, &str)]) -> TraceSwitch {
    let process = Process {
        service: "demo/iris".to_owned(),
        revision: "iris-1".to_owned(),
        local_mode: false,
    };
    let environment = Box::new(|name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    let metrics = Arc::new(Metrics::new([]));
    let traces = policy.telemetry.traces.as_ref();
    TraceSwitch::start(traces, process, environment, metrics).unwrap()
}

fn begin(switch: &TraceSwitch) -> Span {
    let tracer = switch.handle().current().unwrap();
    let trace = tracer.begin("POST", "/", &http::HeaderMap::new());
    trace.begin()
}

fn end(span: Span, model: &str) {
    let finished = RequestOutcome {
        protocol: "rest",
        operation: "infer",
        outcome: "ok",
        code: 200,
        duration: Duration::ZERO,
        phases: Phases::default(),
        body_bytes: None,
        parts: None,
    };
    let told = SpanInfo {
        request_id: "r-1",
        model,
        version: "1",
        error: None,
    };
    span.end(&finished, &told);
}

/// The servers' spans among those that were sent.
fn sent(names: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    let mut sent = Vec::new();
    while let Ok(name) = names.try_recv() {
        sent.extend(name.strip_prefix("infer ").map(str::to_owned));
    }
    sent
}

#[tokio::test]
async fn what_was_traced_under_a_policy_is_sent_to_its_endpoint_alone() {
    let (first, mut to_first) = collector().await;
    let (second, mut to_second) = collector().await;
    let switch = start(&policy(Some(&first), 100), &[]);
    end(begin(&switch), "before");
    let across = begin(&switch);
    switch.apply(&policy(Some(&second), 100));
    end(begin(&switch), "after");
    end(across, "across");
    switch.finish().await;
    assert_eq!(sent(&mut to_first), ["before", "across"]);
    assert_eq!(sent(&mut to_second), ["after"]);
    assert!(switch.handle().current().is_none());
}

#[tokio::test]
async fn a_change_on_the_admin_port_lasts_until_a_policy_changes_traces() {
    let (endpoint, _names) = collector().await;
    let switch = start(&policy(Some(&endpoint), 100), &[]);
    let off = Sampled {
        on: false,
        one_in: 1,
    };
    switch.handle().current().unwrap().sample(off);
    let mut other = policy(Some(&endpoint), 100);
    other.api.repository_control = true;
    switch.apply(&other);
    assert_eq!(switch.handle().current().unwrap().sampled(), off);
    switch.apply(&policy(Some(&endpoint), 50));
    let sampled = switch.handle().current().unwrap().sampled();
    assert_eq!(
        sampled,
        Sampled {
            on: true,
            one_in: 2
        }
    );
}

#[tokio::test]
async fn a_policy_without_traces_leaves_them_to_the_environment() {
    let (endpoint, _names) = collector().await;
    let none = start(&policy(Some(&endpoint), 100), &[]);
    none.apply(&policy(None, 0));
    assert!(none.handle().current().is_none());

    const VARIABLES: &[(&str, &str)] = &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    let variables = start(&policy(Some(&endpoint), 10), VARIABLES);
    variables.apply(&policy(None, 0));
    let sampled = variables.handle().current().unwrap().sampled();
    assert_eq!(sampled.one_in, 1);

    const UNUSABLE: &[(&str, &str)] = &[("OTEL_EXPORTER_OTLP_ENDPOINT", "no address")];
    assert!(
        start(&policy(None, 0), UNUSABLE)
            .handle()
            .current()
            .is_none()
    );
}

#[tokio::test]
async fn a_policy_whose_endpoint_is_no_address_is_not_accepted() {
    let switch = start(&policy(None, 0), &[]);
    let refused = switch.accept(&policy(Some("collector"), 100)).unwrap_err();
    assert!(
        refused.contains("spec.telemetry.traces.endpoint"),
        "{refused}"
    );
    assert_eq!(switch.accept(&policy(Some("http://c:4318"), 100)), Ok(()));
}
