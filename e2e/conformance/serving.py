"""A real `serin-dataplane` process: started with chosen models on ports that it picks, and stopped with proof that it ended well."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TEST_MODELS = REPOSITORY / "dataplane/tests/models"
EXAMPLES = REPOSITORY / "examples"
# Files of the test models that a server must refuse to load.
NOT_LOADABLE = {"float8_input", "unknown_operator", "not_onnx", "truncated"}
# From its start to its ports, which come before its models.
LISTEN_LIMIT_S = 30
# Loading all models in a debug build on a busy machine with two cores.
START_LIMIT_S = 90
STOP_LIMIT_S = 30


@dataclass(frozen=True)
class Model:
    """One entry of the server's configuration."""

    name: str
    file: Path
    version: str = "1"

    def entry(self) -> dict:
        return {"name": self.name, "version": self.version, "source": {"uri": f"file://{self.file}"}}


def named(name: str) -> Model:
    """A model of `dataplane/tests/models` under its own name."""
    return Model(name, TEST_MODELS / f"{name}.onnx")


def every_model() -> list[Model]:
    """All test models that load, the examples, and two versions of one model."""
    models = [named(path.stem) for path in sorted(TEST_MODELS.glob("*.onnx")) if path.stem not in NOT_LOADABLE]
    if len(models) < 30:
        raise AssertionError(f"{TEST_MODELS} has only {len(models)} models that load: run make.py there")
    examples = [
        Model("iris", EXAMPLES / "iris/iris.onnx", "1"),
        Model("iris", EXAMPLES / "iris/v2/iris.onnx", "2"),
        Model("digits", EXAMPLES / "digits/digits.onnx"),
        # A folder with a tokenizer.
        Model("embedder", EXAMPLES / "embedder/model"),
        # A name that must be escaped in a path.
        Model("team/a model", TEST_MODELS / "linear.onnx"),
    ]
    return models + examples


def binary() -> Path:
    """The server to test: `SERIN_DATAPLANE`, or the debug build of this checkout."""
    chosen = os.environ.get("SERIN_DATAPLANE")
    path = Path(chosen) if chosen else REPOSITORY / "target/debug/serin-dataplane"
    if not path.is_file():
        raise AssertionError(f"no data plane at {path}: run `cargo build -p serin-dataplane`, or name one with SERIN_DATAPLANE")
    return path


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, limit_s: float, what: str):
    """Polls until `condition` gives something true, and gives that."""
    deadline = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {limit_s} s")
        time.sleep(0.01)


class Server:
    """A running data plane."""

    def __init__(
        self, folder: Path, models: list[Model], lame_duck: str = "0s", policy: dict | None = None, env: dict | None = None
    ):
        """`policy` is the document of what may change while the server runs, `env` holds further variables."""
        self.log_file = folder / "server.log"
        config_file = folder / "config.json"
        config_file.write_text(
            json.dumps({"service": "conformance/all", "revision": "all-1", "models": [model.entry() for model in models]})
        )
        policy_file = folder / "policy.json"
        policy_file.write_text(json.dumps(policy or {}))
        command = [
            str(binary()),
            f"--config={config_file}",
            f"--policy={policy_file}",
            "--bind=127.0.0.1",
            "--http-port=0",
            "--grpc-port=0",
            "--admin-port=0",
            f"--cache-dir={folder / 'cache'}",
            f"--termination-log={folder / 'termination'}",
            f"--lame-duck={lame_duck}",
            "--log-format=json",
        ]
        (folder / "cache").mkdir()
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}
            )
        listening = self._while_starting(self._listening, LISTEN_LIMIT_S, "the ports of the server")
        self.http_port, self.grpc_port, self.admin_port = (
            int(listening[port].rpartition(":")[2]) for port in ("http", "grpc", "admin")
        )

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.http_port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def admin_status(self, path: str) -> int | None:
        """The status of a probe; none while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def wait_until(self, path: str) -> "Server":
        """Waits until a probe of the admin port answers 200."""
        self._while_starting(lambda: self.admin_status(path) == 200, START_LIMIT_S, f"{path} of the server")
        return self

    def _listening(self) -> dict | None:
        """The line of the log that tells the ports."""
        for line in self.log().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                entry = json.loads(line)
                if entry.get("message") == "listening":
                    return entry
        return None

    def _while_starting(self, condition, limit_s: float, what: str):
        """Waits for what a start brings; where that does not come, the server is killed and its log shown."""

        def reached():
            ended = self.process.poll()
            if ended is not None:
                raise AssertionError(f"the server ended with {ended} at its start")
            return condition()

        try:
            return until(reached, limit_s, what)
        except AssertionError as error:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series with these labels, 0 when there is none."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        total = 0.0
        for line in text.splitlines():
            found = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
            if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
                total += float(found[2])
        return total

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """Ends the server, and demands that it was still there, ends cleanly and has not panicked."""
        died = self.process.poll()
        if died is None:
            self.process.send_signal(sign)
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the server ignored {sign.name} for {STOP_LIMIT_S} s:\n{self.log()[-4000:]}") from None
        log = self.log()
        assert died is None, f"the server died of itself with {died}:\n{log[-4000:]}"
        assert "panicked" not in log, log[max(0, log.index("panicked") - 500) :][:4000]
        assert self.process.returncode == 0, f"exit code {self.process.returncode} after {sign.name}:\n{log[-4000:]}"
