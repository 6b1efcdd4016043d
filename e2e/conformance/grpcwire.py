"""gRPC without a client's habits: messages are built by hand, on Triton's own stubs."""

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from wire import LEAKS

TIMEOUT_S = 30


def stub(channel: grpc.Channel) -> service_pb2_grpc.GRPCInferenceServiceStub:
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def message(model: str, *inputs: tuple, raw: list[bytes] | None = None, outputs=(), version: str = "", **parameters) -> service_pb2.ModelInferRequest:
    """A request. An input is (name, datatype, shape, typed contents or None); values of `raw` are its raw contents."""
    made = service_pb2.ModelInferRequest(model_name=model, model_version=version, raw_input_contents=raw or [])
    for name, datatype, shape, contents in inputs:
        entry = made.inputs.add(name=name, datatype=datatype, shape=shape)
        if contents is not None:
            entry.contents.CopyFrom(service_pb2.InferTensorContents(**contents))
    for name in outputs:
        made.outputs.add(name=name)
    for name, value in parameters.items():
        field = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[type(value)]
        setattr(made.parameters[name], field, value)
    return made


def refused(call, code: grpc.StatusCode, *words: str) -> grpc.RpcError:
    """The call fails with this status, and its message has these words and leaks nothing."""
    with pytest.raises(grpc.RpcError) as failure:
        call()
    error = failure.value
    assert error.code() == code, f"{error.code()} instead of {code}: {error.details()}"
    assert error.details() and not LEAKS.search(error.details()), error.details()
    for word in words:
        assert word in error.details(), f"{word!r} is not in {error.details()!r}"
    return error
