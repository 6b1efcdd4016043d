"""Rules of the gRPC protocol that tritonclient does not reach: typed contents, the form of answers, deadlines."""

import time

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from grpcwire import TIMEOUT_S, message, refused
from serving import until
from tensors import DATATYPES, edges

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
EVERY_FIELD = sorted(set(FIELDS.values()))
ROW = ("X", "FP32", [1, 4], {"fp32_contents": [1, 2, 3, 4]})
RAW_ROW = np.array([1, 2, 3, 4], np.float32).tobytes()


def typed(datatype: str, values: list, field: str | None = None, **parameters):
    """One row of typed contents for the identity model of a datatype."""
    contents = {field or FIELDS[datatype]: values}
    return message(f"identity_{datatype.lower()}", ("X", datatype, [1, len(values)], contents), **parameters)


def infer(rpc, request_message):
    return rpc.ModelInfer(request_message, timeout=TIMEOUT_S)


@pytest.mark.parametrize("datatype", FIELDS)
def test_typed_contents_are_echoed_typed(rpc, datatype):
    array = edges(datatype)
    answer = infer(rpc, typed(datatype, array.tolist()))
    [output] = answer.outputs
    got = list(getattr(output.contents, FIELDS[datatype]))
    if datatype in ("FP32", "FP64"):
        assert np.array(got, array.dtype).tobytes() == array.tobytes()
    else:
        assert got == array.tolist()
    assert (output.datatype, list(output.shape)) == (datatype, [1, len(array)]) and not answer.raw_output_contents
    others = [field for field in EVERY_FIELD if field != FIELDS[datatype] and len(getattr(output.contents, field))]
    assert not others


@pytest.mark.parametrize("datatype", FIELDS)
def test_only_the_field_of_the_datatype_may_be_filled(rpc, datatype):
    for field in EVERY_FIELD:
        if field != FIELDS[datatype]:
            value = b"1" if field == "bytes_contents" else True if field == "bool_contents" else 1
            refused(lambda: infer(rpc, typed(datatype, [value], field)), INVALID, "'X'", field, f"send them in {FIELDS[datatype]}")


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
@pytest.mark.parametrize("field", ["fp32_contents", "uint_contents", "bytes_contents"])
def test_sixteen_bit_floats_have_no_typed_form(rpc, datatype, field):
    value = b"\0\0" if field == "bytes_contents" else 1
    refused(lambda: infer(rpc, typed(datatype, [value], field)), INVALID, "'X'", "raw_input_contents")


@pytest.mark.parametrize("datatype", FIELDS)
def test_typed_contents_are_counted(rpc, datatype):
    value = edges(datatype).tolist()[0]
    for count in (1, 3):
        request_message = message(f"identity_{datatype.lower()}", ("X", datatype, [1, 2], {FIELDS[datatype]: [value] * count}))
        refused(lambda: infer(rpc, request_message), INVALID, "'X'", "expected 2", f"got {count}")


@pytest.mark.parametrize("datatype,low,high", [("INT8", -129, 128), ("INT16", -32769, 32768), ("UINT8", None, 256), ("UINT16", None, 65536)])
def test_small_integers_are_checked_for_their_range(rpc, datatype, low, high):
    for value in (low, high):
        if value is not None:
            refused(lambda: infer(rpc, typed(datatype, [value])), INVALID, "'X'", str(value))


def test_no_elements_travel_in_both_forms(rpc):
    answer = infer(rpc, message("identity_fp32", ("X", "FP32", [0, 3], {})))
    assert list(answer.outputs[0].shape) == [0, 3]
    answer = infer(rpc, message("identity_fp32", ("X", "FP32", [0, 3], None), raw=[b""]))
    assert list(answer.outputs[0].shape) == [0, 3] and list(answer.raw_output_contents) == [b""]


def test_the_form_of_the_answer_can_be_asked_for(rpc):
    answer = infer(rpc, message("linear", ROW, binary_data_output=True))
    assert len(answer.raw_output_contents) == 1 and not answer.outputs[0].HasField("contents")
    answer = infer(rpc, message("linear", ("X", "FP32", [1, 4], None), raw=[RAW_ROW], binary_data_output=False))
    assert list(answer.outputs[0].contents.fp32_contents) == [10, -1, 41] and not answer.raw_output_contents


@pytest.mark.parametrize("raw", [[RAW_ROW, RAW_ROW], [RAW_ROW] * 3], ids=len)
def test_raw_contents_are_as_many_as_the_inputs(rpc, raw):
    refused(lambda: infer(rpc, message("linear", ("X", "FP32", [1, 4], None), raw=raw)), INVALID, "raw_input_contents", str(len(raw)))


def test_an_input_has_raw_or_typed_contents_and_not_both(rpc):
    refused(lambda: infer(rpc, message("linear", ROW, raw=[RAW_ROW])), INVALID, "'X'")


