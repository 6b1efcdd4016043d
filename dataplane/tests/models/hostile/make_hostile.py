"""Makes the hostile models of this folder, cases.json for the test that serves them, and README.md.

    python make_hostile.py            # writes *.onnx, cases.json and README.md
    python make_hostile.py --check    # exit code 1 and the names of the files that differ

The packages of ../requirements.txt give the same bytes.
"""

import json
import sys
from pathlib import Path

from catalogue import CASES, Case

HERE = Path(__file__).resolve().parent
LARGEST = 100_000

HEAD = """# Hostile models

What an untrusted model may try, one thing a file. `make_hostile.py` writes the files, `cases.json` and this page from `catalogue.py`; the test
`hostile_models` serves all of them beside a good model, which must answer throughout.

| file | what it tries | what must happen |
|---|---|---|
"""


def outcome(case: Case) -> str:
    if case.refused:
        return f"refused: “{case.says}”" if case.says else "refused"
    runs = [f"{name} = {values}: " + (("fails" if says == "*" else f"fails, “{says}”") if says else "answered") for name, values, says in case.runs]
    either = [f"refused: “{case.says}”, or"] if case.refused is None else []
    return " ".join([*either, "; ".join(["loads", *runs])])


def files() -> dict[str, bytes]:
    made = {f"{case.name}.onnx": case.make() for case in CASES}
    for name, content in made.items():
        if len(content) > LARGEST:
            sys.exit(f"{name} has {len(content)} bytes, {LARGEST} is the most")
    rows = [
        {
            "name": case.name,
            "refused": case.refused,
            "says": case.says,
            "beside": [list(entry) for entry in case.beside],
            "runs": [{"input": name, "data": values, "says": says} for name, values, says in case.runs],
        }
        for case in CASES
    ]
    made["cases.json"] = (json.dumps(rows, indent=1) + "\n").encode()
    table = "".join(f"| {case.name} | {case.tries} | {outcome(case)} |\n" for case in CASES)
    made["README.md"] = (HEAD + table).encode()
    return made


def main() -> None:
    made = files()
    if sys.argv[1:] == ["--check"]:
        there = {path.name for path in HERE.iterdir() if path.suffix in {".onnx", ".json", ".md"}}
        wrong = [name for name, content in made.items() if name not in there or (HERE / name).read_bytes() != content]
        wrong += sorted(there - made.keys())
        if wrong:
            sys.exit("differs from what make_hostile.py writes: " + ", ".join(wrong))
        print(f"{len(CASES)} hostile models are as make_hostile.py writes them")
        return
    for path in HERE.glob("*.onnx"):
        path.unlink()
    for name, content in made.items():
        (HERE / name).write_bytes(content)


if __name__ == "__main__":
    main()
