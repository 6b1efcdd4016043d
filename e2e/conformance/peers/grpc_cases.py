"""What both servers are asked over gRPC: name -> (method, message)."""

import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

FIELDS = {
    "BOOL": ("bool_contents", [True, False]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT32": ("uint_contents", [0, 4294967295]),
    "UINT64": ("uint64_contents", [0, 18446744073709551615]),
    "INT8": ("int_contents", [-128, 127]),
    "INT32": ("int_contents", [-2147483648, 2147483647]),
    "INT64": ("int64_contents", [-9223372036854775808, 9223372036854775807]),
    "FP32": ("fp32_contents", [1.5, -2.25]),
    "FP64": ("fp64_contents", [1.1, -2e300]),
    "BYTES": ("bytes_contents", [b"a", b"\xc3\xa9"]),
}


def infer(datatype="FP32", values=None, raw=None, shape=(1, 2), name="X", field=None, **more):
    contents = pb.InferTensorContents()
    if raw is None:
        default_field, default = FIELDS[datatype]
        getattr(contents, field or default_field).extend(default if values is None else values)
    entry = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if raw is None or values is not None:
        if values is not None and raw is not None:
            getattr(contents, field or FIELDS[datatype][0]).extend(values)
        entry.contents.CopyFrom(contents)
    message = pb.ModelInferRequest(**({"model_name": f"identity_{datatype.lower()}", "id": "7"} | more))
    message.inputs.append(entry)
    message.raw_input_contents.extend(raw or [])
    return "ModelInfer", message


def output(name: str):
    return pb.ModelInferRequest.InferRequestedOutputTensor(name=name)


ROW = np.array([[1.5, 2.5]], "<f4").tobytes()
WORDS = b"\x01\x00\x00\x00a\x02\x00\x00\x00\xc3\xa9"

CASES = {
    "live": ("ServerLive", pb.ServerLiveRequest()),
    "ready": ("ServerReady", pb.ServerReadyRequest()),
    "model ready": ("ModelReady", pb.ModelReadyRequest(name="identity_fp32")),
    "unknown model ready": ("ModelReady", pb.ModelReadyRequest(name="nobody")),
    "server metadata": ("ServerMetadata", pb.ServerMetadataRequest()),
    "model metadata": ("ModelMetadata", pb.ModelMetadataRequest(name="identity_fp32")),
    "unknown model metadata": ("ModelMetadata", pb.ModelMetadataRequest(name="nobody")),
    **{f"typed {datatype}": infer(datatype) for datatype in FIELDS},
    "raw FP32": infer(raw=[ROW]),
    "raw INT64": infer("INT64", raw=[np.array([1, -1], "<i8").tobytes()]),
    "raw BOOL": infer("BOOL", raw=[b"\x01\x00"]),
    "raw FP16": infer("FP16", raw=[np.array([0.5, -2], "<f2").tobytes()]),
    "raw BYTES": infer("BYTES", raw=[WORDS]),
    "300 in INT8": infer("INT8", [300, 1]),
    "-1 in INT8": infer("INT8", [-1, 1]),
    "too few elements": infer(values=[1.5]),
    "too many elements": infer(values=[1, 2, 3]),
    "values in the field of another datatype": infer(values=[1, 2], field="int_contents"),
    "more raw contents than inputs": infer(raw=[ROW, ROW]),
    "raw and typed contents": infer(values=[1.5, 2.5], raw=[ROW]),
    "raw contents that are too short": infer(raw=[ROW[:4]]),
    "negative dimension": infer(shape=(-1, 2)),
    "unknown model": infer(model_name="nobody"),
    "no model": infer(model_name=""),
    "unknown version": infer(model_version="99"),
    "no id": infer(id=""),
    "listed output": infer(raw=[ROW], outputs=[output("Y")]),
    "unknown output": infer(raw=[ROW], outputs=[output("Z")]),
    "unknown input": infer(name="Q"),
    "unknown datatype": infer("FP32", model_name="identity_fp32", raw=[ROW]),
    "no inputs": ("ModelInfer", pb.ModelInferRequest(model_name="identity_fp32")),
    "two rows": infer(values=[1, 2, 3, 4], shape=(2, 2)),
}
