"""Makes the test models of this folder, and README.md that lists them.

    python make.py            # writes *.onnx and README.md
    python make.py --check    # exit code 1 and the names of the files that differ

The same packages (requirements.txt) give the same bytes.
"""

import argparse
import sys
from pathlib import Path

import onnx

from catalogue import DATATYPES, MODELS, Model

HERE = Path(__file__).resolve().parent
# A test model is read by people and copied into requests: it stays small.
LARGEST = 5_000
# ONNX number -> name in the protocol; the rest is shown under ONNX's name.
OIP_NAMES = {
    onnx.TensorProto.DataType.Value(text.upper()): oip.upper() for oip, text in DATATYPES.items()
}

HEAD = """# Models for the data plane's tests

Each file stands for one thing that models in the wild do. `make.py` writes the files and this page from `catalogue.py`; `verify.py` shows with
ONNX Runtime in Python that each does what is said here.

```sh
python3 -m venv ~/.cache/serin/venv-models
~/.cache/serin/venv-models/bin/pip install -r requirements.txt
~/.cache/serin/venv-models/bin/python make.py --check
~/.cache/serin/venv-models/bin/python verify.py
```

A dimension of -1 is variable. `?` is a shape that the model does not declare.

| file | in | out | what it is for |
|---|---|---|---|
"""

# Files that are no models: contents and purpose.
NOT_ONNX = b"This is a text file. Somebody gave it the name of a model.\n"


def build(model: Model) -> onnx.ModelProto:
    """The model as a protobuf message, checked unless the checker does not like its kind."""
    # IR 9 came with the float8 types, in the release that has opset 19.
    ir_version = 9 if model.opset >= 19 else 8
    head = (
        f'<ir_version: {ir_version}, opset_import: ["" : {model.opset}, "ai.onnx.ml" : 3, '
        '"com.microsoft" : 1, "example.local" : 1, "example.unknown" : 1], '
        'producer_name: "serin-test-models">'
    )
    proto = onnx.parser.parse_model(f"{head} {model.name} {model.graph}")
    used = {node.domain for node in proto.graph.node} | {""}
    kept = [entry for entry in proto.opset_import if entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    rename(proto.graph, dict(model.rename))
    proto.doc_string = model.purpose
    if model.metadata:
        onnx.helper.set_model_props(proto, dict(model.metadata))
    if model.valid:
        try:
            onnx.checker.check_model(proto, full_check=True)
        except Exception as error:
            sys.exit(f"{model.name}: {error}")
    return proto


def rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Gives tensors the names that the text syntax cannot spell."""
    for value in [*graph.input, *graph.output]:
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]


def describe(values) -> str:
    """`X FP32 [-1,4]`, for each value, as it goes into a table cell."""
    return "; ".join(describe_one(value) for value in values) or "none"


def describe_one(value: onnx.ValueInfoProto) -> str:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return f"`{value.name}` {kind.removesuffix('_type')}"
    tensor = value.type.tensor_type
    datatype = OIP_NAMES.get(tensor.elem_type) or onnx.TensorProto.DataType.Name(tensor.elem_type)
    shape = "?"
    if tensor.HasField("shape"):
        shape = ",".join(str(dim.dim_value) if dim.HasField("dim_value") else "-1" for dim in tensor.shape.dim)
    return f"`{value.name}` {datatype} [{shape}]"


def contents() -> dict[str, bytes]:
    """Every file that this script owns, by name."""
    files, rows = {}, []
    for model in MODELS:
        proto = build(model)
        files[f"{model.name}.onnx"] = proto.SerializeToString(deterministic=True)
        rows.append((model.name, describe(proto.graph.input), describe(proto.graph.output), model.purpose))
    linear = files["linear.onnx"]
    files["not_onnx.onnx"] = NOT_ONNX
    rows.append(("not_onnx", "", "", "A text file: refused at load."))
    files["truncated.onnx"] = linear[: len(linear) // 2]
    rows.append(("truncated", "", "", "The first half of `linear.onnx`: refused at load."))
    for name, data in files.items():
        if len(data) >= LARGEST:
            sys.exit(f"{name} has {len(data)} bytes; a test model has less than {LARGEST}")
    table = "".join(f"| {name} | {inputs} | {outputs} | {purpose} |\n" for name, inputs, outputs, purpose in rows)
    files["README.md"] = (HEAD + table).encode()
    return files


def drift(files: dict[str, bytes]) -> list[str]:
    """What differs between these contents and the folder, one sentence each."""
    found = []
    for name, data in files.items():
        path = HERE / name
        if not path.exists():
            found.append(f"{name} is missing")
        elif path.read_bytes() != data:
            found.append(f"{name} differs from what make.py makes")
    found += [f"{path.name} is not made by make.py" for path in sorted(HERE.glob("*.onnx")) if path.name not in files]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a committed file differs")
    arguments = parser.parse_args()
    files = contents()
    if arguments.check:
        found = drift(files)
        if found:
            sys.exit("\n".join([*found, "cure: python make.py, with the packages of requirements.txt"]))
        print(f"{len(files)} files are as make.py makes them")
        return
    for name, data in files.items():
        (HERE / name).write_bytes(data)
    print(f"wrote {len(files)} files, {sum(map(len, files.values()))} bytes")


if __name__ == "__main__":
    main()
