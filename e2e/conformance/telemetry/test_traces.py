"""Traces: W3C Trace Context in and out, OTLP to a collector that decodes it with OpenTelemetry's own messages."""

import json
import queue

import numpy as np
import pytest
import tritonclient.grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage, Status

from collector import DELIVERY_LIMIT_S, Collector
from serving import until
from wire import get, infer, request, tensor

ROW = tensor("X", "FP32", [1, 4], [1, 2, 3, 4])
BODY = {"inputs": [ROW]}
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, INTERNAL = SpanMessage.SPAN_KIND_SERVER, SpanMessage.SPAN_KIND_INTERNAL
PARENT_IS_REMOTE = 0x300
PHASES = {"decode", "queue", "batch", "compute", "encode"}


def parent(number: int, flags: str = "01") -> str:
    """A caller's place in a trace of its own."""
    return f"00-{trace(number)}-{CALLER}-{flags}"


def trace(number: int) -> str:
    return f"{TRACE[:-4]}{number:04x}"


def fields(answer) -> tuple[str, str, str]:
    """Trace, span and flags that an answer names."""
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert version == "00" and len(trace_id) == 32 and len(span_id) == 16
    return trace_id, span_id, flags


def check_phases(spans, names: set[str]) -> None:
    """The children follow each other inside of the server's span."""
    server, children = spans[0].message, [span.message for span in spans[1:]]
    assert {child.name for child in children} <= PHASES and names <= {child.name for child in children}
    assert all(child.kind == INTERNAL and child.parent_span_id == server.span_id for child in children)
    children.sort(key=lambda child: child.start_time_unix_nano)
    places = [server.start_time_unix_nano]
    for child in children:
        places += [child.start_time_unix_nano, child.end_time_unix_nano]
    places.append(server.end_time_unix_nano)
    assert places == sorted(places)
    ids = [span.span_id for span in spans]
    assert len(set(ids)) == len(ids) and all(len(span_id) == 16 for span_id in ids)


def test_a_rest_request_is_a_span_of_its_callers_trace(server, collector):
    headers = {"traceparent": parent(1), "tracestate": "vendor=a,other@b=c", "x-request-id": "traced-1"}
    answer = infer(server, "linear", BODY, headers=headers)
    assert answer.status == 200
    spans = collector.of(trace(1))
    server_span = spans[0]
    assert fields(answer) == (trace(1), server_span.span_id, "01")
    assert server_span.parent_id == CALLER
    message = server_span.message
    assert message.kind == SERVER and message.name == "infer linear" and message.trace_state == "vendor=a,other@b=c"
    assert message.flags & 0x300 == PARENT_IS_REMOTE and message.status.code == Status.STATUS_CODE_UNSET
    expected = {
        "http.request.method": "POST",
        "url.path": "/v2/models/linear/infer",
        "http.response.status_code": 200,
        "http.request.body.size": len(json.dumps(BODY)),
        "serin.model.name": "linear",
        "serin.model.version": "1",
        "serin.request.id": "traced-1",
        "serin.outcome": "ok",
    }
    assert expected.items() <= server_span.attributes.items()
    check_phases(spans, {"decode", "queue", "compute"})
    compute = next(span for span in spans if span.message.name == "compute")
    assert compute.attributes["serin.batch.rows"] == 1
    assert server_span.resource["service.name"] == "all" and server_span.resource["k8s.namespace.name"] == "conformance"


@pytest.mark.parametrize("port", ["grpc_port", "http_port"])
def test_a_grpc_request_is_a_span_of_its_callers_trace(server, collector, port):
    number = 2 if port == "grpc_port" else 3
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{getattr(server, port)}") as client:
        array = tritonclient.grpc.InferInput("X", [1, 4], "FP32")
        array.set_data_from_numpy(np.ones((1, 4), np.float32))
        client.infer("linear", [array], headers={"traceparent": parent(number), "tracestate": "a=1"})
    spans = collector.of(trace(number))
    expected = {
        "rpc.system": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": "ModelInfer",
        "rpc.grpc.status_code": 0,
        "serin.model.name": "linear",
    }
    assert expected.items() <= spans[0].attributes.items()
    assert spans[0].parent_id == CALLER and spans[0].message.kind == SERVER and spans[0].message.trace_state == "a=1"
    check_phases(spans, {"queue", "compute"})


@pytest.mark.parametrize(
    "given",
    [
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01-more",
        "nonsense",
    ],
)
def test_what_is_no_parent_starts_a_trace_without_the_callers_state(server, collector, given):
    answer = infer(server, "linear", BODY, headers={"traceparent": given, "tracestate": "a=1"})
    trace_id, span_id, flags = fields(answer)
    assert trace_id != TRACE and flags == "01"
    server_span = collector.of(trace_id)[0]
    assert (server_span.span_id, server_span.parent_id, server_span.message.trace_state) == (span_id, "", "")


def test_a_version_of_the_future_is_read(server, collector):
    answer = infer(server, "linear", BODY, headers={"traceparent": f"cc-{trace(4)}-{CALLER}-01-later"})
    assert fields(answer)[0] == trace(4) and collector.of(trace(4))[0].parent_id == CALLER


def test_a_request_that_its_caller_does_not_sample_is_not_sent(server, collector):
    answer = infer(server, "linear", BODY, headers={"traceparent": parent(5, "00")})
    assert fields(answer)[0] == trace(5) and fields(answer)[2] == "00"
    infer(server, "linear", BODY, headers={"traceparent": parent(6)})
    collector.of(trace(6))
    assert not [span for span in collector.spans if span.trace_id == trace(5)]


