"""KServe's own Python server with models that answer what they are asked: `python kserve_echo.py HTTP_PORT GRPC_PORT`."""

import sys

from kserve import InferOutput, InferResponse, Model, ModelServer

DATATYPES = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64", "BYTES"]


class Echo(Model):
    """Y is X, as the identity models of `dataplane/tests/models` have it; written as KServe's documentation writes a custom model."""

    def __init__(self, datatype: str):
        super().__init__(f"identity_{datatype.lower()}")
        self.datatype = datatype
        self.ready = True

    def tensors(self, name: str) -> list[dict]:
        return [{"name": name, "datatype": self.datatype, "shape": [-1, -1]}]

    async def get_input_types(self):
        return self.tensors("X")

    async def get_output_types(self):
        return self.tensors("Y")

    async def predict(self, payload, headers=None, response_headers=None):
        given = payload.inputs[0]
        made = InferOutput(name="Y", shape=list(given.shape), datatype=given.datatype)
        made.set_data_from_numpy(given.as_numpy(), binary_data=bool(payload.use_binary_outputs))
        return InferResponse(
            response_id=payload.id,
            model_name=self.name,
            infer_outputs=[made],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    http_port, grpc_port = map(int, sys.argv[1:])
    ModelServer(http_port=http_port, grpc_port=grpc_port, grace_period=1).start([Echo(datatype) for datatype in DATATYPES])
