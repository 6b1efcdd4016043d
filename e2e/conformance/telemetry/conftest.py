"""A server whose traces go to a collector of the tests, and whose metrics have every server's names."""

import pytest

from collector import Collector
from serving import Model, Server, named, TEST_MODELS

EVERY_NAME = ["VLLM", "Triton", "KServe"]


def models() -> list[Model]:
    return [named("linear"), named("identity_fp32"), Model('a "quoted" name', TEST_MODELS / "linear.onnx")]


@pytest.fixture(scope="session")
def collector():
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory, collector):
    policy = {"telemetry": {"compatMetrics": EVERY_NAME, "traces": {"endpoint": collector.endpoint, "samplePercent": 100}}}
    running = Server(tmp_path_factory.mktemp("server"), models(), policy=policy)
    running.wait_until("/readyz")
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path):
    """Starts a server for one test."""
    started = []

    def start(policy: dict | None = None, env: dict | None = None) -> Server:
        running = Server(tmp_path, [named("linear")], policy=policy, env=env)
        started.append(running)
        return running.wait_until("/readyz")

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()


@pytest.fixture
def own_collector():
    running = Collector()
    yield running
    running.close()
