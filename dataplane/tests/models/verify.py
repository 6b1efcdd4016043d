"""Shows with ONNX Runtime in Python that each test model does what README.md says. Exit code 1 at the first that does not.

    python verify.py
"""

import json
import sys
import threading
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import onnxruntime as ort

from catalogue import COUPLED, DATATYPES, MODELS

HERE = Path(__file__).resolve().parent
ort.set_default_logger_severity(4)
ROWS = np.array([[1, 2, 3, 4], [-0.5, 0.25, 40, 1], [0.001, -0.002, 0.003, 0.004]], np.float32)
MERGEABLE = ["linear", "slow", "fails_at_runtime"]
NOT_MERGEABLE = ["set_model", "batch_scaled", "dynamic_quantised", "running_sum", "reversed_rows", "row_count", "zero_rows"]
SAMPLES = {
    "bool": np.array([[True, False]]),
    "bf16": np.array([[1.5, -2]], ml_dtypes.bfloat16),
    "bytes": np.array([["canary", "Größe", ""]], object),
}


def session(name: str) -> ort.InferenceSession:
    """A session as the data plane opens it: one thread, no spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(HERE / f"{name}.onnx", options, providers=["CPUExecutionProvider"])


def run(name: str, **inputs) -> list:
    return session(name).run(None, inputs)


def same(name: str, got, want) -> None:
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape or not np.array_equal(got, want):
        sys.exit(f"{name}: got {got.tolist()}, want {want.tolist()}")


def fails(name: str, message: str, attempt) -> None:
    """The attempt fails, and the runtime's reason holds this text."""
    try:
        attempt()
    except Exception as error:
        if message not in str(error):
            sys.exit(f"{name}: failed with {error}, which lacks {message!r}")
        print(f"{name}: {str(error).splitlines()[0][:150].replace(str(HERE), 'FOLDER')}")
        return
    sys.exit(f"{name}: did not fail")


def identities() -> None:
    for oip in DATATYPES:
        name = f"identity_{oip}"
        if oip in SAMPLES:
            data = SAMPLES[oip]
        else:
            dtype = np.dtype({"fp16": "float16", "fp32": "float32", "fp64": "float64"}.get(oip, oip))
            limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
            data = np.array([[limits.min, 0, 1, limits.max]], dtype)
        if oip == "bf16":
            # numpy has no BF16 of its own: go through the runtime's value type.
            value = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(data.view(np.uint16), 16)
            answer = session(name).run_with_ort_values(None, {"X": value})[0]
            if answer.element_type() != 16:
                sys.exit(f"{name}: the answer is not BF16")
            continue
        same(name, run(name, X=data)[0], data)
        empty = data[:0]
        same(f"{name} with no rows", run(name, X=empty)[0], empty)


def merged_and_alone(name: str, rows: np.ndarray, key: str) -> float:
    """The largest difference between a row's answer alone and in a batch; infinite where it has no row of its own."""
    model = session(name)
    merged = model.run(None, {key: rows})[0]
    alone = [model.run(None, {key: row[None]})[0] for row in rows]
    if len(merged) != len(rows) or any(len(answer) != 1 for answer in alone):
        return float("inf")
    return float(np.max(np.abs(merged - np.concatenate(alone))))


def merging() -> None:
    for name in MERGEABLE:
        rows, key = (np.array([[0], [3], [1]], np.int64), "steps") if name == "slow" else (ROWS, "X")
        if merged_and_alone(name, rows, key) > 1e-5:
            sys.exit(f"{name}: differs between alone and merged")
    for name in NOT_MERGEABLE:
        difference = merged_and_alone(name, ROWS, "X")
        print(f"{name}: alone and merged differ by {difference:g}, of at most {np.max(np.abs(ROWS)):g}")
        if difference < 1e-3:
            sys.exit(f"{name}: is the same alone and merged")
    same("linear", run("linear", X=ROWS[:1])[0], [[10, -1, 41]])
    same("class_only", run("class_only", X=ROWS)[0], [2, 0, 2])
    same("linear with no rows", run("linear", X=ROWS[:0])[0], np.zeros((0, 3)))
    s, t = run("two_inputs", A=ROWS[:2, :2], B=np.array([[1, 2], [3, 4]]))
    same("two_inputs S", s, [[2, 4], [2.5, 4.25]])
    same("two_inputs T", t, [3, 7])
    d, total = run("multi_var", X=np.ones((2, 5), np.float32))
    same("multi_var D", d, np.full((2, 5), 2))
    same("multi_var total", total, [5, 5])
    kept, none = run("zero_rows", X=-np.ones((2, 4), np.float32))
    same("zero_rows kept", kept, np.zeros((0, 4)))
    same("zero_rows none", none, np.zeros((0, 4)))
    texts = np.array(["a cat", "dog"], object)
    same("padded_words", run("padded_words", text=texts)[0], [["a", "cat"], ["dog", ""]])
    same("padded_words alone", run("padded_words", text=texts[1:])[0], [["dog"]])
    same("hidden_scale", run("hidden_scale", X=ROWS)[0], [3, 2, 3])
    same("pairwise", run("pairwise", A=ROWS[:1, :2], B=ROWS[:3, :2])[0].shape, (1, 3))


