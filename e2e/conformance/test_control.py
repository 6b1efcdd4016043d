"""tritonclient's methods beyond inference: repository, statistics, configuration, logging, trace, classification, shared memory."""

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException


def refused(client, http_status: int, grpc_status: str, call) -> None:
    with pytest.raises(InferenceServerException) as failure:
        call()
    assert failure.value.status() == (str(http_status) if client.is_http else f"StatusCode.{grpc_status}"), failure.value


def test_the_index_lists_every_model(client):
    document = client.document(client.get_model_repository_index())
    entries = {(entry["name"], entry["version"]): entry for entry in (document if client.is_http else document["models"])}
    assert entries["linear", "1"]["state"] == "READY" and {("iris", "1"), ("iris", "2")} <= set(entries)


def test_loading_and_unloading_are_not_open_by_default(client):
    refused(client, 403, "PERMISSION_DENIED", lambda: client.load_model("linear"))
    refused(client, 403, "PERMISSION_DENIED", lambda: client.unload_model("linear"))
    assert client.is_model_ready("linear")


def test_statistics_count_rows_and_runs(client):
    def read() -> tuple[int, int, int]:
        [entry] = client.document(client.get_inference_statistics("multi_var"))["model_stats"]
        assert (entry["name"], entry["version"]) == ("multi_var", "1")
        success = entry["inference_stats"]["success"]
        return int(entry["inference_count"]), int(entry["execution_count"]), int(success["count"])

    rows, runs, successes = read()
    client.infer("multi_var", [client.input("X", np.ones((5, 2), np.float32), "FP32")])
    assert read() == (rows + 5, runs + 1, successes + 1)
    everything = client.document(client.get_inference_statistics())["model_stats"]
    assert {"linear", "multi_var", "iris"} <= {entry["name"] for entry in everything}
    refused(client, 404, "NOT_FOUND", lambda: client.get_inference_statistics("nobody"))


def test_the_configuration_is_tritons(client):
    document = client.document(client.get_model_config("two_inputs"))
    config = document if client.is_http else document["config"]
    assert (config["name"], config["backend"]) == ("two_inputs", "onnxruntime")
    assert [(entry["name"], entry["data_type"]) for entry in config["input"]] == [("A", "TYPE_FP32"), ("B", "TYPE_INT64")]
    # Dimensions exclude the batch's where rows may be merged.
    dims = [int(extent) for extent in config["input"][0]["dims"]]
    assert dims == ([2] if int(config["max_batch_size"]) > 0 else [-1, 2])


def test_log_settings_are_shown_and_not_for_anyone_to_change(client):
    settings = client.document(client.get_log_settings())
    assert "log_verbose_level" in (settings if client.is_http else settings["settings"])
    refused(client, 403, "PERMISSION_DENIED", lambda: client.update_log_settings({"log_verbose_level": 1}))


def test_trace_settings_are_shown_and_not_for_anyone_to_change(client):
    settings = client.document(client.get_trace_settings())
    assert "trace_level" in (settings if client.is_http else settings["settings"])
    refused(client, 403, "PERMISSION_DENIED", lambda: client.update_trace_settings(settings={"trace_rate": "1"}))


@pytest.mark.parametrize("method", ["get_system_shared_memory_status", "get_cuda_shared_memory_status"])
def test_shared_memory_is_not_offered(client, method):
    refused(client, 501, "UNIMPLEMENTED", getattr(client, method))


def test_classes_are_sorted_and_named_by_place(client):
    scores = np.array([[1.1, 3.3, 0.5, 2.4]], np.float32)
    result = client.infer("identity_fp32", [client.input("X", scores, "FP32")], outputs=[client.output("Y", class_count=2)])
    assert result.as_numpy("Y").tolist() == [[b"3.300000:1", b"2.400000:3"]]
    result = client.infer("identity_fp32", [client.input("X", scores, "FP32")], outputs=[client.output("Y", class_count=9)])
    assert result.as_numpy("Y").shape == (1, 4)


@pytest.mark.parametrize("model,datatype", [("identity_bytes", "BYTES"), ("identity_fp16", "FP16")])
def test_classes_of_words_and_short_floats_are_refused(client, model, datatype):
    array = np.array([[b"a"]], object) if datatype == "BYTES" else np.ones((1, 1), np.float16)
    call = lambda: client.infer(model, [client.input("X", array, datatype)], outputs=[client.output("Y", class_count=1)])
    refused(client, 400, "INVALID_ARGUMENT", call)
