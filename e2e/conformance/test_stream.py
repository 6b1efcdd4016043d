"""gRPC `ModelStreamInfer` by tritonclient's streams, and the row streams of REST."""

import asyncio
import json

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio

from serving import until
from wire import fault, infer, request, tensor


def row(width: int = 4, value: float = 0):
    return tritonclient.grpc.InferInput("X", [1, width], "FP32").set_data_from_numpy(np.full((1, width), value, np.float32))


def stream(server, requests: list[dict], **start) -> list:
    """The (result, error) pairs of one stream."""
    seen = []
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: seen.append((result, error)), **start)
        for one in requests:
            client.async_stream_infer(**one)
        client.stop_stream()
    return seen


def asking(model: str, name: str, width: int = 4, **more) -> dict:
    return {"model_name": model, "inputs": [row(width)], "request_id": name} | more


def test_answers_come_in_the_order_of_requests(server):
    seen = stream(server, [asking("linear", str(number)) for number in range(50)])
    assert [result.get_response().id for result, _ in seen] == [str(number) for number in range(50)]
    assert all(result.get_response().parameters["triton_final_response"].bool_param for result, _ in seen)


def test_several_models_share_a_stream(server):
    seen = stream(server, [asking("linear", "a"), asking("set_model", "b"), asking("linear", "c")])
    assert [result.get_response().model_name for result, _ in seen] == ["linear", "set_model", "linear"]


def test_an_error_is_a_message_and_later_requests_are_answered(server):
    seen = stream(server, [asking("linear", "a"), asking("nobody", "b"), asking("linear", "c", width=3), asking("linear", "d")])
    assert [error is None for _, error in seen] == [True, False, False, True]
    assert "nobody" in seen[1][1].message() and "'X'" in seen[2][1].message()


def test_an_error_names_its_request(server):
    with grpc.insecure_channel(server.grpc) as channel:
        stub = tritonclient.grpc.service_pb2_grpc.GRPCInferenceServiceStub(channel)
        message = tritonclient.grpc.service_pb2.ModelInferRequest(model_name="nobody", id="b")
        [answer] = stub.ModelStreamInfer(iter([message]), timeout=30)
    assert answer.error_message and answer.infer_response.id == "b" and answer.infer_response.model_name == "nobody"
    assert answer.infer_response.parameters["triton_final_response"].bool_param is True


def test_the_triton_grpc_error_header_ends_the_stream_with_the_status(server):
    seen = stream(server, [asking("linear", "a"), asking("linear", "b", width=3)], headers={"triton_grpc_error": "true"})
    assert seen[0][1] is None and seen[1][1].status() == "StatusCode.INVALID_ARGUMENT"


def test_the_empty_final_response_may_be_asked_for(server):
    [(result, error)] = stream(server, [asking("linear", "a", enable_empty_final_response=True)])
    assert error is None and result.get_response().parameters["triton_final_response"].bool_param is True


def test_the_asyncio_client_streams(server):
    async def run() -> list:
        async def requests():
            for number in range(10):
                yield asking("linear", str(number))

        async with tritonclient.grpc.aio.InferenceServerClient(server.grpc) as client:
            return [pair async for pair in client.stream_infer(requests(), stream_timeout=30)]

    seen = asyncio.run(run())
    assert [result.get_response().id for result, error in seen if error is None] == [str(number) for number in range(10)]


def test_a_stream_may_be_cancelled(server):
    seen = []
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: seen.append(error))
        entry = tritonclient.grpc.InferInput("steps", [1, 1], "INT64").set_data_from_numpy(np.array([[50_000]]))
        client.async_stream_infer("slow", [entry])
        until(lambda: server.metric("serin_requests_in_flight", model="slow") >= 1, 10, "the request runs")
        client.stop_stream(cancel_requests=True)
    assert "CANCELLED" in seen[-1].status()
    until(lambda: server.metric("serin_requests_in_flight", model="slow") == 0, 5, "the slot is free")


ROW = {"inputs": [tensor("X", "FP32", [1, 4], [1, 2, 3, 4])]}


def test_infer_stream_answers_as_events(server):
    answer = request(server, "POST", "/v2/models/linear/infer_stream", json.dumps(ROW).encode(), {"Accept": "text/event-stream"})
    assert answer.status == 200 and answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache" and "content-length" not in answer.headers
    [event] = [part for part in answer.body.split(b"\n\n") if part.startswith(b"data: ")]
    assert json.loads(event.removeprefix(b"data: "))["outputs"][0]["data"] == [10, -1, 41]


@pytest.mark.parametrize("path,status", [("/v2/models/nobody/infer_stream", 404), ("/v2/models/linear/infer_stream", 400)])
def test_infer_stream_refuses_before_it_commits(server, path, status):
    fault(request(server, "POST", path, b"{}"), status)


def test_infer_answers_next_to_streams(server):
    assert infer(server, "linear", ROW).status == 200


def test_requests_sent_far_ahead_of_a_slow_model_wait_for_it(server):
    """20,000 small messages, sent without a look at the answers, while each of the first takes the model some milliseconds."""
    service = tritonclient.grpc.service_pb2
    small = service.ModelInferRequest(model_name="linear", id="x" * 20)
    slow = service.ModelInferRequest(model_name="slow", id="slow")
    given = slow.inputs.add(name="steps", datatype="INT64", shape=[1, 1])
    given.contents.int64_contents.append(20)
    assert 30 <= small.ByteSize() <= 45
    sent = 0

    def requests():
        nonlocal sent
        for number in range(20_000):
            sent += 1
            yield slow if number < 50 else small

    with grpc.insecure_channel(server.grpc) as channel:
        stub = tritonclient.grpc.service_pb2_grpc.GRPCInferenceServiceStub(channel)
        # The iterator runs ahead of the loop.
        answers = sum(1 for _ in stub.ModelStreamInfer(requests(), timeout=120))
    assert answers == sent == 20_000
