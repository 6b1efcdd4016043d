#!/usr/bin/env python3
"""Runs the conformance suite: other people's clients against a real serin-dataplane.

    python3 e2e/conformance/run.py                  # everything that needs no KServe
    python3 e2e/conformance/run.py --kserve         # the KServe SDK's clients instead (450 MB, once)
    python3 e2e/conformance/run.py --peers          # the same requests to KServe's server and to ours
    python3 e2e/conformance/run.py --description    # requests made up from our OpenAPI document, by schemathesis
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


def environment(name: str, requirements: Path) -> Path:
    """The Python of an environment with the pinned packages; made anew when they change."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serin"
    folder = cache / name
    pinned = hashlib.sha256(requirements.read_bytes()).hexdigest()
    mark = folder / "requirements.sha256"
    python = folder / "bin/python"
    if not (mark.is_file() and mark.read_text() == pinned and python.exists()):
        print(f"conformance: installing the clients into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        subprocess.run(command, check=True, timeout=INSTALL_LIMIT_S)
        mark.write_text(pinned)
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kserve", action="store_true", help="run the KServe SDK's clients instead of the others")
    parser.add_argument("--peers", action="store_true", help="compare with KServe's own server, case by case")
    parser.add_argument("--description", action="store_true", help="make up requests from the OpenAPI document")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    arguments = parser.parse_args()
    if arguments.kserve or arguments.peers:
        python = environment("venv-conformance-kserve", HERE / "kserve_sdk/requirements.txt")
    elif arguments.description:
        python = environment("venv-conformance-description", HERE / "description/requirements.txt")
    else:
        python = environment("venv-conformance", HERE / "requirements.txt")
    folder = HERE / ("kserve_sdk" if arguments.kserve else "peers" if arguments.peers else "description" if arguments.description else "")
    return subprocess.run([python, "-m", "pytest", "--tb=short", "-q", *arguments.pytest], cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