def coupled() -> None:
    """A row that is answered otherwise among others; the classes are so near that it shows in them too."""
    step = np.arange(64)
    near = np.stack([step % 9 / 8, step % 9 / 8 + (step * 7 % 5 - 2) / 200, step % 13 / 6, -(step % 3)], 1)
    near = near.astype(np.float32)
    for name in [model.name for model in COUPLED]:
        model = session(name)
        merged = model.run(None, {"X": near})[0]
        alone = np.concatenate([model.run(None, {"X": row[None]})[0] for row in near])
        wrong = int((merged != alone).reshape(64, -1).any(1).sum())
        print(f"{name}: {wrong} of 64 rows differ between alone and merged")
        if not wrong:
            sys.exit(f"{name}: is the same alone and merged")


def signatures() -> None:
    same("fixed_batch", run("fixed_batch", X=ROWS[:1])[0], ROWS[:1] + 1)
    fails("fixed_batch", "Got invalid dimensions", lambda: run("fixed_batch", X=ROWS))
    same("batch_axis1", run("batch_axis1", X=ROWS.T)[0], ROWS.T * 2)
    same("scalar_input", run("scalar_input", X=np.array(3, np.float32))[0], 6)
    for shape in [(), (2,), (1, 2, 3)]:
        same("unknown_rank", run("unknown_rank", X=np.ones(shape, np.float32))[0], np.full(shape, 2))
    same("no_input", run("no_input")[0], [1, 2, 3])
    same("optional_input without", run("optional_input", X=ROWS[:, :2])[0], ROWS[:, :2] * np.float32(3))
    same("optional_input with", run("optional_input", X=ROWS[:, :2], scale=np.array([2], np.float32))[0], ROWS[:, :2] * 2)
    same("strings_rank1", run("strings_rank1", word=np.array(["dog", "Größe", "", "cat"], object))[0], [1, 2, -1, 0])
    y, t = run("mixed_inputs", X=ROWS[:2, :2], S=np.array(["hi", ""], object))
    same("mixed_inputs Y", y, ROWS[:2, :2])
    same("mixed_inputs T", t, ["hi", ""])
    declared = session("declared_wrong")
    same("declared_wrong declares", declared.get_outputs()[0].shape, [1])
    same("declared_wrong", declared.run(None, {"X": ROWS})[0], [3, 2, 3])
    labelled = session("labelled")
    same("labelled names", json.loads(labelled.get_modelmeta().custom_metadata_map["labels"])[0], "setosa")
    same("labelled others", labelled.run(["others"], {"X": ROWS[:, :3]})[0][:, 3], [0, 0, 0])
    odd = session("odd_names")
    names = [value.name for value in odd.get_inputs()]
    answers = odd.run(None, {name: np.full(2, place, np.float32) for place, name in enumerate(names)})
    same("odd_names", answers, [[2 * place] * 2 for place in range(4)])
    for name in ["sequence_output", "float8_output"]:
        same(name, session(name).run(["Y"], {"X": ROWS})[0], ROWS * 2)
    same("map_output", session("map_output").run(["label"], {"X": ROWS[:, :2]})[0], [1, 1, 0])
    for name in ["sequence_output", "map_output", "float8_output"]:
        print(f"{name}: loads, second output is {session(name).get_outputs()[1].type}")
    print(f"float8_input: loads, input is {session('float8_input').get_inputs()[0].type}")


def behaviour() -> None:
    model = session("slow")
    for steps in [100, 500]:
        start = time.monotonic()
        same("slow", model.run(None, {"steps": np.array([[steps], [1]])})[0], [[steps], [1]])
        print(f"slow: {steps} steps in {time.monotonic() - start:.2f} s")
    options = ort.RunOptions()
    threading.Timer(0.2, lambda: setattr(options, "terminate", True)).start()
    start = time.monotonic()
    fails("slow, told to stop after 0.2 s", "terminate", lambda: model.run(None, {"steps": np.array([[20_000]])}, options))
    print(f"slow: stopped after {time.monotonic() - start:.2f} s")
    poisoned = np.concatenate([ROWS, np.full((1, 4), -1000, np.float32)])
    fails("fails_at_runtime", "out of data bounds", lambda: run("fails_at_runtime", X=poisoned))
    fails("unknown_operator", "Frobnicate", lambda: session("unknown_operator"))
    fails("not_onnx", "Protobuf parsing failed", lambda: session("not_onnx"))
    fails("truncated", "Protobuf parsing failed", lambda: session("truncated"))


def main() -> None:
    identities()
    merging()
    coupled()
    signatures()
    behaviour()
    print(f"ONNX Runtime {ort.__version__}: {len(MODELS)} models do what README.md says")


if __name__ == "__main__":
    main()
