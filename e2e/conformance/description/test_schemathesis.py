"""Requests made up from our OpenAPI document, as schemathesis makes them: at the bounds of each schema, beyond them, and at random. Every
answer must be one that the document describes, and none a 5xx."""

import re
import subprocess
import sys
from pathlib import Path

from serving import EXAMPLES, TEST_MODELS, Model, Server, named

HERE = Path(__file__).resolve().parent
LIMIT_S = 1400
# With the one of `models`: variable shapes, text, two and optional inputs, a name that must be escaped.
FEW = ["identity_bytes", "two_inputs"]
# No `slow`, which takes as long as it is told to, and none that fail on what they are given: both are answered 5xx as they should be.
MANY = FEW + [
    *("fixed_batch", "identity_bool", "identity_int8", "identity_uint64", "identity_bf16", "identity_fp16", "identity_fp64", "linear", "batch_axis1"),
    *("scalar_input", "unknown_rank", "no_input", "optional_input", "odd_names", "strings_rank1", "map_output"),
]


def models(every: bool) -> list[Model]:
    escaped = Model("team/a model", TEST_MODELS / "optional_input.onnx")
    if not every:
        return [*map(named, FEW), escaped]
    versions = [Model("iris", EXAMPLES / "iris/iris.onnx", "1"), Model("iris", EXAMPLES / "iris/v2/iris.onnx", "2")]
    return [*map(named, MANY), escaped, *versions]


def test_every_answer_is_one_that_the_document_describes(tmp_path, pytestconfig):
    server = Server(tmp_path, models(pytestconfig.getoption("all_models"))).wait_until("/readyz")
    command = [Path(sys.executable).with_name("st"), "--no-color", f"--config-file={HERE / 'schemathesis.toml'}", "run"]
    command += [f"http://{server.http}/openapi.json", "--phases=examples,coverage,fuzzing", "--checks=all", "--seed=1"]
    command += [f"--max-examples={pytestconfig.getoption('examples')}"]
    try:
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S)
    finally:
        server.stop()
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-4000:]
    generated = re.search(r"(\d+) generated", ended.stdout)
    assert generated and int(generated[1]) > 1000, ended.stdout[-4000:]
    print(f"\n{generated[1]} requests")
