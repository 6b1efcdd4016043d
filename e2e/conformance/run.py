#!/usr/bin/env python3
"""Runs the conformance suite: other people's clients against a real serin-dataplane.

    python3 e2e/conformance/run.py                  # everything that needs no KServe
    python3 e2e/conformance/run.py --kserve         # the KServe SDK's clients instead (450 MB, once)
    python3 e2e/conformance/run.py --peers          # the same requests to KServe's server and to ours
    python3 e2e/conformance/run.py --description    # requests made up from our OpenAPI document, by schemathesis
    python3 e2e/conformance/run.py --telemetry      # metrics and traces as Prometheus and OpenTelemetry read them
    python3 e2e/conformance/run.py -- -k golden -x  # what follows -- goes to pytest

SERIN_DATAPLANE names the binary to test; without it target/debug/serin-dataplane is taken. The clients are installed once, pinned, into
a virtual environment in the user's cache. The exit code is pytest's.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALL_LIMIT_S = 1800

# Flag -> the folder of its tests, the folder that pins its packages, and what it does.
PARTS = {
    "kserve": ("kserve_sdk", "kserve_sdk", "run the KServe SDK's clients instead of the others"),
    "peers": ("peers", "kserve_sdk", "compare with KServe's own server, case by case"),
    "description": ("description", "description", "make up requests from the OpenAPI document"),
    "telemetry": ("telemetry", "telemetry", "read metrics and traces with others' parsers"),
}


def environment(requirements: Path) -> Path:
    """The Python of an environment with the pinned packages; other pins, of another checkout say, have another one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serin"
    pinned = hashlib.sha256(sys.version.encode() + requirements.read_bytes()).hexdigest()
    folder = cache / "conformance" / pinned[:16]
    mark = folder / "complete"
    python = folder / "bin/python"
    if not (mark.exists() and python.exists()):
        print(f"conformance: installing the clients into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        subprocess.run(command, check=True, timeout=INSTALL_LIMIT_S)
        mark.touch()
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, (_, _, does) in PARTS.items():
        parser.add_argument(f"--{flag}", action="store_const", const=flag, dest="part", help=does)
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    arguments = parser.parse_args()
    folder, packages, _ = PARTS.get(arguments.part, ("", "", ""))
    python = environment(HERE / packages / "requirements.txt")
    return subprocess.run([python, "-m", "pytest", "--tb=short", "-q", *arguments.pytest], cwd=HERE / folder).returncode


if __name__ == "__main__":
    sys.exit(main())
