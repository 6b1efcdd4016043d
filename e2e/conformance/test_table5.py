"""Where other servers disagree or are known to be wrong: one test for each row of table 5 of the protocol reference that
concerns an endpoint of ours; `not_yet.py` names the other rows and why."""

import json
import re
import socket
import struct
import time

import grpc
import ml_dtypes
import numpy as np
import openai
import pytest
import tritonclient.grpc
import tritonclient.http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from grpcwire import TIMEOUT_S, message, refused
from serving import until
from wire import COMPRESS, echo, fault, get, infer, ok, raw_exchange, request, tensor

ROW = tensor("X", "FP32", [1, 4], [1, 2, 3, 4])
RAW_ROW = struct.pack("<4f", 1, 2, 3, 4)
ENTRY = ("X", "FP32", [1, 4], None)
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def test_row_01_ready_has_both_keys(server):
    assert ok(get(server, "/v2/health/ready")) == {"ready": True, "live": True}


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/linear/ready"])
def test_row_02_health_bodies_are_json(server, path):
    assert isinstance(ok(get(server, path)), dict)


def test_row_03_not_ready_is_503(broken_server):
    assert get(broken_server, "/v2/health/ready").status == 503
    assert get(broken_server, "/v2/models/truncated/ready").status == 503
    assert get(broken_server, "/v2/models/linear/ready").status == 200
    assert get(broken_server, "/v2/health/live").status == 200


def test_row_04_readiness_is_real_and_says_why_not(broken_server):
    body = get(broken_server, "/v2/health/ready").document()
    assert body["ready"] is False and body["live"] is True
    assert "truncated" in body["error"] or "unknown_operator" in body["error"]
    with tritonclient.grpc.InferenceServerClient(broken_server.grpc) as client:
        assert client.is_server_live() and not client.is_server_ready()
        assert client.is_model_ready("linear") and not client.is_model_ready("truncated")


def test_row_05_a_callers_mistake_is_400(server, rpc):
    for document in ({"inputs": [ROW | {"data": [1]}]}, {"inputs": [ROW | {"data": [1e300] * 4}]}, {"inputs": [ROW | {"data": "x"}]}):
        fault(infer(server, "linear", document), 400)
    refused(lambda: rpc.ModelInfer(message("linear", ENTRY, raw=[b"\0"]), timeout=TIMEOUT_S), INVALID)


@pytest.mark.parametrize("method,path,body,status", [("GET", "/v2/nothing", b"", 404), ("PUT", "/v2", b"", 405), ("POST", "/v2/models/linear/infer", b"{}", 400)])
def test_row_06_error_bodies_are_the_protocols(server, method, path, body, status):
    assert "detail" not in fault(request(server, method, path, body), status)


def test_row_07_no_traceback_reaches_a_client(server):
    for body, length in ((b"\xff" * 64, 64), (b"{}" + b"\0" * 64, 2), (b"\0" * 64, 0)):
        fault(request(server, "POST", "/v2/models/two_inputs/infer", body, {"Inference-Header-Content-Length": length}), 400)


@pytest.mark.parametrize("datatype,value", [("INT8", 128), ("INT8", 300), ("UINT8", -1), ("UINT8", 256), ("INT32", 2**31), ("UINT64", -1), ("INT64", 1.5), ("INT16", 0.5)])
def test_row_08_integers_neither_wrap_nor_lose_their_fraction(server, datatype, value):
    fault(echo(server, datatype, [value]), 400, "'X'")


@pytest.mark.parametrize("datatype,field,value", [("INT8", "int_contents", 300), ("INT16", "int_contents", -40000), ("UINT8", "uint_contents", 256), ("UINT16", "uint_contents", 65536)])
def test_row_08_integers_do_not_wrap_over_grpc(rpc, datatype, field, value):
    request_message = message(f"identity_{datatype.lower()}", ("X", datatype, [1, 1], {field: [value]}))
    refused(lambda: rpc.ModelInfer(request_message, timeout=TIMEOUT_S), INVALID, "'X'", str(value))


def test_row_09_nan_and_infinity_are_strings_that_clients_decode(server):
    answer = echo(server, "FP32", ["NaN", "-Infinity", 1])
    assert b'"data":["NaN","-Infinity",1' in answer.body
    decoded = tritonclient.http.InferResult.from_response_body(answer.body).as_numpy("Y")
    assert np.array_equal(decoded, np.array([[np.nan, -np.inf, 1]], np.float32), equal_nan=True)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_row_10_sixteen_bit_floats_are_numbers_in_json(server, datatype):
    answer = echo(server, datatype, [1.5, -0.25, 1 / 3])
    array = np.array([[1.5, -0.25, 1 / 3]], np.float16 if datatype == "FP16" else ml_dtypes.bfloat16)
    decoded = tritonclient.http.InferResult.from_response_body(answer.body).as_numpy("Y")
    assert ok(answer) and decoded.tobytes() == array.tobytes()


