"""tritonclient loads and unloads models of a server that allows it."""

import os
import shutil

import numpy as np
import pytest
from serving import START_LIMIT_S, named, until
from tritonclient.utils import InferenceServerException
from wire import get, request

ROW = np.array([[1, 2, 3, 4]], np.float32)


def refused(client, http_status: int, grpc_status: str, call) -> str:
    with pytest.raises(InferenceServerException) as failure:
        call()
    assert failure.value.status() == (str(http_status) if client.is_http else f"StatusCode.{grpc_status}"), failure.value
    return failure.value.message()


def entry(client, name: str) -> tuple[str, str]:
    document = client.document(client.get_model_repository_index())
    [found] = [line for line in (document if client.is_http else document["models"]) if line["name"] == name]
    return found["state"], found["reason"]


def answer(client, name: str) -> np.ndarray:
    return client.infer(name, [client.input("X", ROW, "FP32")]).as_numpy("Y")


def test_control_is_advertised_where_it_is_on(controller, client):
    assert "model_repository" in controller.document(controller.get_server_metadata())["extensions"]
    assert "model_repository" not in client.document(client.get_server_metadata())["extensions"]


def test_an_unloaded_model_is_away_until_it_is_loaded(controller, controlled_server):
    controller.unload_model("linear")
    try:
        assert entry(controller, "linear") == ("UNAVAILABLE", "unloaded")
        message = refused(controller, 503, "UNAVAILABLE", lambda: answer(controller, "linear"))
        assert "unloaded" in message and "/v2/repository/models/linear/load" in message
        assert not controller.is_model_ready("linear")
        # What an operator takes away is no outage.
        assert controller.is_server_ready() and controlled_server.admin_status("/readyz") == 200
        until(lambda: controlled_server.metric("serin_model_ready", model="linear") == 0, START_LIMIT_S, "the gauge is 0")
        controller.unload_model("linear", unload_dependents=True)
    finally:
        controller.load_model("linear")
    assert entry(controller, "linear") == ("READY", "")
    until(lambda: controlled_server.metric("serin_model_ready", model="linear") == 1, START_LIMIT_S, "the gauge is 1")
    assert answer(controller, "linear").shape == (1, 3)


def test_a_load_swaps_the_model_and_a_failing_one_keeps_it(controller, controlled_server):
    file = controlled_server.log_file.parent / "replaceable.onnx"

    def put(name: str) -> None:
        shutil.copy(named(name).file, f"{file}.new")
        os.replace(f"{file}.new", file)

    put("linear")
    controller.load_model("replaceable")
    assert answer(controller, "replaceable").shape == (1, 3)
    put("identity_fp32")
    assert answer(controller, "replaceable").shape == (1, 3)
    controller.load_model("replaceable")
    assert (answer(controller, "replaceable") == ROW).all()
    put("not_onnx")
    message = refused(controller, 503, "UNAVAILABLE", lambda: controller.load_model("replaceable"))
    assert "could not be loaded" in message and "goes on answering" in message
    assert (answer(controller, "replaceable") == ROW).all()
    assert entry(controller, "replaceable") == ("READY", "")


def test_nothing_of_a_request_becomes_a_model(controller):
    message = refused(controller, 400, "INVALID_ARGUMENT", lambda: controller.load_model("linear", config="{}"))
    assert "never from a request" in message
    assert entry(controller, "linear") == ("READY", "")


def test_a_models_files_are_not_taken_from_a_request(controlled_server):
    body = b'{"parameters":{"config":"{}","file:1/model.onnx":"AAAA"}}'
    answered = request(controlled_server, "POST", "/v2/repository/models/linear/load", body)
    assert answered.status == 400 and answered.document()["code"] == "unsupported_parameter"


def test_unknown_models_are_404(controller):
    refused(controller, 404, "NOT_FOUND", lambda: controller.load_model("nobody"))
    refused(controller, 404, "NOT_FOUND", lambda: controller.unload_model("nobody"))


def test_the_answers_name_the_model(controlled_server):
    loaded = request(controlled_server, "POST", "/v2/repository/models/multi_var/load")
    assert loaded.status == 200 and loaded.document() == {"name": "multi_var", "load": True}
    unloaded = request(controlled_server, "POST", "/v2/repository/models/multi_var/unload", b"{}")
    assert unloaded.status == 200 and unloaded.document() == {"name": "multi_var", "unload": True}
    ready = request(controlled_server, "POST", "/v2/repository/index", b'{"ready":true}').document()
    assert "multi_var" not in [line["name"] for line in ready] and ready
    assert request(controlled_server, "POST", "/v2/repository/models/multi_var/load").status == 200
    until(lambda: get(controlled_server, "/v2/models/multi_var/ready").status == 200, START_LIMIT_S, "the model is back")
