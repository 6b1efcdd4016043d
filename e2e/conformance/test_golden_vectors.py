"""The golden vectors of the protocol reference, by raw HTTP and hand-made messages."""

import gzip
import json
import struct

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from grpcwire import TIMEOUT_S, message, refused
from wire import echo, fault, infer, ok, raw_exchange, request, tensor


def test_vector_01_a_request_as_tritonclient_sends_it(server):
    document = (
        b'{"inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}],"parameters":{"binary_data_output":true}}'
    )
    body = document + bytes.fromhex("0000803f") * 4
    assert (len(document), len(body)) == (135, 151)
    head = (
        b"POST /v2/models/identity_fp32/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Inference-Header-Content-Length: 135\r\nContent-Length: 151\r\n\r\n"
    )
    block, _, rest = raw_exchange(server, head + body).partition(b"\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in block.decode().split("\r\n")[1:])
    assert block.startswith(b"HTTP/1.1 200") and headers["content-type"] == "application/octet-stream"
    length = int(headers["inference-header-content-length"])
    [output] = json.loads(rest[:length])["outputs"]
    assert output == {"name": "Y", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
    assert rest[length:] == bytes.fromhex("0000803f") * 4


MIXED = (
    '{"id":"abc","inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","data":[1.0,1.0,1.0,1.0]},{"name":"S","shape":[2],"datatype":"BYTES",'
    '"parameters":{"binary_data_size":12}}],"outputs":[{"name":"Y","parameters":{"binary_data":true}}],"parameters":{%s}}'
)
WORDS = bytes.fromhex("02000000ff00020000006869")


def test_vector_02_json_and_binary_inputs_in_one_compressed_request(server):
    # Without the sequence, which only a stateful model takes, and with time to answer.
    document = (MIXED % '"priority":1,"timeout":30000000,"k":1.5').encode()
    headers = {"Content-Encoding": "gzip", "Inference-Header-Content-Length": len(document)}
    answer = request(server, "POST", "/v2/models/mixed_inputs/infer", gzip.compress(document + WORDS), headers)
    assert answer.status == 200, answer.body
    text, data = answer.split()
    assert text["id"] == "abc" and [output["name"] for output in text["outputs"]] == ["Y"]
    assert data == bytes.fromhex("0000803f") * 4


def test_vector_02_as_captured_asks_for_a_sequence(server):
    document = (MIXED % '"sequence_id":5,"sequence_start":true,"sequence_end":false,"priority":1,"timeout":1000,"k":1.5').encode()
    assert len(document) == 343
    headers = {"Content-Encoding": "gzip", "Inference-Header-Content-Length": 343}
    fault(request(server, "POST", "/v2/models/mixed_inputs/infer", gzip.compress(document + WORDS), headers), 501, "sequence")


VALUES = [("FP16", [1.0], "003c"), ("BF16", [1.5, 2.5], "c03f2040"), ("BOOL", [True, False], "0100"), ("INT64", [-1], "ff" * 8)]


@pytest.mark.parametrize("datatype,values,wire", VALUES)
def test_vector_03_values_and_their_bytes(server, datatype, values, wire):
    _, data = echo(server, datatype, values, parameters={"binary_data_output": True}).split()
    assert data.hex() == wire
    document = {"inputs": [tensor("X", datatype, [1, len(values)], None, binary_data_size=len(data))]}
    [output] = ok(infer(server, f"identity_{datatype.lower()}", document, bytes.fromhex(wire)))["outputs"]
    assert output["data"] == values


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_vector_04_a_mixed_answer_that_tritonclient_decodes(server, coding):
    rows = 100
    document = {
        "id": "7",
        "inputs": [tensor("A", "FP32", [rows, 2], [1] * 2 * rows), tensor("B", "INT64", [rows, 2], [2] * 2 * rows)],
        "outputs": [{"name": "T"}, {"name": "S", "parameters": {"binary_data": True}}],
    }
    answer = infer(server, "two_inputs", document, headers={"Accept-Encoding": coding} if coding else {})
    assert answer.headers.get("content-encoding") == coding
    plain = gzip.decompress(answer.body) if coding else answer.body
    length = int(answer.headers["inference-header-content-length"])
    text = json.loads(plain[:length])
    assert list(text) == ["model_name", "model_version", "id", "outputs"] and text["id"] == "7"
    assert text["outputs"][0] == {"name": "T", "shape": [rows], "datatype": "INT64", "data": [4] * rows}
    assert text["outputs"][1] == {"name": "S", "shape": [rows, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8 * rows}}
    assert plain[length:] == struct.pack("<f", 3) * 2 * rows
    decoded = tritonclient.http.InferResult.from_response_body(answer.body, header_length=length, content_encoding=coding)
    assert decoded.as_numpy("S").tolist() == [[3, 3]] * rows and decoded.as_numpy("T").tolist() == [4] * rows


def test_vector_04_an_answer_of_empty_binary_outputs_keeps_its_header(server):
    document = {"inputs": [tensor("X", "FP32", [1, 4], [-1, 0, 0, 0])], "parameters": {"binary_data_output": True}}
    answer = infer(server, "zero_rows", document)
    text, data = answer.split()
    assert [output["parameters"]["binary_data_size"] for output in text["outputs"]] == [0, 0] and data == b""
    length = int(answer.headers["inference-header-content-length"])
    decoded = tritonclient.http.InferResult.from_response_body(answer.body, header_length=length)
    assert decoded.as_numpy("kept").shape == (0, 4)


def raw_body(server, model: str, body: bytes):
    return request(server, "POST", f"/v2/models/{model}/infer", body, {"Inference-Header-Content-Length": 0})


def test_vector_05_a_body_without_json_is_the_only_input(server):
    text, data = raw_body(server, "map_output", bytes.fromhex("0000803f00000040")).split()
    assert text["outputs"][0]["shape"] == [1] and data == struct.pack("<q", 1)
    text, data = raw_body(server, "linear", struct.pack("<8f", 1, 2, 3, 4, 0, 0, 0, 0)).split()
    assert text["outputs"][0]["shape"] == [2, 3] and struct.unpack("<6f", data) == (10, -1, 41, 0, 0, 1)
    # BYTES: the body is one element, without a length in front.
    _, data = raw_body(server, "strings_rank1", b"dog").split()
    assert data == struct.pack("<q", 1)


@pytest.mark.parametrize("model,body", [("two_inputs", b"\0" * 8), ("identity_fp32", b"\0" * 8), ("linear", b"\0" * 15), ("no_input", b""), ("unknown_rank", b"\0" * 4)])
def test_vector_05_where_the_shape_does_not_follow_it_is_refused(server, model, body):
    fault(raw_body(server, model, body), 400)


def test_vector_06_classification(server):
    document = {
        "inputs": [tensor("X", "FP32", [1, 4], [1.1, 3.3, 0.5, 2.4])],
        "outputs": [{"name": "Y", "parameters": {"classification": 2}}],
    }
    [output] = ok(infer(server, "identity_fp32", document))["outputs"]
    assert (output["datatype"], output["shape"], output["data"]) == ("BYTES", [1, 2], ["3.300000:1", "2.400000:3"])


def test_vector_07_non_finite_values(server):
    answer = echo(server, "FP32", ["NaN", "-Infinity", 1])
    assert ok(answer)["outputs"][0]["data"] == ["NaN", "-Infinity", 1]
    decoded = tritonclient.http.InferResult.from_response_body(answer.body).as_numpy("Y")
    assert np.array_equal(decoded, [[np.nan, -np.inf, 1]], equal_nan=True)


def test_vector_09_errors_have_one_text_on_both_protocols(server, rpc):
    text = "input 'X': expected 4 elements, got 3"
    answer = infer(server, "linear", {"inputs": [tensor("X", "FP32", [1, 4], [1, 2, 3])]})
    body = fault(answer, 400, code="shape_mismatch")
    assert body["error"] == text and list(body)[:3] == ["error", "code", "request_id"]
    request_message = message("linear", ("X", "FP32", [1, 4], {"fp32_contents": [1, 2, 3]}))
    error = refused(lambda: rpc.ModelInfer(request_message, timeout=TIMEOUT_S), grpc.StatusCode.INVALID_ARGUMENT)
    assert error.details() == text


def test_vector_10_a_bad_request_does_not_end_a_stream(server):
    seen = []
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: seen.append((result, error)))
        for name, width in (("a", 4), ("b", 3), ("c", 4)):
            entry = tritonclient.grpc.InferInput("X", [1, width], "FP32").set_data_from_numpy(np.zeros((1, width), np.float32))
            client.async_stream_infer("linear", [entry], request_id=name)
        client.stop_stream()
    assert [error is None for _, error in seen] == [True, False, True]
    assert "'X'" in seen[1][1].message()
    for (result, _), name in ((seen[0], "a"), (seen[2], "c")):
        assert result.get_response().id == name
        assert result.get_response().parameters["triton_final_response"].bool_param is True
