"""A caller that leaves stops its work, running or queued, whichever client it used."""

import asyncio
import json
import queue
import socket
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
import tritonclient.utils

from serving import until
from wire import infer, ok, tensor

# About a millisecond each: far longer than any limit of these tests.
ENDLESS = 50_000
# One step of the model and the way back, on a busy machine.
FREED_S = 5


def running(server) -> float:
    return server.metric("serin_requests_in_flight", model="slow")


def queued(server) -> float:
    return server.metric("serin_queue_depth", model="slow")


def cancelled(server) -> float:
    return server.metric("serin_requests_total", model="slow", outcome="cancelled")


def steps(tensors, number: int):
    return tensors.InferInput("steps", [1, 1], "INT64").set_data_from_numpy(np.array([[number]], np.int64))


def raw_request(server, number: int) -> socket.socket:
    body = json.dumps({"inputs": [tensor("steps", "INT64", [1, 1], [number])]}).encode()
    connection = socket.create_connection(("127.0.0.1", server.http_port), timeout=30)
    connection.sendall(f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def leave_http(server, wait):
    connection = raw_request(server, ENDLESS)
    wait()
    connection.close()


def leave_http_half(server, wait):
    with raw_request(server, ENDLESS) as connection:
        wait()
        before = running(server)
        connection.shutdown(socket.SHUT_WR)
        until(lambda: running(server) < before, FREED_S, "the request is gone")


def leave_http_aio(server, wait):
    async def run():
        async with tritonclient.http.aio.InferenceServerClient(server.http) as client:
            task = asyncio.create_task(client.infer("slow", [steps(tritonclient.http, ENDLESS)]))
            await asyncio.to_thread(wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())


def leave_grpc(server, wait):
    answers = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        call = client.async_infer("slow", [steps(tritonclient.grpc, ENDLESS)], lambda result, error: answers.put(error))
        wait()
        call.cancel()
        assert "CANCELLED" in answers.get(timeout=10).status()


def leave_grpc_aio(server, wait):
    async def run():
        async with tritonclient.grpc.aio.InferenceServerClient(server.grpc) as client:
            task = asyncio.create_task(client.infer("slow", [steps(tritonclient.grpc, ENDLESS)]))
            await asyncio.to_thread(wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())


def leave_grpc_on_the_http_port(server, wait):
    answers = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(server.http) as client:
        call = client.async_infer("slow", [steps(tritonclient.grpc, ENDLESS)], lambda result, error: answers.put(error))
        wait()
        call.cancel()
        assert "CANCELLED" in answers.get(timeout=10).status()


def rows_request(server, number: int, headers: str = "") -> socket.socket:
    """A row stream with one row, and more to come."""
    row = json.dumps({"inputs": [tensor("steps", "INT64", [1, 1], [number])]}).encode() + b"\n"
    head = f"POST /v2/models/slow/infer_stream HTTP/1.1\r\nHost: x\r\n{headers}Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", server.http_port), timeout=30)
    connection.sendall(head.encode() + f"{len(row):x}\r\n".encode() + row + b"\r\n")
    return connection


def leave_rows(server, wait):
    connection = rows_request(server, ENDLESS)
    wait()
    connection.close()


def leave_grpc_stream(server, wait):
    answers = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put(error))
        client.async_stream_infer("slow", [steps(tritonclient.grpc, ENDLESS)])
        wait()
        client.stop_stream(cancel_requests=True)
        assert "CANCELLED" in answers.get(timeout=10).status()


WAYS = [
    leave_http,
    leave_http_half,
    leave_http_aio,
    leave_grpc,
    leave_grpc_aio,
    leave_grpc_on_the_http_port,
    leave_rows,
    leave_grpc_stream,
]


@pytest.mark.parametrize("leave", WAYS)
def test_leaving_stops_a_running_request(server, leave):
    until(lambda: running(server) == 0, 10, "the model is idle")
    before = cancelled(server)
    leave(server, lambda: until(lambda: running(server) >= 1, 10, "the request runs"))
    until(lambda: running(server) == 0, FREED_S, "the slot is free")
    started = time.monotonic()
    ok(infer(server, "slow", {"inputs": [tensor("steps", "INT64", [1, 1], [1])]}))
    assert time.monotonic() - started < FREED_S
    until(lambda: cancelled(server) > before, FREED_S, "the request is counted as cancelled")


@pytest.mark.parametrize("leave", WAYS)
def test_leaving_takes_a_waiting_request_out_of_the_queue(server, leave):
    until(lambda: running(server) == 0, 10, "the model is idle")
    done = []
    first = threading.Thread(target=lambda: done.append(infer(server, "slow", {"inputs": [tensor("steps", "INT64", [1, 1], [1500])]})))
    first.start()
    until(lambda: running(server) >= 1 and queued(server) == 0, 10, "the first request runs")
    before = cancelled(server)
    leave(server, lambda: until(lambda: queued(server) >= 1, 10, "the second request waits"))
    first.join(30)
    until(lambda: cancelled(server) > before, FREED_S, "the request is counted as cancelled")
    # The first was not disturbed, and nothing runs after it.
    assert ok(done[0])["outputs"][0]["data"] == [1500]
    until(lambda: running(server) == 0, FREED_S, "the slot is free")


def test_a_deadline_that_passes_in_the_queue_costs_no_run(server):
    until(lambda: running(server) == 0, 10, "the model is idle")
    before = server.metric("serin_executions_total", model="slow")
    done = []
    first = threading.Thread(target=lambda: done.append(infer(server, "slow", {"inputs": [tensor("steps", "INT64", [1, 1], [1500])]})))
    first.start()
    until(lambda: running(server) >= 1 and queued(server) == 0, 10, "the first request runs")
    waiting = {"inputs": [tensor("steps", "INT64", [1, 1], [1])]}
    # 503 where it is known from the start that there is no time for it.
    assert infer(server, "slow", waiting, headers={"X-Request-Timeout": "100ms"}).status in (503, 504)
    assert infer(server, "slow", waiting | {"parameters": {"timeout": 100_000}}).status in (503, 504)
    with rows_request(server, 1, "X-Request-Timeout: 100ms\r\n") as rows:
        answer = b""
        while b'"code"' not in answer:
            answer += rows.recv(65536)
        assert b'"timeout"' in answer or b'"overloaded"' in answer
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client, pytest.raises(tritonclient.utils.InferenceServerException):
        client.infer("slow", [steps(tritonclient.grpc, 1)], client_timeout=0.1)
    first.join(30)
    ok(done[0])
    until(lambda: running(server) == 0, FREED_S, "the slot is free")
    assert server.metric("serin_executions_total", model="slow") == before + 1


def test_one_caller_that_leaves_does_not_disturb_others(server):
    until(lambda: running(server) == 0, 10, "the model is idle")
    connections = [raw_request(server, 300 + number) for number in range(8)]
    for connection in connections[::2]:
        connection.close()
    for number, connection in list(enumerate(connections))[1::2]:
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200") and f'"data":[{300 + number}]'.encode() in answer
        connection.close()
