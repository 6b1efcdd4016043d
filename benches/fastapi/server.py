"""The iris model behind FastAPI, uvicorn and ONNX Runtime: what the benchmarks measure Serin beside.

    python benches/fastapi/server.py --port 9000 --model examples/iris/iris.onnx
    python benches/fastapi/server.py --port 9000 --model examples/iris/iris.onnx --plain

One worker, uvloop and httptools. It takes and gives the same JSON as Serin and checks less. Made as quick as it gets: the model runs in the event loop, on one ONNX
Runtime thread, and nothing is logged. With --plain as FastAPI's documentation has it: a `def` endpoint, which runs in the thread pool because it blocks, uvicorn's access log,
and ONNX Runtime's own choice of threads.
"""

import argparse
import logging

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


def app(model: str, plain: bool) -> FastAPI:
    options = ort.SessionOptions()
    if not plain:
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    server = FastAPI()

    @server.get("/v2/health/ready")
    async def ready() -> dict:
        return {"ready": True}

    def answer(request: InferRequest) -> InferResponse:
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

    if plain:

        @server.post("/v2/models/iris/infer")
        def infer(request: InferRequest) -> InferResponse:
            return answer(request)

    else:
        # In the event loop: the model takes microseconds, a thread pool costs more.
        @server.post("/v2/models/iris/infer")
        async def infer(request: InferRequest) -> InferResponse:
            return answer(request)

    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True, help="where to listen on 127.0.0.1")
    parser.add_argument("--model", required=True, help="the ONNX file")
    parser.add_argument("--plain", action="store_true", help="as the documentation has it, not as quick as it gets")
    arguments = parser.parse_args()
    server = app(arguments.model, arguments.plain)
    level = "info" if arguments.plain else "warning"
    config = uvicorn.Config(server, host="127.0.0.1", port=arguments.port, log_level=level, access_log=arguments.plain)
    # The requests are logged; that it starts and stops is not told among the benchmark's own lines.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