def test_row_11_binary_data_output_also_rules_listed_outputs(server):
    outputs = [{"name": "D"}, {"name": "total", "parameters": {"binary_data": False}}]
    document = {"inputs": [tensor("X", "FP32", [1, 2], [1, 2])], "outputs": outputs, "parameters": {"binary_data_output": True}}
    text, data = infer(server, "multi_var", document).split()
    assert text["outputs"][0]["parameters"]["binary_data_size"] == 8 and "data" not in text["outputs"][0]
    assert text["outputs"][1]["data"] == [3] and struct.unpack("<2f", data) == (2, 4)


@pytest.mark.parametrize("extra", [b"\0", b"\0" * 16])
def test_row_12_bytes_after_the_last_input_are_refused(server, extra):
    document = {"inputs": [tensor("X", "FP32", [1, 4], None, binary_data_size=16)]}
    fault(infer(server, "linear", document, RAW_ROW + extra), 400, str(len(extra)))


@pytest.mark.parametrize("coding", COMPRESS, ids=str)
def test_row_13_the_header_length_counts_uncompressed_bytes(server, coding):
    document = {"inputs": [tensor("X", "FP32", [1, 4], None, binary_data_size=16)]}
    assert ok(infer(server, "linear", document, RAW_ROW, coding=coding))["outputs"][0]["data"] == [10, -1, 41]


def test_row_14_no_content_type_is_needed(server):
    ok(infer(server, "linear", {"inputs": [ROW]}))


def test_row_15_raw_answers_raw_and_typed_answers_typed(rpc):
    raw = rpc.ModelInfer(message("linear", ENTRY, raw=[RAW_ROW]), timeout=TIMEOUT_S)
    assert len(raw.raw_output_contents) == 1 and not raw.outputs[0].HasField("contents")
    typed = rpc.ModelInfer(message("linear", ("X", "FP32", [1, 4], {"fp32_contents": [1, 2, 3, 4]})), timeout=TIMEOUT_S)
    assert list(typed.outputs[0].contents.fp32_contents) == [10, -1, 41] and not typed.raw_output_contents


def test_row_16_stream_answers_are_in_tritons_wrapper(server):
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        seen = []
        client.start_stream(lambda result, error: seen.append((result, error)))
        entry = tritonclient.grpc.InferInput("X", [1, 4], "FP32").set_data_from_numpy(np.array([[1, 2, 3, 4]], np.float32))
        client.async_stream_infer("linear", [entry], request_id="a")
        client.stop_stream()
    [(result, error)] = seen
    assert error is None and result.get_response().id == "a" and result.get_response().model_name == "linear"


@pytest.mark.parametrize("field", ["model_name", "repository_name"])
def test_row_17_a_model_to_load_is_found_in_either_field(rpc, field):
    request_message = service_pb2.RepositoryModelLoadRequest(**{field: "linear"})
    refused(lambda: rpc.RepositoryModelLoad(request_message, timeout=TIMEOUT_S), grpc.StatusCode.PERMISSION_DENIED, "linear")


def test_row_18_metadata_has_no_entry_in_field_6(channel):
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelMetadata")
    answer = call(service_pb2.ModelMetadataRequest(name="linear").SerializeToString(), timeout=TIMEOUT_S)
    known = service_pb2.ModelMetadataResponse.FromString(answer)
    # Triton's description has no field 6: what it does not know would be kept when it writes again.
    known.DiscardUnknownFields()
    assert known.SerializeToString() == answer and known.name == "linear"


def test_row_19_the_index_takes_an_empty_body(server):
    names = [entry["name"] for entry in ok(request(server, "POST", "/v2/repository/index"))]
    assert "linear" in names


def test_row_20_an_unknown_model_is_not_ready_over_grpc(rpc):
    for name, version in (("nobody", ""), ("linear", "9")):
        answer = rpc.ModelReady(service_pb2.ModelReadyRequest(name=name, version=version), timeout=TIMEOUT_S)
        assert answer.ready is False


def test_row_21_a_load_that_is_not_allowed_says_so(server, rpc):
    fault(request(server, "POST", "/v2/repository/models/nobody/load"), 403)
    request_message = service_pb2.RepositoryModelLoadRequest(model_name="nobody")
    refused(lambda: rpc.RepositoryModelLoad(request_message, timeout=TIMEOUT_S), grpc.StatusCode.PERMISSION_DENIED)


