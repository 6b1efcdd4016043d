"""How much memory a row stream takes, and how fast it is: rows go through `infer_stream` of a data plane that this starts.

    cargo build --release -p serin-dataplane
    python3 benches/streams/rows.py --rows 1000000

Half-way through, the caller stops reading for a while, to show that the server waits for it. Needs Python alone. Exit code 1 when a row is lost or
memory grows by more than a stream may take.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ROW = json.dumps({"inputs": [{"name": "measurements", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]}, separators=(",", ":")) + "\n"
# What is sent in one piece, so that the client is no bottleneck.
ROWS_AT_ONCE = 500
START_LIMIT_S = 60
# For the whole stream.
LIMIT_S = 1800
# What a stream may hold: rows in flight and read ahead, the sockets' and HTTP's buffers.
GROWTH_MIB = 32


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory now, and its peak."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024, int(lines["VmHWM"].split()[0]) / 1024


def start(binary: Path, model: Path, folder: Path) -> tuple[subprocess.Popen, int]:
    config = {"service": "bench/rows", "revision": "rows-1", "models": [{"name": "iris", "version": "1", "source": {"uri": f"file://{model}"}}]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "cache").mkdir()
    ports = [free_port() for _ in range(3)]
    flags = [f"--{name}-port={port}" for name, port in zip(("http", "grpc", "admin"), ports, strict=True)]
    command = [binary, f"--config={folder / 'config.json'}", "--bind=127.0.0.1", *flags, f"--cache-dir={folder / 'cache'}", "--lame-duck=0s"]
    process = subprocess.Popen([*command, f"--termination-log={folder / 'termination'}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + START_LIMIT_S
    while not ready(ports[0]):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"{binary} did not become ready")
        time.sleep(0.02)
    return process, ports[0]


def ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b" 200 " in probe.recv(64)
    except OSError:
        return False


def send(connection: socket.socket, rows: int):
    piece = ROW.encode() * ROWS_AT_ONCE
    chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    for _ in range(rows // ROWS_AT_ONCE):
        connection.sendall(chunk)
    connection.sendall(b"0\r\n\r\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to send, in steps of 500")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds without reading, half-way")
    parser.add_argument("--binary", type=Path, default=REPOSITORY / "target/release/serin-dataplane")
    parser.add_argument("--model", type=Path, default=REPOSITORY / "examples/iris/iris.onnx")
    arguments = parser.parse_args()
    rows = arguments.rows // ROWS_AT_ONCE * ROWS_AT_ONCE
    with tempfile.TemporaryDirectory() as folder:
        process, port = start(arguments.binary, arguments.model, Path(folder))
        try:
            return measure(process.pid, port, rows, arguments.pause)
        finally:
            process.kill()
            process.wait()


def measure(pid: int, port: int, rows: int, pause: float) -> int:
    idle, _ = memory_mib(pid)
    ticks = os.sysconf("SC_CLK_TCK")
    connection = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
    connection.sendall(
        b"POST /v2/models/iris/infer_stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-ndjson\r\n\r\n"
    )
    sender = threading.Thread(target=send, args=(connection, rows), daemon=True)
    begun = time.monotonic()
    sender.start()
    answered = errors = 0
    early = None
    paused = False
    tail = b""
    # Each answer has one `"model_name"`, and so has no error; a piece may end within the word.
    while not tail.endswith(b"0\r\n\r\n"):
        piece = connection.recv(1 << 20)
        if not piece:
            break
        text = tail + piece
        answered += text.count(b'"model_name"') - tail.count(b'"model_name"')
        errors += text.count(b'"error"') - tail.count(b'"error"')
        tail = text[-11:]
        if early is None and answered > rows / 100:
            early, _ = memory_mib(pid)
        if not paused and answered > rows / 2:
            paused = True
            time.sleep(pause)
    took = time.monotonic() - begun - pause
    now, peak = memory_mib(pid)
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(fields[11]) + int(fields[12])) / ticks
    print(f"rows sent {rows}, answered {answered}, errors {errors}")
    print(f"seconds {took:.1f} (without the pause of {pause:g} s), rows/s {rows / took:.0f}, CPU of the server {cpu / rows * 1e6:.1f} us a row")
    print(f"memory in MiB: before {idle:.1f}, after 1 % of the rows {early or 0:.1f}, at the end {now:.1f}, peak {peak:.1f}")
    whole = answered == rows and errors == 0 and tail.endswith(b"0\r\n\r\n")
    bounded = early is not None and peak - early < GROWTH_MIB
    print("every row answered" if whole else "ROWS WERE LOST", "and memory bounded" if bounded else "and MEMORY GREW")
    return 0 if whole and bounded else 1


if __name__ == "__main__":
    sys.exit(main())
