"""HTTP without a client's habits: every header and byte of a request is the test's own."""

import gzip
import http.client
import json
import re
import socket
import zlib
from dataclasses import dataclass
from urllib.parse import quote

from serving import REPOSITORY

TIMEOUT_S = 30
# What must never be in an error body: folders of the machine, places in Rust's and C++'s sources, stacks.
LEAKS = re.compile(
    re.escape(str(REPOSITORY)) + r"|/(root|home|usr|tmp|var|etc|opt)/|\.rs:\d|\.cc:\d|\.cpp:\d|panicked|Traceback|stack backtrace"
)
COMPRESS = {None: bytes, "gzip": gzip.compress, "deflate": zlib.compress}
DECOMPRESS = {None: bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}


@dataclass(frozen=True)
class Answer:
    """A response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def document(self):
        """The body's JSON; bare NaN and Infinity are no JSON."""
        return json.loads(self.body, parse_constant=_no_constant)

    def split(self) -> tuple[dict, bytes]:
        """JSON and binary part of an answer of the binary extension."""
        length = int(self.headers["inference-header-content-length"])
        return json.loads(self.body[:length], parse_constant=_no_constant), self.body[length:]


def _no_constant(token: str):
    raise AssertionError(f"{token} is no JSON")


def request(server, method: str, path: str, body: bytes = b"", headers: dict | None = None) -> Answer:
    """One request; nothing but Host and, with a body, Content-Length is added."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=TIMEOUT_S)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, str(value))
        if body or method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()
    assert "x-request-id" in answer.headers, f"{method} {path}: no x-request-id in {answer.headers}"
    return answer


def get(server, path: str, **headers: str) -> Answer:
    return request(server, "GET", path, headers=headers)


def infer(server, model: str, document, binary: bytes = b"", headers: dict | None = None, coding: str | None = None) -> Answer:
    """An inference request: a document (or its bytes), then the data of its binary inputs."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = dict(headers or {})
    if binary:
        headers.setdefault("Inference-Header-Content-Length", len(text))
    if coding:
        headers["Content-Encoding"] = coding
    return request(server, "POST", f"/v2/models/{quote(model, safe='')}/infer", COMPRESS[coding](text + binary), headers)


def tensor(name: str, datatype: str, shape: list, data, **parameters) -> dict:
    """An input with its data in JSON; with `data=None` it is announced in parameters."""
    made = {"name": name, "shape": shape, "datatype": datatype}
    if data is not None:
        made["data"] = data
    return made | ({"parameters": parameters} if parameters else {})


def echo(server, datatype: str, data, shape: list | None = None, **more) -> Answer:
    """Data through the identity model of a datatype; one row by default."""
    shape = [1, len(data)] if shape is None else shape
    return infer(server, f"identity_{datatype.lower()}", {"inputs": [tensor("X", datatype, shape, data)], **more})


def raw_exchange(server, sent: bytes, limit: int = 1 << 20) -> bytes:
    """Sends bytes and reads until the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=TIMEOUT_S) as connection:
        connection.sendall(sent)
        connection.settimeout(5)
        received = b""
        try:
            while len(received) < limit:
                part = connection.recv(65536)
                if not part:
                    break
                received += part
        except TimeoutError:
            pass
        return received


def ok(answer: Answer) -> dict:
    """The document of a successful JSON answer."""
    assert answer.status == 200, f"{answer.status}: {answer.body[:500]!r}"
    assert answer.headers["content-type"] == "application/json", answer.headers["content-type"]
    return answer.document()


def fault(answer: Answer, status: int, *words: str, code: str | None = None) -> dict:
    """The body of an error answer: the protocol's form, nothing leaked, these words in its message."""
    assert answer.status == status, f"{answer.status} instead of {status}: {answer.body[:500]!r}"
    # KServe's client reads `error` only of exactly this type.
    assert answer.headers["content-type"] == "application/json", answer.headers["content-type"]
    body = answer.document()
    assert isinstance(body["error"], str) and body["error"].strip(), body
    assert re.fullmatch(r"[a-z][a-z0-9_]*", body["code"]), body
    assert body["request_id"] == answer.headers["x-request-id"], (body, answer.headers)
    assert not LEAKS.search(body["error"]), body["error"]
    for word in words:
        assert word in body["error"], f"{word!r} is not in {body['error']!r}"
    if code:
        assert body["code"] == code, body
    return body
