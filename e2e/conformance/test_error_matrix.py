"""The error matrix, row by row: the status, body and headers over REST, and the status over gRPC."""

import gzip
import json
import threading
import zlib

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from grpcwire import TIMEOUT_S, message, refused
from serving import REPOSITORY, until
from wire import fault, get, infer, ok, raw_exchange, request, tensor

ROW = tensor("X", "FP32", [1, 4], [1, 2, 3, 4])
RAW_ROW = b"\0" * 16
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def one(**changes) -> dict:
    """A request with one input, changed."""
    return {"inputs": [ROW | changes]}


MALFORMED = {
    "no JSON": b"{",
    "nothing": b"",
    "a list": b"[]",
    "a number": b"1",
    "two documents": b'{"inputs":[]}{}',
    "a trailing comma": b'{"inputs":[],}',
    "a comment": b'{"inputs":[]/**/}',
    "a byte order mark": b'\xef\xbb\xbf{"inputs":[]}',
    "no UTF-8": b'{"id":"\xff","inputs":[]}',
    "a lone surrogate": b'{"id":"\\ud800","inputs":[]}',
    "UTF-16": '{"inputs":[]}'.encode("utf-16-le"),
    "a raw control character": b'{"id":"\n","inputs":[]}',
    "NaN": b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[NaN,1,1,1]}]}',
    "a leading zero": b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[01,1,1,1]}]}',
    "a plus sign": b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[+1,1,1,1]}]}',
    "no inputs": b"{}",
    "inputs that are no list": b'{"inputs":{}}',
    "inputs null": b'{"inputs":null}',
    "an input that is no object": b'{"inputs":[1]}',
    "an id that is no string": json.dumps(one() | {"id": 7}).encode(),
    "parameters that are no object": json.dumps(one() | {"parameters": []}).encode(),
    "outputs that are no list": json.dumps(one() | {"outputs": {}}).encode(),
    "an output without a name": json.dumps(one() | {"outputs": [{}]}).encode(),
    "inputs twice": b'{"inputs":[],"inputs":[]}',
    "id twice": b'{"id":"a","id":"a","inputs":[]}',
    "data twice": b'{"inputs":[{"name":"X","shape":[1,1],"datatype":"FP32","data":[1],"data":[1]}]}',
    "an escaped name twice": b'{"inputs":[],"\\u0069nputs":[]}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_requests_are_400(server, body):
    fault(infer(server, "linear", body), 400)


@pytest.mark.parametrize("member", ["name", "shape", "datatype", "data"])
def test_a_missing_member_is_named(server, member):
    without = {key: value for key, value in ROW.items() if key != member}
    body = fault(infer(server, "linear", {"inputs": [without]}), 400, member)
    assert member in body["param"]


def test_a_member_given_twice_is_named(server):
    fault(infer(server, "linear", b'{"inputs":[],"inputs":[]}'), 400, "inputs", "twice")


def test_json_is_read_to_100_levels(server):
    for levels, status in ((100, 200), (101, 400)):
        # The root is level 1, `unknown` begins level 2.
        nested = b"[" * (levels - 1) + b"]" * (levels - 1)
        document = json.dumps(one()).encode()[:-1] + b',"unknown":' + nested + b"}"
        answer = infer(server, "linear", document)
        if status == 200:
            ok(answer)
        else:
            fault(answer, 400)
    fault(infer(server, "linear", b"[" * 1_000_000), 400)


BAD_TENSORS = {
    "another datatype": one(datatype="FP64"),
    "another rank": one(shape=[4]),
    "another extent": one(shape=[1, 3], data=[1, 2, 3]),
    "too few elements": one(data=[1, 2, 3]),
    "too many elements": one(data=[1, 2, 3, 4, 5]),
    "a negative extent": one(shape=[-1, 4]),
    "an unknown input": {"inputs": [ROW, ROW | {"name": "Z"}]},
    "an input twice": {"inputs": [ROW, ROW]},
    "no input": {"inputs": []},
    "an unknown output": one() | {"outputs": [{"name": "Z"}]},
    "an output twice": one() | {"outputs": [{"name": "Y"}, {"name": "Y"}]},
    "17 dimensions": one(shape=[1] * 17, data=[1]),
    "257 inputs": {"inputs": [ROW | {"name": f"X{place}"} for place in range(257)]},
    "257 outputs": one() | {"outputs": [{"name": f"Y{place}"} for place in range(257)]},
}


