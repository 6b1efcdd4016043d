"""Metrics as Prometheus' own parsers read them, with every other server's names."""

import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_classic

from wire import get, infer, tensor

ROW = tensor("X", "FP32", [1, 4], [1, 2, 3, 4])
OPEN = "application/openmetrics-text; version=1.0.0"
PICKED = ["num_requests_waiting", "num_requests_running", "kv_cache_usage_perc", "cache_config_info", "lora_requests_info"]


@pytest.fixture(scope="session", params=["classic", "openmetrics"])
def families(request, server):
    """The page after some requests, parsed; a family is found by its name without `_total`."""
    for model in ["linear", 'a "quoted" name', "made-up-by-a-caller"]:
        infer(server, model, {"inputs": [ROW]})
    is_open = request.param == "openmetrics"
    answer = get(server, "/metrics", **({"Accept": OPEN} if is_open else {}))
    read = read_open if is_open else read_classic
    return {family.name: family for family in read(answer.body.decode())}


def samples(families, name: str, **labels: str) -> dict:
    """Values of a family's samples with these labels, by sample name without the `_total` that one of the parsers appends."""
    found = {}
    for sample in families[name].samples:
        if labels.items() <= sample.labels.items():
            key = sample.name.removesuffix("_total")
            found[key] = found.get(key, 0) + sample.value
    return found


def test_the_page_is_read_by_prometheus_own_parser(families):
    assert families["serin_requests"].type == "counter"
    assert samples(families, "serin_requests", model="linear", outcome="ok")["serin_requests"] >= 1


def test_a_label_with_quotes_survives(families):
    name = 'a "quoted" name'
    assert samples(families, "nv_inference_count", model=name)["nv_inference_count"] >= 1
    assert samples(families, "serin_inferences", model=name)["serin_inferences"] >= 1


@pytest.mark.parametrize("name", PICKED)
def test_a_gauge_that_endpoint_pickers_read_has_one_series(families, name):
    family = families[f"vllm:{name}"]
    assert family.type == "gauge" and len(family.samples) == 1
    assert family.samples[0].labels["model_name"]


def test_vllms_histograms_and_counter_say_what_ours_say(families):
    # `_unknown` is nobody's load, and its requests are not answered.
    answered = samples(families, "serin_requests", outcome="ok")["serin_requests"]
    assert samples(families, "vllm:request_success")["vllm:request_success"] == answered
    assert samples(families, "vllm:e2e_request_latency_seconds")["vllm:e2e_request_latency_seconds_count"] == answered
    for phase, name in [("queue", "queue"), ("compute", "inference")]:
        ours = samples(families, "serin_request_phase_seconds", phase=phase)
        theirs = samples(families, f"vllm:request_{name}_time_seconds")
        for part in ["count", "sum"]:
            assert theirs[f"vllm:request_{name}_time_seconds_{part}"] == pytest.approx(ours[f"serin_request_phase_seconds_{part}"])


@pytest.mark.parametrize(
    "name, labels",
    [
        ("nv_inference_request_success", {}),
        ("nv_inference_request_failure", {"reason": "OTHER"}),
        ("nv_inference_count", {}),
        ("nv_inference_exec_count", {}),
        ("nv_inference_request_duration_us", {}),
        ("nv_inference_queue_duration_us", {}),
        ("nv_inference_compute_input_duration_us", {}),
        ("nv_inference_compute_infer_duration_us", {}),
        ("nv_inference_compute_output_duration_us", {}),
        ("nv_inference_pending_request_count", {}),
        ("nv_model_load_duration_secs", {}),
    ],
)
def test_tritons_names_have_their_labels_and_no_total(families, server, name, labels):
    assert name in samples(families, name, model="linear", version="1", **labels)
    assert f"\n{name}{{model=" in get(server, "/metrics").body.decode()


def test_kserves_histograms_are_by_model_name(families):
    for name in ["request_preprocess_seconds", "request_predict_seconds", "request_postprocess_seconds"]:
        assert families[name].type == "histogram"
        assert samples(families, name, model_name="linear")[f"{name}_count"] >= 1


def test_no_family_stands_on_a_page_twice(server):
    text = get(server, "/metrics").body.decode()
    names = re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert set(re.findall(r"^# TYPE \S+ (\S+)$", text, re.MULTILINE)) == {"counter", "gauge", "histogram"}
