"""What the training scripts share: the manifests around a model file, requests with their answers, and `--check`."""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

# File contents by path below an example's folder.
Files = dict[str, bytes]


@dataclass(frozen=True)
class Release:
    """One version of one example's service: the model and where its files go."""

    service: str
    version: str
    # Folder of the manifests below the example's folder: "." or "v2".
    folder: str
    config_map: str

    @property
    def key(self) -> str:
        return f"{self.service}.onnx"

    def path(self, name: str) -> str:
        return name if self.folder == "." else f"{self.folder}/{name}"


def manifests(release: Release, model: bytes, script: str) -> Files:
    """The two manifests that serve this model. The digest in one is that of the file in the other."""
    digest = hashlib.sha256(model).hexdigest()
    service = f"""# Made by {script}, which writes the digest.
apiVersion: serin.dev/v1alpha1
kind: InferenceService
metadata:
  name: {release.service}
spec:
  model:
    version: "{release.version}"
    source:
      uri: configmap://{release.config_map}/{release.key}
      digest: sha256:{digest}
  replicas: 1
  resources:
    requests:
      cpu: 100m
      memory: 96Mi
    limits:
      cpu: "1"
      memory: 256Mi
"""
    config_map = f"""# Made by {script}: the {len(model)} bytes of {release.key}, so that no other storage is needed.
apiVersion: v1
kind: ConfigMap
metadata:
  name: {release.config_map}
binaryData:
  {release.key}: {base64.b64encode(model).decode()}
"""
    return {
        release.path("inferenceservice.yaml"): service.encode(),
        release.path("model-configmap.yaml"): config_map.encode(),
    }


def session(model: bytes) -> ort.InferenceSession:
    """The model in ONNX Runtime, on one thread: the number of threads changes the last digits."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def request(name: str, tensor: str, rows: np.ndarray) -> bytes:
    """The body of an inference request for these FP32 rows."""
    inputs = [{"name": tensor, "shape": list(rows.shape), "datatype": "FP32", "data": numbers(rows)}]
    return as_json({"id": name, "inputs": inputs})


def answer(release: Release, name: str, model: bytes, rows: np.ndarray) -> bytes:
    """The body that answers the request of this name."""
    datatypes = {"tensor(float)": "FP32", "tensor(int64)": "INT64", "tensor(string)": "BYTES"}
    opened = session(model)
    values = opened.run(None, {opened.get_inputs()[0].name: rows})
    outputs = [
        {"name": meta.name, "shape": list(value.shape), "datatype": datatypes[meta.type], "data": numbers(value)}
        for meta, value in zip(opened.get_outputs(), values, strict=True)
    ]
    return as_json({"model_name": release.service, "model_version": release.version, "id": name, "outputs": outputs})


def numbers(values: np.ndarray) -> list:
    """Row-major; an FP32 as the shortest number that reads back as the same FP32."""
    if values.dtype == np.float32:
        return [short(value) for value in values.ravel()]
    return values.ravel().tolist()


def short(value: np.float32) -> float | int:
    number = float(str(value))
    return int(number) if number.is_integer() else number


def as_json(body: dict) -> bytes:
    """Each member of a tensor on a line of its own, however long its data."""
    tensors = "inputs" if "inputs" in body else "outputs"
    head = {key: value for key, value in body.items() if key != tensors}
    lines = [
        "    {" + ",\n     ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in tensor.items()) + "}"
        for tensor in body[tensors]
    ]
    text = json.dumps(head, indent=2).removesuffix("\n}") + f',\n  "{tensors}": [\n' + ",\n".join(lines) + "\n  ]\n}\n"
    return text.encode()


def same(committed: bytes, made: bytes) -> bool:
    """Equal bytes, or JSON that differs only by what another processor rounds otherwise."""
    return committed == made or (made[:1] == b"{" and close(json.loads(committed), json.loads(made)))


def close(a, b) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return bool(np.isclose(a, b, rtol=1e-4, atol=1e-6))
    return a == b


def difference_between(differs: Callable[[bytes, bytes], str | None], committed: bytes, trained: bytes) -> str | None:
    """What `differs` says, or why it cannot say it: a committed file may be no such model at all."""
    try:
        return differs(committed, trained)
    except Exception as error:
        return f"the committed file cannot be run like it: {error}"


def main(
    description: str,
    folder: Path,
    train: Callable[[], Files],
    derive: Callable[[Files], Files],
    differs: Callable[[bytes, bytes], str | None],
) -> None:
    """Writes the example, or with `--check` compares it with what is committed.

    `train` makes the model files, `derive` makes every other file from them, and `differs` says how two models predict
    differently: another processor or BLAS may round training otherwise, which is no drift as long as predictions agree.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a committed file is not what this script makes")
    arguments = parser.parse_args()
    models = train()
    if not arguments.check:
        files = models | derive(models)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            print(f"wrote {name}: {len(data)} bytes, sha256:{hashlib.sha256(data).hexdigest()}")
        return
    found, committed = [], {}
    for name, data in models.items():
        if not (folder / name).exists():
            sys.exit(f"{name} is missing; cure: run this script without --check")
        committed[name] = (folder / name).read_bytes()
        if committed[name] == data:
            print(f"{name}: the same bytes")
        elif difference := difference_between(differs, committed[name], data):
            found.append(f"{name}: a model trained now predicts otherwise: {difference}")
        else:
            print(f"{name}: other bytes, the same predictions")
    # What surrounds a model that has drifted is not worth comparing.
    surroundings = {} if found else derive(committed)
    for name, data in surroundings.items():
        path = folder / name
        if not path.exists():
            found.append(f"{name} is missing")
        elif not same(path.read_bytes(), data):
            found.append(f"{name} does not fit the committed model")
        else:
            print(f"{name}: fits the committed model")
    if found:
        sys.exit("\n".join([*found, "cure: run this script without --check, with the packages of examples/requirements.txt"]))
