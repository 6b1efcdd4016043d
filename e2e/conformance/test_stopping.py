"""Stopping: what is in flight finishes, readiness goes first, and the process ends with 0."""

import signal
import threading

import numpy as np
import tritonclient.grpc

from serving import named, until
from wire import get, infer, ok, tensor


def slow(steps: int) -> dict:
    return {"inputs": [tensor("steps", "INT64", [1, 1], [steps])]}


def test_sigterm_lets_what_is_in_flight_finish(own_server):
    server = own_server([named("slow"), named("linear")], lame_duck="5s")
    answers = []
    over_http = threading.Thread(target=lambda: answers.append(ok(infer(server, "slow", slow(1500)))))
    over_grpc = threading.Thread(target=lambda: answers.append(grpc_answer(server)))
    for thread in (over_http, over_grpc):
        thread.start()
    until(lambda: server.metric("serin_requests_in_flight", model="slow") >= 2, 20, "both requests have come")
    server.process.send_signal(signal.SIGTERM)
    until(lambda: get(server, "/v2/health/ready").status == 503, 5, "not ready")
    live = get(server, "/v2/health/live")
    assert live.status == 200 and live.headers.get("connection") == "close"
    # The lame-duck time still serves whoever has not noticed.
    assert ok(infer(server, "linear", {"inputs": [tensor("X", "FP32", [1, 4], [1, 2, 3, 4])]}))
    for thread in (over_http, over_grpc):
        thread.join(30)
    assert len(answers) == 2
    assert server.process.wait(30) == 0 and "panicked" not in server.log()


def grpc_answer(server) -> list:
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        entry = tritonclient.grpc.InferInput("steps", [1, 1], "INT64").set_data_from_numpy(np.array([[1500]]))
        return client.infer("slow", [entry]).as_numpy("done").tolist()


def test_sigint_ends_without_a_lame_duck(own_server):
    server = own_server([named("linear")], lame_duck="60s")
    server.stop(signal.SIGINT)


def test_an_idle_connection_does_not_hold_up_the_end(own_server):
    server = own_server([named("linear")])
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        assert client.is_server_live()
        server.stop()
