"""Makes the models of this folder, one kernel each.

    python make_kernels.py            # writes *.onnx
    python make_kernels.py --check    # exit code 1 and the names of the files that differ

The packages of ../requirements.txt give the same bytes.
"""

import sys
from pathlib import Path

from onnx import numpy_helper, parser

from catalogue import KERNELS, Kernel

HERE = Path(__file__).resolve().parent


def build(kernel: Kernel) -> bytes:
    domains = ', "ai.onnx.ml" : 3' if "ai.onnx.ml." in kernel.graph else ""
    head = f'<ir_version: 8, opset_import: ["" : {kernel.opset}{domains}]>'
    model = parser.parse_model(f"{head} {kernel.name} {kernel.graph}")
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in kernel.weights.items())
    return model.SerializeToString(deterministic=True)


def main() -> None:
    made = {f"{kernel.name}.onnx": build(kernel) for kernel in KERNELS}
    if sys.argv[1:] == ["--check"]:
        there = {path.name for path in HERE.glob("*.onnx")}
        wrong = [name for name, content in made.items() if name not in there or (HERE / name).read_bytes() != content]
        wrong += sorted(there - made.keys())
        if wrong:
            sys.exit("differs from what make_kernels.py writes: " + ", ".join(wrong))
        print(f"{len(KERNELS)} kernels are as make_kernels.py writes them")
        return
    for path in HERE.glob("*.onnx"):
        path.unlink()
    for name, content in made.items():
        (HERE / name).write_bytes(content)
    print(f"wrote {len(made)} files, {sum(map(len, made.values()))} bytes")


if __name__ == "__main__":
    main()
