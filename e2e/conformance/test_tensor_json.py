"""Tensor data in JSON: what is taken, what is refused, and what comes back (all fourteen datatypes, without a client)."""

import base64
import struct

import numpy as np
import pytest

from tensors import DATATYPES, DTYPES, FLOATS, INTEGERS, TEXTS, edges
from wire import echo, fault, infer, ok, tensor


def output(answer) -> list:
    """The data of the only output."""
    [only] = ok(answer)["outputs"]
    return only["data"]


def in_json(datatype: str) -> list:
    """The edge values as JSON has them."""
    if datatype == "BYTES":
        return TEXTS
    return [value.item() if datatype != "BF16" else float(value) for value in edges(datatype)]


@pytest.mark.parametrize("datatype", DATATYPES)
def test_edge_values_survive_json_in_and_out(server, datatype):
    sent = in_json(datatype)
    got = output(echo(server, datatype, sent))
    if datatype in FLOATS:
        as_bytes = [np.array(values, DTYPES[datatype]).tobytes() for values in (got, sent)]
        assert as_bytes[0] == as_bytes[1], (got, sent)
    else:
        assert got == sent


@pytest.mark.parametrize("datatype", DATATYPES)
def test_edge_values_in_binary_come_out_as_numbers(server, datatype):
    array = edges(datatype)
    data = b"".join(struct.pack("<I", len(one)) + one for one in array) if datatype == "BYTES" else array.tobytes()
    document = {"inputs": [tensor("X", datatype, [1, len(array)], None, binary_data_size=len(data))]}
    got = output(infer(server, f"identity_{datatype.lower()}", document, data))
    if datatype in FLOATS:
        assert np.array(got, DTYPES[datatype]).tobytes() == array.tobytes(), got
    else:
        assert got == in_json(datatype)


@pytest.mark.parametrize("datatype", INTEGERS)
def test_an_integer_beyond_its_type_is_refused(server, datatype):
    limits = np.iinfo(DTYPES[datatype])
    for value in (int(limits.max) + 1, int(limits.min) - 1, 10**30, -(10**30)):
        fault(echo(server, datatype, [value]), 400, "'X'", "out of range")


@pytest.mark.parametrize("datatype", INTEGERS)
def test_an_integer_written_with_a_zero_fraction_is_one(server, datatype):
    document = f'{{"inputs":[{{"name":"X","shape":[1,4],"datatype":"{datatype}","data":[1.0,1e1,10E-1,-0.0]}}]}}'
    assert output(infer(server, f"identity_{datatype.lower()}", document.encode())) == [1, 10, 1, 0]


@pytest.mark.parametrize("datatype", INTEGERS)
@pytest.mark.parametrize("value", [1.5, True, "1", None, {}], ids=repr)
def test_what_is_no_integer_is_refused(server, datatype, value):
    fault(echo(server, datatype, [value]), 400, "'X'")


@pytest.mark.parametrize("text,exact", [("9223372036854775807", 2**63 - 1), ("9223372036854775807.0", 2**63 - 1), ("-9223372036854775808", -(2**63))])
def test_large_integers_never_pass_through_a_float(server, text, exact):
    document = f'{{"inputs":[{{"name":"X","shape":[1,1],"datatype":"INT64","data":[{text}]}}]}}'
    answer = infer(server, "identity_int64", document.encode())
    if answer.status == 200:
        assert output(answer) == [exact]
    else:
        assert "." in text, answer.body
        fault(answer, 400)


@pytest.mark.parametrize("datatype", FLOATS)
def test_non_finite_values_are_three_strings(server, datatype):
    assert output(echo(server, datatype, ["NaN", "Infinity", "-Infinity", 1])) == ["NaN", "Infinity", "-Infinity", 1]


@pytest.mark.parametrize("datatype,value", [("FP16", 65520), ("BF16", 3.4e38), ("FP32", 3.5e38), ("FP32", -1e300)])
def test_a_finite_value_that_overflows_is_refused(server, datatype, value):
    fault(echo(server, datatype, [value]), 400, "'X'", "out of range")


@pytest.mark.parametrize("datatype", FLOATS)
@pytest.mark.parametrize("value", ["nan", "inf", "1", "", True, None, []], ids=repr)
def test_what_is_no_float_is_refused(server, datatype, value):
    fault(echo(server, datatype, [value], shape=[1, 1]), 400)


@pytest.mark.parametrize("datatype,text,bits", [("FP16", "2049", 0x6800), ("FP16", "2051", 0x6802), ("BF16", "257", 0x4380), ("BF16", "259", 0x4382)])
def test_halfway_values_round_to_even(server, datatype, text, bits):
    document = f'{{"inputs":[{{"name":"X","shape":[1,1],"datatype":"{datatype}","data":[{text}]}}],"parameters":{{"binary_data_output":true}}}}'
    _, data = infer(server, f"identity_{datatype.lower()}", document.encode()).split()
    assert int.from_bytes(data, "little") == bits