@pytest.mark.parametrize("document", BAD_TENSORS.values(), ids=BAD_TENSORS)
def test_tensors_that_do_not_fit_are_400(server, document):
    fault(infer(server, "linear", document), 400)


def test_what_does_not_fit_is_named(server):
    fault(infer(server, "linear", one(data=[1, 2, 3])), 400, "input 'X': expected 4 elements, got 3", code="shape_mismatch")
    fault(infer(server, "linear", one(datatype="FP64")), 400, "'X'", "FP64", "FP32")
    fault(infer(server, "linear", one(shape=[1, 3], data=[1, 2, 3])), 400, "'X'", "3", "4")
    fault(infer(server, "linear", {"inputs": [ROW, ROW | {"name": "Z"}]}), 400, "'Z'")
    fault(infer(server, "linear", {"inputs": []}), 400, "'X'")
    fault(infer(server, "linear", one() | {"outputs": [{"name": "Z"}]}), 400, "'Z'")


BAD_MESSAGES = {
    "another datatype": message("linear", ("X", "FP64", [1, 4], None), raw=[b"\0" * 32]),
    "no datatype": message("linear", ("X", "STRING", [1, 4], None), raw=[RAW_ROW]),
    "another rank": message("linear", ("X", "FP32", [4], None), raw=[RAW_ROW]),
    "another extent": message("linear", ("X", "FP32", [1, 3], None), raw=[b"\0" * 12]),
    "a byte too few": message("linear", ("X", "FP32", [1, 4], None), raw=[b"\0" * 15]),
    "a byte too many": message("linear", ("X", "FP32", [1, 4], None), raw=[b"\0" * 17]),
    "a negative extent": message("linear", ("X", "FP32", [-1, 4], None), raw=[RAW_ROW]),
    "an extent that overflows": message("linear", ("X", "FP32", [2**62, 4], None), raw=[RAW_ROW]),
    "an unknown input": message("linear", ("X", "FP32", [1, 4], None), ("Z", "FP32", [1, 4], None), raw=[RAW_ROW, RAW_ROW]),
    "an input twice": message("linear", ("X", "FP32", [1, 4], None), ("X", "FP32", [1, 4], None), raw=[RAW_ROW, RAW_ROW]),
    "no input": message("linear"),
    "no data": message("linear", ("X", "FP32", [1, 4], None)),
    "an unknown output": message("linear", ("X", "FP32", [1, 4], None), raw=[RAW_ROW], outputs=["Z"]),
    "an output twice": message("linear", ("X", "FP32", [1, 4], None), raw=[RAW_ROW], outputs=["Y", "Y"]),
    "an empty model name": message("", ("X", "FP32", [1, 4], None), raw=[RAW_ROW]),
}


@pytest.mark.parametrize("request_message", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_tensors_that_do_not_fit_are_invalid_arguments(rpc, request_message):
    refused(lambda: rpc.ModelInfer(request_message, timeout=TIMEOUT_S), INVALID)


def test_a_triton_parameter_is_refused_over_http(server):
    fault(infer(server, "linear", one() | {"parameters": {"triton_enable_empty_final_response": True}}), 400, "triton_enable_empty_final_response")


BAD_PARAMETERS = {
    "timeout": ["5", -1, 1.5, True],
    "priority": ["1", -1],
    "binary_data_output": [1, "true"],
}


@pytest.mark.parametrize("name,value", [(name, value) for name, values in BAD_PARAMETERS.items() for value in values], ids=repr)
def test_a_reserved_parameter_of_the_wrong_type_is_400(server, name, value):
    fault(infer(server, "linear", one() | {"parameters": {name: value}}), 400, name)


@pytest.mark.parametrize("value", [{"a": 1}, [1], None, "text", 1.5, True])
def test_other_parameters_may_have_any_value(server, value):
    ok(infer(server, "linear", one() | {"parameters": {"mine": value}}))
    ok(infer(server, "linear", one(parameters={"mine": value})))


def test_an_unknown_triton_parameter_is_refused_over_grpc(rpc):
    request_message = message("linear", ("X", "FP32", [1, 4], None), raw=[RAW_ROW], triton_unheard_of=True)
    refused(lambda: rpc.ModelInfer(request_message, timeout=TIMEOUT_S), INVALID, "triton_unheard_of")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nobody",
        "/v2/models/nobody/ready",
        "/v2/models/linear/versions/9",
        "/v2/models/linear/versions/9/ready",
        "/v2/models/linear/versions/01",
        "/v2/nothing",
        "/nothing",
        "/v2/models/linear/nothing",
    ],
)
def test_what_is_unknown_is_404(server, path):
    fault(get(server, path), 404)


