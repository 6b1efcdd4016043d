"""Triton's four Python clients behind one face, so that a test is written once for all of them."""

import asyncio

import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio

KINDS = ["http", "http.aio", "grpc", "grpc.aio"]


class Client:
    """One of Triton's clients; methods of the asynchronous ones are waited for."""

    def __init__(self, kind: str, server):
        self.kind = kind
        self.is_http = kind.startswith("http")
        self.tensors = tritonclient.http if self.is_http else tritonclient.grpc
        self._loop = asyncio.new_event_loop() if kind.endswith("aio") else None
        if kind == "http":
            self.inner = tritonclient.http.InferenceServerClient(server.http, connection_timeout=30, network_timeout=30)
        elif kind == "http.aio":
            self.inner = self._waited(_open_http_aio(server.http))
        elif kind == "grpc":
            self.inner = tritonclient.grpc.InferenceServerClient(server.grpc)
        else:
            self.inner = self._waited(_open_grpc_aio(server.grpc))

    def __getattr__(self, name: str):
        method = getattr(self.inner, name)
        return lambda *args, **kwargs: self._waited(method(*args, **kwargs))

    def _waited(self, result):
        return self._loop.run_until_complete(result) if self._loop and asyncio.iscoroutine(result) else result

    def close(self) -> None:
        self._waited(self.inner.close())
        if self._loop:
            self._loop.close()

    def input(self, name: str, array, datatype: str, binary: bool = True):
        """An input holding an array; `binary` has a meaning over HTTP only."""
        made = self.tensors.InferInput(name, list(array.shape), datatype)
        if self.is_http:
            made.set_data_from_numpy(array, binary_data=binary)
        else:
            made.set_data_from_numpy(array)
        return made

    def output(self, name: str, binary: bool = True, **more):
        """A requested output."""
        if self.is_http:
            return self.tensors.InferRequestedOutput(name, binary_data=binary, **more)
        return self.tensors.InferRequestedOutput(name, **more)

    def document(self, answer):
        """The member access of an answer that gRPC gives as a message and HTTP as a dict, as a dict."""
        if isinstance(answer, (dict, list)):
            return answer
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


async def _open_http_aio(url: str):
    # aiohttp ties a session to the loop that runs while it is made.
    return tritonclient.http.aio.InferenceServerClient(url, conn_timeout=30)


async def _open_grpc_aio(url: str):
    return tritonclient.grpc.aio.InferenceServerClient(url)