def test_booleans_are_true_false_zero_and_one(server):
    assert output(echo(server, "BOOL", [True, False, 1, 0])) == [True, False, True, False]
    for value in (2, -1, 1.0, "true", None):
        fault(echo(server, "BOOL", [value]), 400, "'X'")


def test_a_boolean_in_binary_is_the_byte_0_or_1(server):
    document = {"inputs": [tensor("X", "BOOL", [1, 2], None, binary_data_size=2)]}
    fault(infer(server, "identity_bool", document, b"\1\2"), 400, "'X'")


def test_strings_are_strings_and_nothing_else(server):
    for value in (5, 1.5, True, None, {}, []):
        fault(echo(server, "BYTES", [value], shape=[1, 1]), 400)


def test_base64_strings_become_bytes(server):
    elements = [b"\xff\x00", b"hi", b""]
    data = [base64.b64encode(one).decode() for one in elements]
    document = {
        "inputs": [tensor("X", "BYTES", [1, 3], data, content_type="base64")],
        "outputs": [{"name": "Y", "parameters": {"binary_data": True}}],
    }
    _, binary = infer(server, "identity_bytes", document).split()
    assert binary == b"".join(struct.pack("<I", len(one)) + one for one in elements)
    document["inputs"][0]["data"] = ["no base64!"]
    document["inputs"][0]["shape"] = [1, 1]
    fault(infer(server, "identity_bytes", document), 400, "base64")


def test_flat_and_nested_data_are_the_same_and_the_answer_is_flat(server):
    for data in ([1, 2, 3, 4], [[1, 2], [3, 4]], [[1, 2, 3, 4]], [[[1], [2]], [[3], [4]]]):
        assert output(echo(server, "FP32", data, shape=[2, 2])) == [1, 2, 3, 4]


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1, 2], 3], [1, [2, 3]], [[1], [[2]]], [[], [1, 2, 3, 4]]], ids=str)
def test_ragged_data_is_refused(server, data):
    fault(echo(server, "FP32", data, shape=[2, 2]), 400, "'X'")


def test_a_bare_value_is_one_element(server):
    assert output(infer(server, "scalar_input", {"inputs": [tensor("X", "FP32", [], 3)]})) == [6]
    assert output(infer(server, "scalar_input", {"inputs": [tensor("X", "FP32", [], [3])]})) == [6]
    assert output(echo(server, "FP32", 3, shape=[1, 1])) == [3]
    fault(echo(server, "FP32", 3, shape=[1, 2]), 400, "expected 2", "got 1")


def test_no_elements_are_an_empty_list(server):
    assert output(echo(server, "FP32", [], shape=[0, 3])) == []
    fault(echo(server, "FP32", [1], shape=[0, 3]), 400, "expected 0", "got 1")


@pytest.mark.parametrize("shape", [[-1, 1], [1.0, 1], ["1", 1], [None, 1], [True, 1], 1, "1", {}, None], ids=repr)
def test_a_shape_is_a_list_of_integers_from_zero(server, shape):
    fault(echo(server, "FP32", [1], shape=shape or [shape]), 400)


@pytest.mark.parametrize("shape", [[2**62, 4], [2**63, 1], [2**63 - 1, 2**63 - 1], [10**30, 1]], ids=str)
def test_a_shape_that_overflows_is_refused(server, shape):
    fault(echo(server, "FP32", [1], shape=shape), 400)


@pytest.mark.parametrize("name", ["fp32", "Fp32", "FP32"])
def test_datatypes_are_read_in_any_case_and_written_in_upper_case(server, name):
    answer = infer(server, "identity_fp32", {"inputs": [tensor("X", name, [1, 1], [1])]})
    assert ok(answer)["outputs"][0]["datatype"] == "FP32"


@pytest.mark.parametrize("name", ["STRING", "FLOAT32", "FP8", "", "TYPE_FP32"])
def test_other_names_are_no_datatypes(server, name):
    fault(infer(server, "identity_fp32", {"inputs": [tensor("X", name, [1, 1], [1])]}), 400)


def test_members_may_come_in_any_order(server):
    document = b'{"outputs":[{"name":"Y"}],"inputs":[{"data":[[1,2]],"shape":[1,2],"datatype":"FP32","name":"X"}],"id":"z"}'
    assert ok(infer(server, "identity_fp32", document))["id"] == "z"


def test_odd_names_of_tensors_are_kept(server):
    names = ["0", "serving/input:0", "it's \"quoted\"", "back\\slash {brace} Größe"]
    document = {"inputs": [tensor(name, "FP32", [1], [place]) for place, name in enumerate(names)]}
    outputs = ok(infer(server, "odd_names", document))["outputs"]
    assert [one["name"] for one in outputs] == ["1", "serving/output:0", "\"it's\" quoted", "\\n is no newline"]
    assert [one["data"] for one in outputs] == [[0], [2], [4], [6]]