def test_an_unknown_model_or_version_is_named(server, rpc):
    fault(infer(server, "nobody", one()), 404, "'nobody'", code="model_not_found")
    fault(request(server, "POST", "/v2/models/linear/versions/9/infer", json.dumps(one()).encode()), 404, "linear", "9")
    entry = ("X", "FP32", [1, 4], None)
    not_found = grpc.StatusCode.NOT_FOUND
    refused(lambda: rpc.ModelInfer(message("nobody", entry, raw=[RAW_ROW]), timeout=TIMEOUT_S), not_found, "'nobody'")
    refused(lambda: rpc.ModelInfer(message("linear", entry, raw=[RAW_ROW], version="9"), timeout=TIMEOUT_S), not_found, "9")


@pytest.mark.parametrize(
    "method,path,allowed",
    [
        ("GET", "/v2/models/linear/infer", "POST"),
        ("POST", "/v2", "GET"),
        ("DELETE", "/v2/models/linear", "GET"),
        ("PUT", "/v2/models/linear/infer", "POST"),
        ("TRACE", "/v2/models/linear/infer", "POST"),
        ("TRACE", "/v2/health/live", "GET"),
        ("PATCH", "/metrics", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_says_what_is_allowed(server, method, path, allowed):
    answer = request(server, method, path)
    fault(answer, 405)
    assert allowed in answer.headers["allow"]


def test_a_method_that_nobody_knows_is_refused(server):
    assert request(server, "BREW", "/v2").status in (405, 501)


def test_an_unknown_rpc_is_unimplemented(channel):
    call = channel.unary_unary("/inference.GRPCInferenceService/Nothing")
    with pytest.raises(grpc.RpcError) as failure:
        call(b"", timeout=TIMEOUT_S)
    assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_body_that_is_too_large_is_413(server):
    head = f"POST /v2/models/linear/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {(64 << 20) + 1}\r\n\r\n"
    answer = raw_exchange(server, head.encode() + b"{")
    status, _, rest = answer.partition(b"\r\n")
    assert b" 413 " in status, answer[:300]
    body = json.loads(rest.split(b"\r\n\r\n", 1)[1])
    assert body["error"] and body["code"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_the_decompressed_size_is_what_counts(server, coding):
    bomb = b" " * ((64 << 20) + 1)
    body = gzip.compress(bomb, 1) if coding == "gzip" else zlib.compress(bomb, 1)
    fault(request(server, "POST", "/v2/models/linear/infer", body, {"Content-Encoding": coding}), 413)


def test_a_message_that_is_too_large_is_refused(rpc):
    entry = ("X", "FP32", [1, 4], None)
    with pytest.raises(grpc.RpcError) as failure:
        rpc.ModelInfer(message("linear", entry, raw=[b"\0" * ((64 << 20) + 1)]), timeout=TIMEOUT_S)
    # tonic's own check of the announced length says OUT_OF_RANGE.
    assert failure.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE)


@pytest.mark.parametrize("coding", ["br", "gzip, br", "gzip, gzip", "zstd", "nonsense"])
def test_an_unknown_coding_is_415_and_says_which_are_known(server, coding):
    answer = request(server, "POST", "/v2/models/linear/infer", b"x", {"Content-Encoding": coding})
    fault(answer, 415)
    accepted = answer.headers["accept-encoding"]
    assert "gzip" in accepted and "deflate" in accepted


def test_a_full_queue_is_503_and_says_when_to_come_back(server):
    blocker = threading.Thread(target=lambda: infer(server, "slow", {"inputs": [tensor("steps", "INT64", [1, 1], [4000])]}), daemon=True)
    blocker.start()
    until(lambda: server.metric("serin_requests_in_flight", model="slow") >= 1, 10, "the slow request runs")
    answers = []

    def ask():
        answers.append(infer(server, "slow", {"inputs": [tensor("steps", "INT64", [1, 1], [1])]}))

    waiting = [threading.Thread(target=ask, daemon=True) for _ in range(700)]
    for thread in waiting:
        thread.start()
    for thread in [blocker, *waiting]:
        thread.join(TIMEOUT_S)
    refusals = [answer for answer in answers if answer.status != 200]
    assert len(answers) == 700 and 0 < len(refusals) < 700
    for answer in refusals:
        fault(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1 and int(answer.headers["retry-after-ms"]) > 0


def test_a_model_that_could_not_load_is_503_beside_one_that_serves(broken_server):
    ok(infer(broken_server, "linear", one()))
    for name in ("truncated", "unknown_operator"):
        answer = infer(broken_server, name, one())
        fault(answer, 503, name)
        assert int(answer.headers["retry-after"]) >= 1
        fault_or_state = get(broken_server, f"/v2/models/{name}/ready")
        assert fault_or_state.status == 503 and fault_or_state.document()["ready"] is False
    with grpc.insecure_channel(broken_server.grpc) as channel:
        rpc = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        entry = ("X", "FP32", [1, 4], None)
        refused(lambda: rpc.ModelInfer(message("truncated", entry, raw=[RAW_ROW]), timeout=TIMEOUT_S), grpc.StatusCode.UNAVAILABLE, "truncated")


def test_a_deadline_that_passes_is_504(server, rpc):
    slow = tensor("steps", "INT64", [1, 1], [20_000])
    fault(infer(server, "slow", {"inputs": [slow], "parameters": {"timeout": 200_000}}), 504)
    # A request that cannot be reached in time is refused before it waits: 503, not what is asked here.
    until(lambda: server.metric("serin_requests_in_flight", model="slow") == 0, 10, "the model is idle")
    entry = ("steps", "INT64", [1, 1], None)
    raw = [(20_000).to_bytes(8, "little")]
    refused(lambda: rpc.ModelInfer(message("slow", entry, raw=raw, timeout=200_000), timeout=TIMEOUT_S), grpc.StatusCode.DEADLINE_EXCEEDED)


def test_a_failure_inside_the_runtime_is_500_and_not_to_be_retried(server, rpc):
    answer = infer(server, "fails_at_runtime", one(data=[-1000, 0, 0, 0]))
    fault(answer, 500, code="inference_error")
    assert answer.headers["x-should-retry"] == "false"
    entry = ("X", "FP32", [1, 4], {"fp32_contents": [-1000, 0, 0, 0]})
    refused(lambda: rpc.ModelInfer(message("fails_at_runtime", entry), timeout=TIMEOUT_S), grpc.StatusCode.INTERNAL)
    ok(infer(server, "fails_at_runtime", one()))


ABSENT = {
    "shared memory in": {"inputs": [tensor("X", "FP32", [1, 4], None, shared_memory_region="r", shared_memory_byte_size=16)]},
    "shared memory out": one() | {"outputs": [{"name": "Y", "parameters": {"shared_memory_region": "r"}}]},
    "a sequence": one() | {"parameters": {"sequence_id": 5, "sequence_start": True}},
    "a named sequence": one() | {"parameters": {"sequence_id": "five"}},
}


@pytest.mark.parametrize("document", ABSENT.values(), ids=ABSENT)
def test_a_feature_that_is_not_offered_is_501(server, document):
    answer = infer(server, "linear", document)
    fault(answer, 501)
    assert answer.headers["x-should-retry"] == "false"


def test_a_sequence_is_unimplemented_over_grpc(rpc):
    request_message = message("linear", ("X", "FP32", [1, 4], None), raw=[RAW_ROW], sequence_id=5)
    refused(lambda: rpc.ModelInfer(request_message, timeout=TIMEOUT_S), grpc.StatusCode.UNIMPLEMENTED)


def test_every_code_met_here_is_documented(server):
    page = (REPOSITORY / "docs/errors.md").read_text()
    answers = [infer(server, "linear", body) for body in MALFORMED.values()]
    answers += [infer(server, "linear", body) for body in (*BAD_TENSORS.values(), *ABSENT.values())]
    answers += [infer(server, "nobody", one()), get(server, "/nothing"), request(server, "PUT", "/v2")]
    answers += [infer(server, "fails_at_runtime", one(data=[-1000, 0, 0, 0]))]
    codes = {answer.document()["code"] for answer in answers}
    assert len(codes) > 5
    assert not [code for code in sorted(codes) if f"`{code}`" not in page]
