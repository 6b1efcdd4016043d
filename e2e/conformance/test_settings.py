"""Settings of log and traces, changed on the admin port."""

import http.client
import json

import numpy as np
import pytest
from clients import KINDS, Client
from serving import named, until
from wire import TIMEOUT_S, get


def admin(server, path: str, settings: dict | None = None) -> tuple[int, dict]:
    """GET, or POST of settings, on the admin port."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=TIMEOUT_S)
    try:
        connection.request("GET" if settings is None else "POST", path, None if settings is None else json.dumps(settings))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def lines(server) -> list[dict]:
    return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]


def test_log_levels_act_at_once_and_are_taken_back(own_server):
    server = own_server([named("linear")])
    status, start = admin(server, "/v2/logging")
    assert status == 200 and start == get(server, "/v2/logging").document()
    assert (start["log_info"], start["log_verbose_level"], start["log_format"]) == (True, 0, "json")
    client = Client("http", server)
    infer = lambda: client.infer("linear", [client.input("X", np.ones((1, 4), np.float32), "FP32")])
    answered = lambda: [line for line in lines(server) if line.get("target") == "serin::access"]
    infer()
    assert not answered()
    status, changed = admin(server, "/v2/logging", {"log_verbose_level": 1})
    assert status == 200 and changed == {**start, "log_verbose_level": 1} == get(server, "/v2/logging").document()
    infer()
    until(answered, TIMEOUT_S, "the request is logged")
    assert admin(server, "/v2/logging", {"log_verbose_level": None})[1] == start
    before = len(answered())
    infer()
    assert len(answered()) == before
    # A level that is off stays off whoever writes.
    assert admin(server, "/v2/logging", {"log_info": False, "log_verbose_level": 1})[0] == 200
    with pytest.raises(Exception, match="nobody"):
        client.infer("nobody", [])
    infer()
    until(lambda: len(answered()) > before, TIMEOUT_S, "the answer is logged")
    assert all(line["level"] != "INFO" for line in answered())
    client.close()
    server.stop()


def test_what_cannot_change_says_why_and_nothing_changes(server):
    start = admin(server, "/v2/logging")[1]
    for settings, status, code in (
        ({"log_file": "/tmp/serin.log", "log_info": False}, 501, "not_implemented"),
        ({"log_info": False, "log_format": "ISO8601"}, 501, "not_implemented"),
        ({"log_info": "no"}, 400, "invalid_parameter"),
        ({"log_colour": True}, 400, "unsupported_parameter"),
    ):
        answered, document = admin(server, "/v2/logging", settings)
        assert (answered, document["code"]) == (status, code), settings
    assert admin(server, "/v2/logging")[1] == start
    for path in ("/v2/trace/setting", "/v2/models/linear/trace/setting"):
        assert admin(server, path)[1]["trace_level"] == ["OFF"]
        answered, document = admin(server, path, {"trace_rate": "10"})
        assert (answered, document["code"]) == (501, "not_implemented")
    assert admin(server, "/v2/models/nobody/trace/setting")[0] == 404


@pytest.mark.parametrize("kind", KINDS)
def test_traces_are_sampled_as_set(own_server, kind):
    # Nothing listens there: what is asked here is which requests are traced, not whether they arrive.
    traces = {"endpoint": "http://127.0.0.1:9", "samplePercent": 100}
    server = own_server([named("linear")], policy={"telemetry": {"traces": traces}})
    client = Client(kind, server)

    def shown() -> dict:
        document = client.document(client.get_trace_settings())
        if client.is_http:
            return document
        values = {name: setting["value"] for name, setting in document["settings"].items()}
        return {name: value if name == "trace_level" else value[0] for name, value in values.items()}

    assert (shown()["trace_level"], shown()["trace_rate"]) == (["TIMESTAMPS"], "1")
    assert admin(server, "/v2/trace/setting", {"trace_rate": "1000", "trace_level": ["OFF"]})[0] == 200
    assert (shown()["trace_level"], shown()["trace_rate"]) == (["OFF"], "1000")
    assert admin(server, "/v2/trace/setting", {"trace_rate": None, "trace_level": None})[0] == 200
    assert (shown()["trace_level"], shown()["trace_rate"]) == (["TIMESTAMPS"], "1")
    client.close()
    server.stop()
