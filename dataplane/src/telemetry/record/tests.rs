use super::super::{Exposition, Samples};
use super::*;

const ONE: [(&str, &str); 2] = [("model", "iris"), ("version", "1")];

fn metrics() -> Arc<Metrics> {
    let models = ["1", "2"].map(|version| ("iris".to_owned(), version.to_owned()));
    Arc::new(Metrics::new(models))
}

fn info(operation: &'static str) -> RequestInfo<'static> {
    RequestInfo {
        protocol: "rest",
        operation,
        request_id: "r-1".into(),
        model: Cow::Owned(ModelRef {
            name: "iris".to_owned(),
            version: Some("1".to_owned()),
        }),
        received: Instant::now(),
    }
}

fn samples(metrics: &Arc<Metrics>) -> Samples {
    Samples::read(&Exposition::new(Arc::clone(metrics)).text(false))
}

#[test]
fn a_request_is_in_flight_until_it_is_finished() {
    let metrics = metrics();
    let in_flight = || samples(&metrics).get("serin_requests_in_flight", &ONE);
    let record = RequestRecord::begin(&metrics, info("infer"));
    assert_eq!(in_flight(), Some(1.0));
    let _settled = record.succeeded(10, 20);
    assert_eq!(in_flight(), Some(0.0));
}

#[test]
fn an_answer_is_counted_once_under_the_version_that_ran_with_its_bytes() {
    let metrics = metrics();
    let mut record = RequestRecord::begin(&metrics, info("infer"));
    record.set_version("2");
    let _settled = record.succeeded(10, 20);
    let samples = samples(&metrics);
    for (version, count) in [("1", 0.0), ("2", 1.0)] {
        let labels = [
            ("model", "iris"),
            ("version", version),
            ("protocol", "rest"),
            ("operation", "infer"),
            ("outcome", "ok"),
            ("code", "200"),
        ];
        assert_eq!(samples.get("serin_requests_total", &labels), Some(count));
    }
    let sizes = [("model", "iris"), ("version", "2"), ("protocol", "rest")];
    let sum = samples.get("serin_response_body_bytes_sum", &sizes);
    assert_eq!(sum, Some(20.0));
}

#[test]
fn a_model_named_late_is_counted_with_what_it_read() {
    let metrics = metrics();
    let unnamed = ModelRef {
        name: String::new(),
        version: None,
    };
    let mut record = RequestRecord::begin(
        &metrics,
        RequestInfo {
            model: Cow::Owned(unnamed),
            ..info("embedding")
        },
    );
    record.set_model(ModelRef {
        name: "iris".to_owned(),
        version: Some("2".to_owned()),
    });
    record.read_tokens(7);
    let two = [("model", "iris"), ("version", "2")];
    let now = samples(&metrics);
    assert_eq!(now.get("serin_requests_in_flight", &two), Some(1.0));
    assert_eq!(now.sum("serin_tokens_total", &two), 7.0);
    let _settled = record.succeeded(1, 1);
    let labels = [("operation", "embedding"), ("outcome", "ok")];
    assert_eq!(samples(&metrics).sum("serin_requests_total", &labels), 1.0);
}

#[test]
fn a_record_that_is_dropped_is_of_a_caller_that_left() {
    let metrics = metrics();
    drop(RequestRecord::begin(&metrics, info("infer")));
    let labels = [
        ("operation", "infer"),
        ("outcome", "cancelled"),
        ("code", "499"),
    ];
    assert_eq!(samples(&metrics).sum("serin_requests_total", &labels), 1.0);
}

#[test]
fn a_stream_is_open_until_its_end_and_its_parts_are_counted() {
    let metrics = metrics();
    let stream = |samples: &Samples, name: &str| {
        let [model, version] = ONE;
        let labels = [model, version, ("protocol", "rest")];
        samples.get(name, &labels)
    };
    assert_eq!(
        stream(&samples(&metrics), "serin_stream_open"),
        Some(0.0),
        "the series is there from the start"
    );
    let mut record = RequestRecord::begin_stream(&metrics, info("stream"));
    record.parts(2);
    record.part();
    let now = samples(&metrics);
    assert_eq!(stream(&now, "serin_stream_open"), Some(1.0));
    assert_eq!(stream(&now, "serin_stream_events_total"), Some(3.0));
    assert_eq!(now.get("serin_requests_in_flight", &ONE), Some(0.0));
    drop(record);
    let now = samples(&metrics);
    assert_eq!(stream(&now, "serin_stream_open"), Some(0.0));
    assert_eq!(stream(&now, "serin_stream_cancelled_total"), Some(1.0));
}

#[test]
fn the_time_to_the_first_part_is_taken_once_and_only_of_streams() {
    let metrics = metrics();
    let taken = || samples(&metrics).sum("serin_time_to_first_part_seconds_count", &ONE);
    let mut stream = RequestRecord::begin_stream(&metrics, info("stream"));
    stream.parts(0);
    assert_eq!(taken(), 0.0);
    stream.part();
    stream.part();
    let _settled = stream.ended();
    let mut whole = RequestRecord::begin(&metrics, info("infer"));
    whole.part();
    let _settled = whole.succeeded(1, 1);
    assert_eq!(taken(), 1.0);
}

#[test]
fn a_finished_stream_is_open_no_longer_when_its_last_bytes_may_be_sent() {
    let metrics = metrics();
    let fault = Fault::new(FaultKind::NotReady, "model_not_ready", "stopping");
    for fails in [false, true] {
        let record = RequestRecord::begin_stream(&metrics, info("stream"));
        let settled = if fails {
            record.failed(&fault)
        } else {
            record.ended()
        };
        let now = samples(&metrics);
        assert_eq!(now.sum("serin_stream_open", &ONE), 0.0);
        let finished = now.sum("serin_requests_total", &[("operation", "stream")]);
        assert_eq!(finished, if fails { 2.0 } else { 1.0 });
        drop(settled);
    }
}

#[test]
fn a_record_that_a_panic_drops_is_an_error_of_the_server() {
    let metrics = metrics();
    let record = RequestRecord::begin(&metrics, info("infer"));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _record = record;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    let labels = [("outcome", "error"), ("code", "500")];
    assert_eq!(samples(&metrics).sum("serin_requests_total", &labels), 1.0);
}

#[test]
fn a_fault_is_counted_by_its_outcome() {
    let metrics = metrics();
    let fault = Fault::new(FaultKind::NotFound, "model_not_found", "no such model");
    let _settled = RequestRecord::begin(&metrics, info("infer")).failed(&fault);
    let labels = [("outcome", "client_error"), ("code", "404")];
    assert_eq!(samples(&metrics).sum("serin_requests_total", &labels), 1.0);
}
