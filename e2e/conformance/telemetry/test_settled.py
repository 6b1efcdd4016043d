"""A request is counted before the last byte of its answer leaves: a scrape right after an answer sees it. No test here polls."""

import json

import numpy as np
import pytest
import tritonclient.grpc

from wire import get, infer, request, tensor

ROW = tensor("X", "FP32", [1, 4], [1, 2, 3, 4])
BODY = {"inputs": [ROW]}
TIMES = 10


def grpc_input():
    array = tritonclient.grpc.InferInput("X", [1, 4], "FP32")
    array.set_data_from_numpy(np.ones((1, 4), np.float32))
    return [array]


def ask_rest(server):
    assert infer(server, "linear", BODY).status == 200


def ask_grpc(server):
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.infer("linear", grpc_input())


def ask_events(server):
    headers = {"Accept": "text/event-stream"}
    answer = request(server, "POST", "/v2/models/linear/infer_stream", json.dumps(BODY).encode(), headers)
    assert answer.status == 200 and b"data:" in answer.body


def ask_rows(server):
    rows = (json.dumps(BODY) + "\n") * 3
    answer = request(server, "POST", "/v2/models/linear/infer_stream", rows.encode(), {"Content-Type": "application/x-ndjson"})
    assert answer.status == 200 and answer.body.count(b"outputs") == 3


def ask_grpc_stream(server):
    answers = []
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.append(error or result))
        for _ in range(3):
            client.async_stream_infer("linear", grpc_input())
        # Sends the end and reads until the status.
        client.stop_stream()
    assert len(answers) == 3 and not [answer for answer in answers if isinstance(answer, Exception)]


@pytest.mark.parametrize(
    "ask, protocol, operation, parts",
    [
        (ask_rest, "rest", "infer", 0),
        (ask_grpc, "grpc", "infer", 0),
        (ask_events, "rest", "stream", 1),
        (ask_rows, "rest", "stream", 3),
        (ask_grpc_stream, "grpc", "stream", 3),
    ],
)
def test_a_request_is_counted_when_its_answer_has_been_read(server, ask, protocol, operation, parts):
    def counted() -> list[float]:
        labels = {"model": "linear", "protocol": protocol}
        return [
            server.metric("serin_requests_total", operation=operation, outcome="ok", **labels),
            server.metric("serin_request_duration_seconds_count", operation=operation, outcome="ok", **labels),
            server.metric("serin_stream_events_total", **labels),
            server.metric("serin_time_to_first_part_seconds_count", **labels),
        ]

    before = counted()
    more = [1, 1, parts, 1 if parts else 0]
    for number in range(1, TIMES + 1):
        ask(server)
        assert counted() == [count + number * step for count, step in zip(before, more)]
        assert server.metric("serin_requests_in_flight") == server.metric("serin_stream_open") == 0


def test_a_refused_request_is_counted_when_its_answer_has_been_read(server):
    for _ in range(TIMES):
        before = server.metric("serin_requests_total", model="_unknown", code="404")
        assert infer(server, "made-up-by-a-caller", BODY).status == 404
        assert server.metric("serin_requests_total", model="_unknown", code="404") == before + 1


def test_a_request_that_is_no_inference_is_counted_when_its_answer_has_been_read(server):
    for _ in range(TIMES):
        before = server.metric("serin_http_requests_total", route="/v2", code="200")
        assert get(server, "/v2").status == 200
        assert server.metric("serin_http_requests_total", route="/v2", code="200") == before + 1


def test_statistics_and_names_of_other_servers_count_it_right_after_an_answer(server):
    def counted() -> list[float]:
        statistics = get(server, "/v2/models/linear/stats").document()["model_stats"][0]
        return [
            statistics["inference_stats"]["success"]["count"],
            statistics["inference_count"],
            server.metric("nv_inference_request_success", model="linear"),
            server.metric("nv_inference_count", model="linear"),
            server.metric("request_predict_seconds_count", model_name="linear"),
            server.metric("vllm:request_success_total"),
        ]

    for _ in range(TIMES):
        before = counted()
        ask_rest(server)
        assert counted() == [count + 1 for count in before]