def test_bytes_elements_are_counted_and_bounded(rpc):
    for raw in (b"\x01\0\0", b"\x02\0\0\0a", b"\x01\0\0\0aX", b"\xff\xff\xff\xffa", b""):
        refused(lambda: infer(rpc, message("identity_bytes", ("X", "BYTES", [1, 1], None), raw=[raw])), INVALID, "'X'")


def test_a_sixteen_bit_output_makes_the_whole_answer_raw(rpc):
    request_message = message("identity_fp16", ("X", "FP16", [1, 1], None), raw=[b"\x00\x3c"], binary_data_output=False)
    answer = infer(rpc, request_message)
    assert list(answer.raw_output_contents) == [b"\x00\x3c"] and not answer.outputs[0].HasField("contents")


def test_the_version_that_ran_is_named(rpc):
    flower = ("measurements", "FP32", [1, 4], {"fp32_contents": [5.1, 3.5, 1.4, 0.2]})
    for version in ("1", "2"):
        assert infer(rpc, message("iris", flower, version=version)).model_version == version
    assert infer(rpc, message("iris", flower)).model_version in ("1", "2")


def test_parameters_of_other_types_are_taken(rpc):
    request_message = message("linear", ROW, mine="text", count=3, ratio=0.5, flag=True)
    request_message.parameters["unset"].SetInParent()
    request_message.parameters["priority"].uint64_param = 1
    infer(rpc, request_message)


@pytest.mark.parametrize("name,field,value", [("timeout", "string_param", "5"), ("timeout", "int64_param", -1), ("priority", "int64_param", -1), ("priority", "string_param", "1")])
def test_a_reserved_parameter_of_the_wrong_type_is_refused(rpc, name, field, value):
    request_message = message("linear", ROW)
    setattr(request_message.parameters[name], field, value)
    refused(lambda: infer(rpc, request_message), INVALID, name)


def test_metadata_names_an_unknown_model(rpc):
    request_message = service_pb2.ModelMetadataRequest(name="nobody")
    refused(lambda: rpc.ModelMetadata(request_message, timeout=TIMEOUT_S), grpc.StatusCode.NOT_FOUND, "nobody")


def test_a_deadline_ends_the_work(server, rpc):
    before = time.monotonic()
    request_message = message("slow", ("steps", "INT64", [1, 1], {"int64_contents": [50_000]}))
    with pytest.raises(grpc.RpcError) as failure:
        rpc.ModelInfer(request_message, timeout=0.3)
    assert failure.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - before < 5
    until(lambda: server.metric("serin_requests_in_flight", model="slow") == 0, 5, "the slot is free")


def test_a_deadline_that_has_passed_is_answered_without_compute(server, rpc):
    until(lambda: server.metric("serin_requests_in_flight", model="slow") == 0, 10, "the model is idle")
    before = server.metric("serin_executions_total", model="slow")
    request_message = message("slow", ("steps", "INT64", [1, 1], {"int64_contents": [1]}), timeout=1)
    refused(lambda: infer(rpc, request_message), grpc.StatusCode.DEADLINE_EXCEEDED)
    assert server.metric("serin_executions_total", model="slow") == before


def test_metrics_carry_the_name_of_the_status(server, rpc):
    def counted() -> float:
        return server.metric("serin_requests_total", model="linear", protocol="grpc", code="INVALID_ARGUMENT")

    before = counted()
    refused(lambda: infer(rpc, message("linear", ROW, raw=[RAW_ROW])), INVALID)
    until(lambda: counted() > before, 5, "the refusal is counted")


def test_a_message_of_32_mib_passes_both_ways(rpc):
    data = np.arange(8 << 20, dtype=np.float32).tobytes()
    answer = infer(rpc, message("identity_fp32", ("X", "FP32", [1, 8 << 20], None), raw=[data]))
    assert answer.raw_output_contents[0] == data


def test_a_message_that_is_no_protobuf_is_refused(channel):
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    with pytest.raises(grpc.RpcError) as failure:
        call(b"\xff\xff\xff", timeout=TIMEOUT_S)
    assert failure.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)


def test_shared_memory_is_unimplemented(rpc):
    request_message = message("linear", ("X", "FP32", [1, 4], None))
    request_message.inputs[0].parameters["shared_memory_region"].string_param = "r"
    refused(lambda: infer(rpc, request_message), grpc.StatusCode.UNIMPLEMENTED)
    for method, kind in (
        ("SystemSharedMemoryStatus", service_pb2.SystemSharedMemoryStatusRequest),
        ("CudaSharedMemoryStatus", service_pb2.CudaSharedMemoryStatusRequest),
    ):
        with pytest.raises(grpc.RpcError) as failure:
            getattr(rpc, method)(kind(), timeout=TIMEOUT_S)
        assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_every_datatype_has_a_typed_field_or_none():
    assert set(DATATYPES) - set(FIELDS) == {"FP16", "BF16"}
