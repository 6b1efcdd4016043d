"""What both servers are asked over REST: name -> (method, path, headers, body)."""

import gzip
import json

import numpy as np

JSON = {"Content-Type": "application/json"}
VALUES = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 4294967295],
    "UINT64": [0, 18446744073709551615],
    "INT8": [-128, 127],
    "INT16": [-32768, 32767],
    "INT32": [-2147483648, 2147483647],
    "INT64": [-9223372036854775808, 9223372036854775807],
    "FP16": [0.5, -2.0],
    "BF16": [0.5, -2.0],
    "FP32": [1.5, -2.25],
    "FP64": [1.1, -2e300],
    "BYTES": ["a", "é"],
}


def entry(datatype="FP32", data=(1.5, 2.5), shape=(1, 2), name="X", **more) -> dict:
    made = {"name": name, "shape": list(shape), "datatype": datatype, "data": data, **more}
    return {key: value for key, value in made.items() if value is not ...}


def infer(model="fp32", inputs=None, headers=JSON, path="infer", **more):
    # With an id wherever it is not the point: KServe fails on a request without one.
    document = {"id": "7", "inputs": [entry()] if inputs is None else inputs, **more}
    document = {key: value for key, value in document.items() if value is not ...}
    return "POST", f"/v2/models/identity_{model}/{path}", headers, json.dumps(document).encode()


def raw(body: bytes, headers=JSON, model="fp32"):
    return "POST", f"/v2/models/identity_{model}/infer", headers, body


def one(datatype: str, value, **more):
    """A request with one row of this value twice."""
    return infer(datatype.lower(), [entry(datatype, [value, value], **more)])


def binary(inputs, data: bytes, length=None, model="fp32", **more):
    text = json.dumps({"id": "7", "inputs": inputs, **more}).encode()
    headers = JSON | {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length or len(text))}
    return raw(text + data, headers, model)


def sized(count: int, datatype="FP32", shape=(1, 2)) -> list[dict]:
    return [entry(datatype, ..., shape, parameters={"binary_data_size": count})]


ROW = np.array([[1.5, 2.5]], "<f4").tobytes()
WORDS = b"\x01\x00\x00\x00a\x02\x00\x00\x00\xc3\xa9"