def test_row_22_versions_are_strings_and_unknown_ones_404(server):
    for version in ("9", "v2", "1.0", "01", "latest"):
        fault(get(server, f"/v2/models/linear/versions/{version}"), 404, version)
    assert ok(get(server, "/v2/models/linear/versions/1"))["name"] == "linear"


def test_row_23_an_id_is_always_there(server, rpc):
    assert ok(infer(server, "linear", {"inputs": [ROW]}))["id"]
    assert ok(infer(server, "linear", {"inputs": [ROW], "id": "mine"}))["id"] == "mine"
    assert rpc.ModelInfer(message("linear", ENTRY, raw=[RAW_ROW]), timeout=TIMEOUT_S).id


def test_row_24_chosen_outputs_are_the_ones_that_come_in_that_order(server, rpc):
    document = {"inputs": [tensor("X", "FP32", [1, 2], [1, 2])]}
    for chosen in (["total"], ["total", "D"], ["D", "total"]):
        answer = infer(server, "multi_var", document | {"outputs": [{"name": name} for name in chosen]})
        assert [output["name"] for output in ok(answer)["outputs"]] == chosen
        request_message = message("multi_var", ("X", "FP32", [1, 2], None), raw=[b"\0" * 8], outputs=chosen)
        assert [output.name for output in rpc.ModelInfer(request_message, timeout=TIMEOUT_S).outputs] == chosen
    for everything in ({"outputs": []}, {"outputs": None}, {}):
        assert [output["name"] for output in ok(infer(server, "multi_var", document | everything))["outputs"]] == ["D", "total"]


@pytest.mark.parametrize("change", [{"shape": [-1, 4]}, {"shape": [4]}, {"shape": [1, 2, 2]}, {"data": [1, 2, 3]}, {"data": [1] * 5}], ids=str)
def test_row_25_shapes_and_counts_are_checked(server, change):
    body = fault(infer(server, "linear", {"inputs": [ROW | change]}), 400)
    assert "'X'" in body["error"] or "inputs[0].shape" in body["error"]


@pytest.mark.parametrize("path", ["/openapi.json", "/v2/docs/dataplane.json"])
def test_row_26_our_own_description_of_the_interface_is_31(server, path):
    document = ok(get(server, path))
    assert document["openapi"].startswith("3.1") and not [name for name in document["paths"] if "$" in name]


def events(server, document: dict, accept: str = "text/event-stream") -> tuple[str, bytes]:
    """Header block and body of an `infer_stream` answer."""
    body = json.dumps(document).encode()
    head = (
        "POST /v2/models/linear/infer_stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n"
        f"Accept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    block, _, rest = raw_exchange(server, head.encode() + body).partition(b"\r\n\r\n")
    assert block.startswith(b"HTTP/1.1 200"), block
    return block.decode().lower(), rest


def test_row_27_events_have_no_id(server):
    _, body = events(server, {"inputs": [ROW]})
    assert b"data: {" in body and not re.search(rb"^(id|event|retry):", body, re.MULTILINE)


@pytest.mark.parametrize("path", ["/v1/models/nobody", "/v1/nothing", "/openai/v1/models/nobody", "/openai/v1"])
def test_row_31_openais_errors_are_nested_and_their_code_is_a_word(server, path):
    answer = get(server, path, Accept="application/problem+json")
    assert answer.status == 404 and answer.headers["content-type"] == "application/json"
    error = answer.document()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["type"] == "invalid_request_error" and error["code"] in ("model_not_found", "not_found")


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{", None), (b"{}", "model"), (b'{"model":"embedder"}', "input"), (b'{"model":"embedder","input":{}}', "input"), (b"[]", None)],
)
def test_row_32_what_cannot_be_read_is_400_without_a_code(server, body, param):
    answer = request(server, "POST", "/v1/embeddings", body)
    error = answer.document()["error"]
    assert answer.status == 400 and error["type"] == "invalid_request_error"
    assert error["param"] == param and error["code"] is None


def test_row_44_embeddings_come_as_the_base64_that_openais_client_asks_for(server):
    sent = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: sent.append(json.loads(request.content))]})
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", http_client=http) as client:
        asked = {"model": "embedder", "input": ["The cat sleeps.", "Rain."]}
        by_default = client.embeddings.create(**asked)
        as_floats = client.embeddings.create(**asked, encoding_format="float")
    assert [body["encoding_format"] for body in sent] == ["base64", "float"]
    for decoded, plain in zip(by_default.data, as_floats.data, strict=True):
        assert np.array_equal(np.float32(decoded.embedding), np.float32(plain.embedding))


