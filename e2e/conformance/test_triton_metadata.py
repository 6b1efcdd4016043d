"""tritonclient's health and metadata methods, all four clients."""

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException


def test_the_server_lives_and_is_ready(client):
    assert client.is_server_live() is True
    assert client.is_server_ready() is True


def test_a_loaded_model_is_ready(client):
    assert client.is_model_ready("linear") is True
    assert client.is_model_ready("linear", "1") is True
    # Over HTTP tritonclient leaves the slash of a name as it is, so that it separates path segments.
    assert client.is_model_ready("team/a model") is not client.is_http


def test_an_unknown_model_or_version_is_not_ready(client):
    assert client.is_model_ready("nobody") is False
    assert client.is_model_ready("linear", "7") is False


def test_the_server_says_what_it_is(client):
    document = client.document(client.get_server_metadata())
    assert document["name"] == "serin"
    assert len(document["version"].split(".")) == 3
    assert len(document["extensions"]) == len(set(document["extensions"]))
    known = {
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "model_repository",
        "parameters",
        "schedule_policy",
        "statistics",
        "logging",
        "trace",
        "generate",
    }
    assert {"binary_tensor_data", "parameters"} <= set(document["extensions"]) <= known


def shape_of(tensor: dict) -> list[int]:
    # protobuf's JSON form writes int64 as strings.
    return [int(extent) for extent in tensor["shape"]]


def test_a_model_says_what_it_takes_and_gives(client):
    document = client.document(client.get_model_metadata("two_inputs"))
    assert document["name"] == "two_inputs" and document["versions"] == ["1"] and document["platform"] == "onnxruntime_onnx"
    tensors = {side: [(one["name"], one["datatype"], shape_of(one)) for one in document[side]] for side in ("inputs", "outputs")}
    assert tensors == {
        "inputs": [("A", "FP32", [-1, 2]), ("B", "INT64", [-1, 2])],
        "outputs": [("S", "FP32", [-1, 2]), ("T", "INT64", [-1])],
    }


def test_every_version_is_listed_and_can_be_named(client):
    assert sorted(client.document(client.get_model_metadata("iris"))["versions"]) == ["1", "2"]
    for version in ("1", "2"):
        assert client.document(client.get_model_metadata("iris", version))["name"] == "iris"


def test_metadata_of_an_unknown_model_is_not_found(client):
    with pytest.raises(InferenceServerException) as failure:
        client.get_model_metadata("nobody")
    assert "nobody" in failure.value.message()
    assert failure.value.status() == ("404" if client.is_http else "StatusCode.NOT_FOUND")


def test_versions_answer_for_themselves(client):
    flower = np.array([[5.1, 3.5, 1.4, 0.2]], np.float32)
    for version in ("1", "2"):
        result = client.infer("iris", [client.input("measurements", flower, "FP32")], model_version=version)
        assert client.document(result.get_response())["model_version"] == version
        [label] = result.as_numpy("label")
        assert label in (b"setosa", "setosa")