CASES = {
    "server metadata": ("GET", "/v2", {}, b""),
    "server metadata with a slash": ("GET", "/v2/", {}, b""),
    "live": ("GET", "/v2/health/live", {}, b""),
    "ready": ("GET", "/v2/health/ready", {}, b""),
    "models": ("GET", "/v2/models", {}, b""),
    "model metadata": ("GET", "/v2/models/identity_fp32", {}, b""),
    "model metadata of strings": ("GET", "/v2/models/identity_bytes", {}, b""),
    "model ready": ("GET", "/v2/models/identity_fp32/ready", {}, b""),
    "unknown model": ("GET", "/v2/models/nobody", {}, b""),
    "unknown model ready": ("GET", "/v2/models/nobody/ready", {}, b""),
    "infer on an unknown model": ("POST", "/v2/models/nobody/infer", JSON, infer()[3]),
    "version": ("GET", "/v2/models/identity_fp32/versions/1", {}, b""),
    "version ready": ("GET", "/v2/models/identity_fp32/versions/1/ready", {}, b""),
    "unknown version": ("GET", "/v2/models/identity_fp32/versions/99", {}, b""),
    "infer with GET": ("GET", "/v2/models/identity_fp32/infer", {}, b""),
    "metadata with DELETE": ("DELETE", "/v2/models/identity_fp32", {}, b""),
    "unknown path": ("GET", "/v2/nothing", {}, b""),
    **{f"json {datatype}": infer(datatype.lower(), [entry(datatype, values)]) for datatype, values in VALUES.items()},
    "nested data": infer(inputs=[entry(data=[[1.5, 2.5]])]),
    "data nested otherwise": infer(inputs=[entry(data=[[1.5], [2.5]])]),
    "two rows": infer(inputs=[entry(data=[1, 2, 3, 4], shape=(2, 2))]),
    "no rows": infer(inputs=[entry(data=[], shape=(0, 2))]),
    "too few elements": infer(inputs=[entry(data=[1.5])]),
    "too many elements": infer(inputs=[entry(data=[1, 2, 3])]),
    "ragged data": infer(inputs=[entry(data=[[1, 2], [3]], shape=(2, 2))]),
    "negative dimension": infer(inputs=[entry(shape=(-1, 2))]),
    "dimension that is no integer": infer(inputs=[entry(shape=(1.5, 2))]),
    "dimension that is a string": infer(inputs=[entry(shape=("1", 2))]),
    "input without a name": infer(inputs=[entry(name=...)]),
    "input without a shape": infer(inputs=[{"name": "X", "datatype": "FP32", "data": [1, 2]}]),
    "input without a datatype": infer(inputs=[entry(datatype=...)]),
    "input without data": infer(inputs=[entry(data=...)]),
    "lower case datatype": infer(inputs=[entry("fp32")]),
    "datatype STRING": infer("bytes", [entry("STRING", ["a", "b"])]),
    "datatype that does not exist": infer(inputs=[entry("FP31")]),
    "fraction in an integer": one("INT32", 1.5),
    "whole float in an integer": one("INT32", 1.0),
    "300 in INT8": one("INT8", 300),
    "-1 in UINT8": one("UINT8", -1),
    "2^63 in INT64": one("INT64", 1 << 63),
    "string in an integer": one("INT32", "1"),
    "boolean in an integer": one("INT32", True),
    "null in a float": one("FP32", None),
    "the string NaN in a float": one("FP32", "NaN"),
    "the string Infinity in a float": one("FP32", "-Infinity"),
    "a word in a float": one("FP32", "one"),
    "1e39 in FP32": one("FP32", 1e39),
    "number in BYTES": one("BYTES", 5),
    "2 in BOOL": one("BOOL", 2),
    "1 in BOOL": one("BOOL", 1),
    "id": infer(id="abc"),
    "number as id": infer(id=5),
    "null as id": infer(id=None),
    "no id": infer(id=...),
    "no parameters": infer(parameters=None),
    "parameters": infer(parameters={"k": 1.5, "s": "t", "b": True}),
    "unknown members": infer(anything=[1]),
    "listed output": infer(outputs=[{"name": "Y"}]),
    "empty list of outputs": infer(outputs=[]),
    "unknown output": infer(outputs=[{"name": "Z"}]),
    "no inputs": raw(b"{}"),
    "empty inputs": infer(inputs=[]),
    "unknown input": infer(inputs=[entry(name="Q")]),
    "broken JSON": raw(b'{"inputs":['),
    "empty body": raw(b""),
    "array as body": raw(b"[]"),
    "BOM": raw(b"\xef\xbb\xbf" + infer()[3]),
    "bytes that are no UTF-8": raw(b'{"id":"\xff","inputs":[]}'),
    "bare NaN": raw(b'{"id":"7","inputs":[{"name":"X","shape":[1,2],"datatype":"FP32","data":[NaN,1]}]}'),
    "no content type": infer(headers={}),
    "form content type": infer(headers={"Content-Type": "application/x-www-form-urlencoded"}),
    "gzip": raw(gzip.compress(infer()[3]), JSON | {"Content-Encoding": "gzip"}),
    "binary in": binary(sized(8), ROW),
    "binary in and out": binary(sized(8), ROW, parameters={"binary_data_output": True}),
    "binary in, listed output binary": binary(sized(8), ROW, outputs=[{"name": "Y", "parameters": {"binary_data": True}}]),
    "binary words": binary(sized(len(WORDS), "BYTES"), WORDS, model="bytes"),
    "binary FP16": binary(sized(4, "FP16"), np.array([0.5, -2], "<f2").tobytes(), model="fp16"),
    "bytes after the last input": binary(sized(8), ROW + b"more"),
    "too few binary bytes": binary(sized(8), ROW[:4]),
    "binary size that does not fit the shape": binary(sized(4), ROW[:4]),
    "header length beyond the body": binary(sized(8), ROW, length=100000),
}
