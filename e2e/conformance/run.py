#!/usr/bin/env python3
"""Runs the conformance suite: other people's clients against a real serin-dataplane.

    python3 e2e/conformance/run.py                  # everything but the KServe SDK
    python3 e2e/conformance/run.py --kserve         # the KServe SDK's clients as well (450 MB, once)
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


def environment(kserve: bool) -> Path:
    """The Python of an environment with the pinned packages; made anew when they change."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serin"
    folder = cache / ("venv-conformance-kserve" if kserve else "venv-conformance")
    requirements = HERE / ("requirements-kserve.txt" if kserve else "requirements.txt")
    pinned = hashlib.sha256((HERE / "requirements.txt").read_bytes() + requirements.read_bytes()).hexdigest()
    mark = folder / "requirements.sha256"
    python = folder / "bin/python"
    if not (mark.is_file() and mark.read_text() == pinned and python.exists()):
        print(f"conformance: installing {requirements.name} into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements], check=True, timeout=1800)
        mark.write_text(pinned)
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kserve", action="store_true", help="also run the KServe SDK's clients")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    arguments = parser.parse_args()
    python = environment(arguments.kserve)
    command = [str(python), "-m", "pytest", "--tb=short", "-q"]
    # Empty: the expression that pytest.ini sets is taken back.
    command += ["-m", ""] if arguments.kserve else []
    return subprocess.run([*command, *arguments.pytest], cwd=HERE).returncode


if __name__ == "__main__":
    sys.exit(main())