def test_a_refused_request_is_no_error_of_the_server_but_has_its_type(server, collector):
    answer = infer(server, "made-up-by-a-caller", BODY, headers={"traceparent": parent(7)})
    assert answer.status == 404
    span = collector.of(trace(7))[0]
    assert span.message.status.code == Status.STATUS_CODE_UNSET
    assert span.attributes["error.type"] == "model_not_found" and span.attributes["http.response.status_code"] == 404
    assert span.message.name == "infer _unknown"


def test_a_deadline_that_passed_is_an_error(server, collector):
    body = {**BODY, "parameters": {"timeout": 1}}
    answer = infer(server, "linear", body, headers={"traceparent": parent(8)})
    assert answer.status == 504
    span = collector.of(trace(8))[0]
    assert span.message.status.code == Status.STATUS_CODE_ERROR and "deadline" in span.message.status.message
    assert span.attributes["error.type"] == "timeout"


def test_the_access_log_names_the_trace_and_the_request(server):
    infer(server, "made-up-by-a-caller", BODY, headers={"traceparent": parent(9), "x-request-id": "logged-1"})
    # A thread of its own writes the log.
    [line] = until(lambda: logged(server, "logged-1"), DELIVERY_LIMIT_S, "the line")
    assert line["trace_id"] == trace(9) and line["target"] == "serin::access" and line["status"] == 404
    assert {"duration_us", "decode_us", "queue_us", "batch_us", "compute_us", "encode_us"} <= set(line)


def logged(server, request_id: str) -> list[dict]:
    whole, _, _ = server.log().rpartition("\n")
    lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("request_id") == request_id]


def traced(collector: Collector, **more) -> dict:
    return {"telemetry": {"traces": {"endpoint": collector.endpoint, "samplePercent": 100, **more}}}


def test_a_stream_is_one_span(server, collector):
    headers = {"traceparent": parent(15)}
    answer = request(server, "POST", "/v2/models/linear/infer_stream", json.dumps(BODY).encode(), headers)
    assert answer.status == 200
    spans = collector.of(trace(15))
    assert [span.message.name for span in spans] == ["stream linear"]
    assert spans[0].parent_id == CALLER and fields(answer)[:2] == (trace(15), spans[0].span_id)


def test_a_grpc_stream_is_one_span(server, collector):
    arrays = tritonclient.grpc.InferInput("X", [1, 4], "FP32")
    arrays.set_data_from_numpy(np.ones((1, 4), np.float32))
    answers = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put(error or result), headers={"traceparent": parent(16)})
        for _ in range(3):
            client.async_stream_infer("linear", [arrays])
        got = [answers.get(timeout=20) for _ in range(3)]
        client.stop_stream()
    assert not [answer for answer in got if isinstance(answer, Exception)]
    spans = collector.of(trace(16))
    assert [span.message.name for span in spans] == ["stream linear"] and spans[0].parent_id == CALLER
    assert spans[0].attributes["rpc.method"] == "ModelStreamInfer"


def test_what_is_no_inference_is_no_span(own_server, own_collector):
    server = own_server(traced(own_collector))
    assert "traceparent" not in get(server, "/v2/health/ready").headers
    infer(server, "linear", BODY, headers={"traceparent": parent(10)})
    server.stop()
    assert {span.trace_id for span in own_collector.spans} == {trace(10)}


def test_spans_are_sent_again_when_the_collector_is_busy(own_server, own_collector):
    own_collector.answers = [503, 429]
    server = own_server(traced(own_collector))
    infer(server, "linear", BODY, headers={"traceparent": parent(11)})
    own_collector.of(trace(11))
    assert own_collector.requests == 3
    assert server.metric("serin_traces_dropped_total") == 0


def test_spans_that_nobody_takes_are_dropped_and_counted_while_requests_are_answered(own_server, own_collector):
    own_collector.answers = [400] * 100
    server = own_server(traced(own_collector))
    assert infer(server, "linear", BODY).status == 200
    until(lambda: server.metric("serin_traces_dropped_total", reason="export_failed") >= 1, DELIVERY_LIMIT_S, "the drop is counted")
    until(lambda: "traces cannot be delivered" in server.log(), DELIVERY_LIMIT_S, "the drop is logged")


def test_the_last_spans_are_sent_before_the_server_ends(own_server, own_collector):
    server = own_server(traced(own_collector))
    infer(server, "linear", BODY, headers={"traceparent": parent(12)})
    server.stop()
    assert [span for span in own_collector.spans if span.trace_id == trace(12)]


def test_of_requests_without_a_parent_as_many_as_asked_for_are_sampled(own_server, own_collector):
    server = own_server(traced(own_collector, samplePercent=0))
    assert {fields(infer(server, "linear", BODY))[2] for _ in range(20)} == {"00"}
    infer(server, "linear", BODY, headers={"traceparent": parent(13)})
    assert own_collector.of(trace(13))


def test_without_a_collector_nothing_is_traced(own_server):
    server = own_server()
    assert "traceparent" not in infer(server, "linear", BODY, headers={"traceparent": parent(14)}).headers


def test_variables_that_cannot_be_used_are_named_and_stop_no_model(own_server, own_collector):
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": own_collector.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    server = own_server(env=variables)
    assert infer(server, "linear", BODY).status == 200
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'" in server.log()


def test_opentelemetrys_variables_are_honoured_where_the_policy_says_nothing(own_server, own_collector):
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": own_collector.endpoint,
        "OTEL_SERVICE_NAME": "by-variable",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=a%20test",
    }
    server = own_server(env=variables)
    trace_id = fields(infer(server, "linear", BODY))[0]
    span = own_collector.of(trace_id)[0]
    assert span.resource["service.name"] == "by-variable" and span.resource["deployment.environment.name"] == "a test"
