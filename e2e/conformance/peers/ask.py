"""Asks a server one case and puts the answer into the terms that two servers can be compared in."""

import http.client
import json
from urllib.parse import urlsplit

import grpc
import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

TIMEOUT_S = 30
WIDTHS = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
# Members of documents that say who a server is, or that the protocol leaves to it.
IDENTITY = {"name", "version", "extensions", "platform", "versions", "properties", "parameters"}


def words(raw: bytes) -> list[str]:
    found = []
    while raw:
        length = int.from_bytes(raw[:4], "little")
        found.append(repr(raw[4 : 4 + length]))
        raw = raw[4 + length :]
    return found


def from_raw(datatype: str, raw: bytes) -> list[str]:
    if datatype == "BYTES":
        return words(raw)
    if datatype not in WIDTHS:
        return [raw.hex()]
    return [repr(value.item()) for value in np.frombuffer(raw, WIDTHS[datatype])]


def from_json(datatype: str, data: list) -> list[str]:
    """The values as the datatype holds them: servers may write 0.5 or 0.50000001."""
    if datatype == "BYTES":
        return [repr(value.encode()) for value in data]
    if datatype not in WIDTHS:
        return [repr(value) for value in data]
    special = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
    return [
        repr(np.array(special.get(value, value) if isinstance(value, str) else value, WIDTHS[datatype]).item()) for value in data
    ]


def tensor(name: str, datatype: str, shape, values: list[str]) -> tuple:
    return name, datatype, list(shape), values


def shown_id(found: str | None) -> str:
    """Which id a server makes up is its own business."""
    return found if found in ("7", "abc") else "made up" if found else "none"


def outputs_of(document: dict, binary: bytes) -> list[tuple]:
    found = []
    for entry in document["outputs"]:
        size = (entry.get("parameters") or {}).get("binary_data_size")
        if size is None:
            values = from_json(entry["datatype"], entry["data"])
        else:
            values, binary = from_raw(entry["datatype"], binary[:size]), binary[size:]
        found.append(tensor(entry["name"], entry["datatype"], entry["shape"], values))
    return found


def rest(port: int, method: str, path: str, headers: dict, body: bytes) -> dict:
    """Status, the form of the body, and what it says; a redirection is followed, as clients do."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body or None, {"Accept-Encoding": "identity", **headers})
        response = connection.getresponse()
        status, got = response.status, response.read()
        length = response.getheader("Inference-Header-Content-Length")
        elsewhere = response.getheader("Location")
    finally:
        connection.close()
    if status in (307, 308):
        return rest(port, method, urlsplit(elsewhere).path, headers, body)
    split = len(got) if length is None else int(length)
    try:
        document = json.loads(got[:split])
    except ValueError:
        return {"status": status, "body": "no JSON" if got else "empty"}
    answer = {"status": status}
    if status >= 400:
        answer["body"] = "error text" if isinstance(document.get("error"), str) else "other error"
    elif "outputs" in document and "model_name" in document:
        answer["body"] = "tensors" if length is None else "tensors, binary"
        answer["outputs"] = outputs_of(document, got[split:])
        answer["id"] = shown_id(document.get("id"))
    else:
        answer["body"] = "document"
        answer["says"] = {key: value for key, value in document.items() if key not in IDENTITY and value is not None}
    return answer


FIELD_OF = {"BOOL": "bool", "UINT64": "uint64", "INT64": "int64", "FP32": "fp32", "FP64": "fp64", "BYTES": "bytes"}


def typed(entry) -> list[str]:
    kind = FIELD_OF.get(entry.datatype) or ("uint" if entry.datatype.startswith("U") else "int")
    values = getattr(entry.contents, f"{kind}_contents")
    return [repr(value) for value in values]


def call(port: int, method: str, message) -> dict:
    """Status name, and what the answer says."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            got = getattr(grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel), method)(message, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return {"status": error.code().name}
    answer = {"status": "OK"}
    if method == "ModelInfer":
        raw = list(got.raw_output_contents)
        answer["body"] = "raw" if raw else "typed"
        answer["id"] = shown_id(got.id)
        answer["outputs"] = [
            tensor(entry.name, entry.datatype, entry.shape, from_raw(entry.datatype, raw[at]) if raw else typed(entry))
            for at, entry in enumerate(got.outputs)
        ]
    else:
        answer["says"] = sorted(str(value) for field, value in got.ListFields() if field.name not in IDENTITY)
    return answer