def test_row_28_a_quiet_event_stream_sends_comments(server):
    body = json.dumps({"inputs": [tensor("steps", "INT64", [1, 1], [50_000])]}).encode()
    head = f"POST /v2/models/slow/infer_stream HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        started, received = time.monotonic(), b""
        while b":\n\n" not in received:
            part = connection.recv(65536)
            assert part, received
            received += part
    assert time.monotonic() - started > 14 and received.startswith(b"HTTP/1.1 200")


def test_row_34_health_and_reflection_are_built_in(channel):
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert "inference.GRPCInferenceService" in ProtoReflectionDescriptorDatabase(channel).get_services()


def test_row_35_watching_an_unknown_service_stays_open(channel):
    call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="nobody"), timeout=TIMEOUT_S)
    assert next(call).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    time.sleep(0.2)
    assert call.is_active()
    call.cancel()


def test_row_36_messages_above_4_mib_pass(rpc):
    array = np.arange(2 << 20, dtype=np.float32).reshape(1, -1)
    request_message = message("identity_fp32", ("X", "FP32", list(array.shape), None), raw=[array.tobytes()])
    assert rpc.ModelInfer(request_message, timeout=TIMEOUT_S).raw_output_contents[0] == array.tobytes()


@pytest.mark.parametrize("accept", [None, "application/openmetrics-text; version=1.0.0"])
def test_row_37_metrics_have_no_type_that_breaks_a_scrape(server, accept):
    answer = get(server, "/metrics", **({"Accept": accept} if accept else {}))
    assert answer.status == 200
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", answer.body.decode(), re.MULTILINE))
    assert types["serin_build_info"] == "gauge" and set(types.values()) <= {"counter", "gauge", "histogram", "summary"}


@pytest.mark.parametrize("name", ["num_requests_waiting", "num_requests_running", "kv_cache_usage_perc", "cache_config_info", "lora_requests_info"])
def test_row_38_a_gauge_that_endpoint_pickers_read_has_one_series_per_pod(server, name):
    # The picker scrapes without an Accept header and takes the first series, whatever its labels.
    text = get(server, "/metrics").body.decode()
    series = re.findall(rf"^vllm:{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    assert len(series) == 1 and 'model_name="' in series[0][0], series
    assert f"# TYPE vllm:{name} gauge\n" in text


def test_row_39_an_unknown_model_is_no_label(server):
    name = "made-up-by-a-caller"
    before = server.metric("serin_requests_total", model="_unknown")
    fault(infer(server, name, {"inputs": [ROW]}), 404)
    until(lambda: server.metric("serin_requests_total", model="_unknown") > before, 5, "the request is counted as _unknown")
    assert name.encode() not in get(server, "/metrics").body


def test_row_41_a_caller_that_leaves_frees_the_slot(server):
    body = json.dumps({"inputs": [tensor("steps", "INT64", [1, 1], [50_000])]}).encode()
    head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.http_port)) as connection:
        connection.sendall(head.encode() + body)
        until(lambda: server.metric("serin_requests_in_flight", model="slow") >= 1, 10, "the request runs")
    until(lambda: server.metric("serin_requests_in_flight", model="slow") == 0, 5, "the slot is free")


def test_row_42_events_are_not_compressed(server):
    headers, body = events(server, {"inputs": [ROW]})
    assert "content-type: text/event-stream" in headers and "content-encoding" not in headers
    assert b"data: {" in body


@pytest.mark.parametrize("element", [b"nul\0inside", b"\0", b"\xff\xfe", b""], ids=repr)
def test_row_43_strings_hold_any_bytes(server, rpc, element):
    data = struct.pack("<I", len(element)) + element
    document = {
        "inputs": [tensor("X", "BYTES", [1, 1], None, binary_data_size=len(data))],
        "parameters": {"binary_data_output": True},
    }
    assert infer(server, "identity_bytes", document, data).split()[1] == data
    answer = rpc.ModelInfer(message("identity_bytes", ("X", "BYTES", [1, 1], {"bytes_contents": [element]})), timeout=TIMEOUT_S)
    assert list(answer.outputs[0].contents.bytes_contents) == [element]


def test_row_45_bf16_of_tritonclient_comes_back(client):
    array = np.array([[1.5, 2.5, -1e30]], ml_dtypes.bfloat16)
    answer = client.infer("identity_bf16", [client.input("X", array, "BF16")]).as_numpy("Y")
    assert answer.dtype == array.dtype and answer.tobytes() == array.tobytes()


def test_row_45_the_client_still_refuses_bf16_in_json():
    with pytest.raises(InferenceServerException):
        tritonclient.http.InferInput("X", [1, 1], "BF16").set_data_from_numpy(np.ones((1, 1), ml_dtypes.bfloat16), binary_data=False)
