"""The two servers that are compared: ours, and KServe's own with echoing models."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from serving import Server, free_port, named, until
from kserve_echo import DATATYPES
import ask

START_LIMIT_S = 90


@pytest.fixture(scope="session")
def serin(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("serin"), [named(f"identity_{datatype.lower()}") for datatype in DATATYPES])
    running.wait_until("/readyz")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def kserve(tmp_path_factory):
    ports = free_port(), free_port()
    log_file = tmp_path_factory.mktemp("kserve") / "server.log"
    with log_file.open("wb") as log:
        script = Path(__file__).with_name("kserve_echo.py")
        process = subprocess.Popen([sys.executable, script, *map(str, ports)], stdout=log, stderr=subprocess.STDOUT)

    def answers() -> bool:
        if process.poll() is not None:
            raise AssertionError(f"KServe ended with {process.returncode}:\n{log_file.read_text()[-4000:]}")
        try:
            return ask.rest(ports[0], "GET", "/v2/health/ready", {}, b"")["status"] == 200
        except OSError:
            return False

    try:
        until(answers, START_LIMIT_S, "KServe's server answers")
        yield SimpleNamespace(http_port=ports[0], grpc_port=ports[1])
    finally:
        process.kill()
        process.wait()
