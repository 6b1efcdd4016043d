"""The iris model behind FastAPI, uvicorn and ONNX Runtime, as one would write it: what the benchmarks measure Serin beside.

    python benches/fastapi/server.py --port 9000 --model examples/iris/iris.onnx

One worker, one ONNX Runtime thread, uvloop and httptools, no access log. It takes and gives the same JSON as Serin and checks less.
"""

import argparse

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

DATATYPES = {"FP32": np.float32}


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list


class InferRequest(BaseModel):
    id: str | None = None
    inputs: list[Tensor]


class InferResponse(BaseModel):
    model_name: str
    model_version: str
    id: str | None
    outputs: list[Tensor]


def app(model: str) -> FastAPI:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    server = FastAPI()

    @server.get("/v2/health/ready")
    async def ready() -> dict:
        return {"ready": True}

    # In the event loop: the model takes microseconds, a thread pool would cost more.
    @server.post("/v2/models/iris/infer")
    async def infer(request: InferRequest) -> InferResponse:
        feeds = {}
        for tensor in request.inputs:
            if tensor.datatype not in DATATYPES:
                raise HTTPException(400, f"datatype {tensor.datatype} is not served")
            feeds[tensor.name] = np.array(tensor.data, DATATYPES[tensor.datatype]).reshape(tensor.shape)
        outputs = [
            Tensor(
                name=name,
                shape=list(value.shape),
                datatype="FP32" if value.dtype == np.float32 else "BYTES",
                data=value.ravel().tolist(),
            )
            for name, value in zip(names, session.run(names, feeds))
        ]
        return InferResponse(model_name="iris", model_version="1", id=request.id, outputs=outputs)

    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True, help="where to listen on 127.0.0.1")
    parser.add_argument("--model", required=True, help="the ONNX file")
    arguments = parser.parse_args()
    uvicorn.run(app(arguments.model), host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
