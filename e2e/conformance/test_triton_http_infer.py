"""tritonclient over HTTP, plain and asyncio: what goes in comes out, byte for byte, in every form of request and answer."""

import base64
import itertools

import numpy as np
import pytest
import tritonclient.http as triton

from tensors import DATATYPES, SHAPE, edges, same, sample
from wire import COMPRESS

FORMS = ["json", "binary"]
OUTPUTS = ["none_listed", "listed_binary", "listed_json"]
# The client itself refuses to write BF16 in JSON; `test_tensor_json.py` sends that without it.
MATRIX = [
    pytest.param(*case, id="-".join(str(part) for part in case))
    for case in itertools.product(DATATYPES, FORMS, COMPRESS, OUTPUTS, COMPRESS)
    if case[:2] != ("BF16", "json")
]


@pytest.mark.parametrize("datatype,form,request_coding,outputs,response_coding", MATRIX)
def test_every_form_of_a_request_is_echoed(http_client, datatype, form, request_coding, outputs, response_coding):
    array = sample(datatype)
    listed = {
        "none_listed": None,
        "listed_binary": [http_client.output("Y", binary=True)],
        "listed_json": [http_client.output("Y", binary=False)],
    }[outputs]
    result = http_client.infer(
        f"identity_{datatype.lower()}",
        [http_client.input("X", array, datatype, binary=form == "binary")],
        outputs=listed,
        request_id="matrix-1",
        request_compression_algorithm=request_coding,
        response_compression_algorithm=response_coding,
    )
    same(result.as_numpy("Y"), array)
    response = result.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == (f"identity_{datatype.lower()}", "1", "matrix-1")
    [output] = response["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("Y", datatype, list(SHAPE))
    # The client asks for binary answers when it lists no outputs.
    binary = outputs != "listed_json"
    assert ("binary_data_size" in output.get("parameters", {})) == binary
    assert ("data" in output) != binary


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (5, 2)], ids=str)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("binary_output", [True, False], ids=["binary_answer", "json_answer"])
@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_shape_is_echoed_also_without_elements(http_client, datatype, form, binary_output, shape):
    if (datatype, form) == ("BF16", "json"):
        form = "binary"
    array = sample(datatype, shape)
    result = http_client.infer(
        f"identity_{datatype.lower()}",
        [http_client.input("X", array, datatype, binary=form == "binary")],
        outputs=[http_client.output("Y", binary=binary_output)],
    )
    same(result.as_numpy("Y"), array)


@pytest.mark.parametrize("coding", COMPRESS, ids=str)
def test_json_and_binary_inputs_and_outputs_mix(http_client, coding):
    numbers, words = sample("FP32", (3, 2)), edges("BYTES")[:3]
    result = http_client.infer(
        "mixed_inputs",
        [http_client.input("X", numbers, "FP32", binary=False), http_client.input("S", words, "BYTES", binary=True)],
        outputs=[http_client.output("T", binary=False), http_client.output("Y", binary=True)],
        request_compression_algorithm=coding,
    )
    same(result.as_numpy("Y"), numbers)
    same(result.as_numpy("T"), words)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["T", "Y"]


def test_any_bytes_travel_in_binary_and_come_back_as_base64_in_json(http_client):
    array = np.array([[b"\xff\x00\xfe", b"", b"plain"]], object)
    sent = [http_client.input("X", array, "BYTES")]
    same(http_client.infer("identity_bytes", sent).as_numpy("Y"), array)
    result = http_client.infer("identity_bytes", sent, outputs=[http_client.output("Y", binary=False)])
    [output] = result.get_response()["outputs"]
    assert output["parameters"]["content_type"] == "base64"
    assert [base64.b64decode(text) for text in output["data"]] == array.flatten().tolist()


def test_concurrent_requests_of_one_client_get_their_own_answers(server):
    with triton.InferenceServerClient(server.http, concurrency=16) as client:
        pending = []
        for number in range(200):
            array = np.full((1, 4), number, np.float32)
            entry = triton.InferInput("X", [1, 4], "FP32")
            entry.set_data_from_numpy(array)
            pending.append(client.async_infer("linear", [entry], request_id=str(number)))
        for number, future in enumerate(pending):
            result = future.get_result(timeout=30)
            assert result.get_response()["id"] == str(number)
            assert result.as_numpy("Y").tolist() == [[4 * number, 0, 10 * number + 1]]


def test_a_parameter_of_each_type_is_taken(http_client):
    array = sample("FP32", (1, 1))
    parameters = {"text": "a", "flag": True, "count": 3, "ratio": 0.5}
    result = http_client.infer(
        "identity_fp32", [http_client.input("X", array, "FP32")], parameters=parameters, priority=1, timeout=30_000_000
    )
    same(result.as_numpy("Y"), array)

