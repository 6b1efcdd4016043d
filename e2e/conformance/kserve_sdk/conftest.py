"""The server that the KServe SDK's clients talk to."""

import pytest

from serving import Server, named


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server"), [named("identity_fp32"), named("linear")])
    running.wait_until("/readyz")
    yield running
    running.stop()
