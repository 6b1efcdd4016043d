"""The KServe SDK's clients against the server: `run.py --kserve`."""

import asyncio

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig


def request(binary: bool, model: str = "identity_fp32"):
    entry = InferInput(name="X", shape=[1, 3], datatype="FP32")
    entry.set_data_from_numpy(np.array([[1.5, -2, 3]], np.float32), binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=[entry], request_id="k-1")


async def rest(server, call, protocol="v2"):
    client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=30))
    try:
        return await call(client, f"http://{server.http}")
    finally:
        await client.close()


def test_health_over_rest(server):
    async def call(client, url):
        return await client.is_server_live(url), await client.is_server_ready(url), await client.is_model_ready(url, "linear")

    assert asyncio.run(rest(server, call)) == (True, True, True)


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_inference_over_rest(server, binary):
    answer = asyncio.run(rest(server, lambda client, url: client.infer(url, request(binary), model_name="identity_fp32")))
    assert answer.id == "k-1" and answer.outputs[0].as_numpy().tolist() == [[1.5, -2, 3]]


def test_non_finite_values_over_rest(server):
    async def call(client, url):
        entry = InferInput(name="X", shape=[1, 3], datatype="FP32", data=["NaN", "-Infinity", 1])
        return await client.infer(url, InferRequest(model_name="identity_fp32", infer_inputs=[entry]), model_name="identity_fp32")

    got = asyncio.run(rest(server, call)).outputs[0].as_numpy()
    assert np.array_equal(got, [[np.nan, -np.inf, 1]], equal_nan=True)


def test_an_error_keeps_its_text_over_rest(server):
    with pytest.raises(Exception) as failure:
        asyncio.run(rest(server, lambda client, url: client.infer(url, request(False, "nobody"), model_name="nobody")))
    assert "nobody" in str(failure.value)


def test_everything_over_the_first_protocol(server):
    async def call(client, url):
        health = await client.is_server_live(url), await client.is_model_ready(url, "linear")
        return health, await client.infer(url, {"instances": [[1, 2, 3, 4], [0, 0, 0, 0.5]]}, model_name="linear")

    health, answer = asyncio.run(rest(server, call, "v1"))
    assert health == (True, True)
    assert answer == {"predictions": [[10, -1, 41], [0.5, 0, 6]]}


def test_an_error_keeps_its_text_over_the_first_protocol(server):
    async def call(client, url):
        return await client.infer(url, {"instances": [[1, 2]]}, model_name="linear")

    with pytest.raises(Exception, match="shape"):
        asyncio.run(rest(server, call, "v1"))


def test_everything_over_grpc(server):
    async def run():
        client = InferenceGRPCClient(server.grpc)
        try:
            health = await client.is_server_live(), await client.is_server_ready(), await client.is_model_ready("linear")
            return health, [await client.infer(request(binary)) for binary in (False, True)]
        finally:
            await client.close()

    health, answers = asyncio.run(run())
    assert health == (True, True, True)
    for answer in answers:
        assert answer.outputs[0].as_numpy().tolist() == [[1.5, -2, 3]]
