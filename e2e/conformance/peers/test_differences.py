"""The same requests to KServe's server and to ours: `run.py --peers`. Only known differences are allowed, and each must be one."""

import pytest

import ask
import differences
import grpc_cases
import rest_cases


def compare(name: str, ours: dict, theirs: dict, known: dict):
    if name in known:
        row, why = known[name]
        assert ours != theirs, f"both answer {ours}: row {row} ({why}) is no difference here any more"
    else:
        assert ours == theirs, "a difference that is in no row of the table"


@pytest.mark.parametrize("name", rest_cases.CASES)
def test_rest(name, serin, kserve):
    case = rest_cases.CASES[name]
    compare(name, ask.rest(serin.http_port, *case), ask.rest(kserve.http_port, *case), differences.REST)


@pytest.mark.parametrize("name", grpc_cases.CASES)
def test_grpc(name, serin, kserve):
    case = grpc_cases.CASES[name]
    compare(name, ask.call(serin.grpc_port, *case), ask.call(kserve.grpc_port, *case), differences.GRPC)


@pytest.mark.parametrize("name", rest_cases.CASES)
def test_our_server_never_fails(name, serin):
    assert ask.rest(serin.http_port, *rest_cases.CASES[name])["status"] < 500


def test_there_are_enough_cases_and_every_known_difference_has_one():
    assert len(rest_cases.CASES) >= 70 and len(grpc_cases.CASES) >= 25
    assert differences.REST.keys() <= rest_cases.CASES.keys()
    assert differences.GRPC.keys() <= grpc_cases.CASES.keys()
