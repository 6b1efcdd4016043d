"""A collector of traces that decodes what it is sent with OpenTelemetry's own messages."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from serving import until

DELIVERY_LIMIT_S = 20


@dataclass
class Span:
    """One span and what describes the process that made it."""

    message: object
    resource: dict

    @property
    def attributes(self) -> dict:
        return values(self.message.attributes)

    @property
    def trace_id(self) -> str:
        return self.message.trace_id.hex()

    @property
    def span_id(self) -> str:
        return self.message.span_id.hex()

    @property
    def parent_id(self) -> str:
        return self.message.parent_span_id.hex()


def values(attributes) -> dict:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}


@dataclass
class Collector:
    """Listens on a free port; `answers` are the statuses to give before it takes anything."""

    answers: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    requests: int = 0

    def __post_init__(self):
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.take(self.path, self.headers["Content-Type"], body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, content_type: str, body: bytes) -> int:
        self.requests += 1
        if path != "/v1/traces" or content_type != "application/x-protobuf":
            return 404
        if self.answers:
            return self.answers.pop(0)
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                described = values(resource.resource.attributes)
                # At once: who waits for a trace must not see a part of it.
                self.spans.extend([Span(span, described) for span in scope.spans])
        return 200

    def of(self, trace_id: str) -> list[Span]:
        """The spans of a trace, the server's first, as soon as they are there."""
        found = until(lambda: [span for span in list(self.spans) if span.trace_id == trace_id], DELIVERY_LIMIT_S, f"spans of {trace_id}")
        return sorted(found, key=lambda span: span.message.kind, reverse=True)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
