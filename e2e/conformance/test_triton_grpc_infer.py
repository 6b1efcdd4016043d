"""tritonclient over gRPC, plain and asyncio, on the gRPC port and on the HTTP port."""

from queue import Queue

import numpy as np
import pytest
import tritonclient.grpc as triton

from tensors import DATATYPES, SHAPE, edges, same, sample

CODINGS = [None, "gzip", "deflate"]


@pytest.mark.parametrize("listed", [False, True], ids=["none_listed", "listed"])
@pytest.mark.parametrize("coding", CODINGS, ids=str)
@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_is_echoed(grpc_client, datatype, coding, listed):
    array = sample(datatype)
    result = grpc_client.infer(
        f"identity_{datatype.lower()}",
        [grpc_client.input("X", array, datatype)],
        outputs=[grpc_client.output("Y")] if listed else None,
        request_id="matrix-1",
        compression_algorithm=coding,
    )
    same(result.as_numpy("Y"), array)
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == (f"identity_{datatype.lower()}", "1", "matrix-1")
    [output] = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("Y", datatype, list(SHAPE))
    assert not output.HasField("contents") and len(response.raw_output_contents) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (5, 2)], ids=str)
@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_shape_is_echoed_also_without_elements(grpc_client, datatype, shape):
    array = sample(datatype, shape)
    result = grpc_client.infer(f"identity_{datatype.lower()}", [grpc_client.input("X", array, datatype)])
    same(result.as_numpy("Y"), array)


def test_several_inputs_and_chosen_outputs(grpc_client):
    numbers, words = sample("FP32", (3, 2)), edges("BYTES")[:3]
    inputs = [grpc_client.input("X", numbers, "FP32"), grpc_client.input("S", words, "BYTES")]
    result = grpc_client.infer("mixed_inputs", inputs, outputs=[grpc_client.output("T"), grpc_client.output("Y")])
    assert [output.name for output in result.get_response().outputs] == ["T", "Y"]
    same(result.as_numpy("Y"), numbers)
    same(result.as_numpy("T"), words)
    result = grpc_client.infer("mixed_inputs", inputs, outputs=[grpc_client.output("T")])
    assert [output.name for output in result.get_response().outputs] == ["T"]


def test_any_bytes_travel(grpc_client):
    array = np.array([[b"\xff\x00\xfe", b"", b"plain"]], object)
    same(grpc_client.infer("identity_bytes", [grpc_client.input("X", array, "BYTES")]).as_numpy("Y"), array)


def test_a_parameter_of_each_type_is_taken(grpc_client):
    array = sample("FP32", (1, 1))
    result = grpc_client.infer(
        "identity_fp32",
        [grpc_client.input("X", array, "FP32")],
        parameters={"text": "a", "flag": True, "count": 3, "ratio": 0.5},
        priority=1,
        timeout=30_000_000,
        client_timeout=30,
    )
    same(result.as_numpy("Y"), array)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_the_http_port_speaks_grpc_too(server, datatype):
    array = sample(datatype, (2, 5))
    with triton.InferenceServerClient(server.http) as client:
        entry = triton.InferInput("X", [2, 5], datatype)
        entry.set_data_from_numpy(array)
        same(client.infer(f"identity_{datatype.lower()}", [entry]).as_numpy("Y"), array)


def test_concurrent_requests_of_one_client_get_their_own_answers(server):
    answers = Queue()
    with triton.InferenceServerClient(server.grpc) as client:
        for number in range(200):
            entry = triton.InferInput("X", [1, 4], "FP32")
            entry.set_data_from_numpy(np.full((1, 4), number, np.float32))
            client.async_infer("linear", [entry], lambda result, error: answers.put((result, error)), request_id=str(number))
        seen = set()
        for _ in range(200):
            result, error = answers.get(timeout=30)
            assert error is None, error
            number = int(result.get_response().id)
            seen.add(number)
            assert result.as_numpy("Y").tolist() == [[4 * number, 0, 10 * number + 1]]
        assert len(seen) == 200
