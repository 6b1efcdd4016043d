"""Fixtures: the servers under test and the clients, each once for all tests; and the table of what is not there yet."""

import shutil

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from clients import KINDS, Client
from not_yet import NOT_YET, names
from serving import START_LIMIT_S, Model, Server, every_model, named, until
from wire import get


def pytest_collection_modifyitems(items):
    """Marks what the table names as failing: it runs, and passing is an error until its entry is removed."""
    for item in items:
        name = f"{item.path.name}::{item.name}"
        for key, reason in NOT_YET.items():
            if names(key, name):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server of nearly all tests, with every model that loads."""
    running = Server(tmp_path_factory.mktemp("server"), every_model())
    running.wait_until("/readyz")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def broken_server(tmp_path_factory):
    """A server of which two models cannot load."""
    models = [named(name) for name in ("linear", "truncated", "unknown_operator")]
    running = Server(tmp_path_factory.mktemp("broken"), models)
    running.wait_until("/livez")
    until(lambda: get(running, "/v2/models/linear/ready").status == 200, START_LIMIT_S, "the good model is ready")
    until(lambda: "loading" not in get(running, "/v2/health/ready").document()["error"], START_LIMIT_S, "the others have failed")
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path):
    """Starts servers that the test ends itself; one that it forgot is killed."""
    started = []

    def start(models, **options):
        running = Server(tmp_path, models, **options)
        started.append(running)
        return running.wait_until("/readyz")

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture(scope="session", params=KINDS)
def client(request, server):
    """Each of Triton's clients in turn."""
    made = Client(request.param, server)
    yield made
    made.close()


@pytest.fixture(scope="session", params=[kind for kind in KINDS if kind.startswith("http")])
def http_client(request, server):
    """Triton's clients over HTTP."""
    made = Client(request.param, server)
    yield made
    made.close()


@pytest.fixture(scope="session", params=[kind for kind in KINDS if kind.startswith("grpc")])
def grpc_client(request, server):
    """Triton's clients over gRPC."""
    made = Client(request.param, server)
    yield made
    made.close()


@pytest.fixture(scope="session", params=["grpc_port", "http_port"])
def channel(request, server):
    """A gRPC channel to each of the two ports that speak it."""
    address = f"127.0.0.1:{getattr(server, request.param)}"
    # Answers uncompressed: gzip of many megabytes takes a debug build a minute. tritonclient's own channels take it.
    options = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.compression_enabled_algorithms_bitset", 1),
    ]
    with grpc.insecure_channel(address, options) as made:
        yield made


@pytest.fixture(scope="session")
def rpc(channel):
    """The inference service on each of the two ports."""
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="session")
def controlled_server(tmp_path_factory):
    """A server whose models may be loaded and unloaded, in a folder of its own where a test can replace them."""
    folder = tmp_path_factory.mktemp("controlled")
    replaceable = folder / "replaceable.onnx"
    shutil.copy(named("linear").file, replaceable)
    models = [named("linear"), named("multi_var"), Model("replaceable", replaceable)]
    running = Server(folder, models, policy={"api": {"repositoryControl": True}})
    running.wait_until("/readyz")
    yield running
    running.stop()


@pytest.fixture(scope="session", params=KINDS)
def controller(request, controlled_server):
    """Each of Triton's clients in turn, for the server whose models may be controlled."""
    made = Client(request.param, controlled_server)
    yield made
    made.close()
