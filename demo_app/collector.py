"""A collector for the demo and for tests: takes OTLP's own messages over real HTTP, from many at once, and can fail."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Received:
    """One span as the collector got it; ids in hex."""

    name: str
    trace: str
    span: str
    parent: str
    start: int
    end: int
    error: str
    failed: bool
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any] = field(hash=False, compare=False)
    resource: dict[str, Any] = field(hash=False, compare=False)
    scope: str = ""


class Collector:
    """Serves ``/v1/traces`` on a free port of 127.0.0.1. ``answer`` is the status it gives; None: it never answers."""

    def __init__(self) -> None:
        self.answer: int | None = 200
        self.requests = 0
        self._requests: list[ExportTraceServiceRequest] = []
        self._lock = threading.Lock()
        self._silent = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Let whoever waits go, and stop."""
        self._silent.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def spans(self) -> list[Received]:
        """All spans that were taken, in the order of their start."""
        with self._lock:
            found = [span for request in self._requests for span in _spans(request)]
        return sorted(found, key=lambda span: span.start)

    def since(self, at: float) -> list[Received]:
        """The spans that began after a moment, in Unix seconds."""
        return [span for span in self.spans if span.start >= at * 1e9]

    def named(self, name: str) -> list[Received]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                collector.requests += 1
                if collector.answer is None:
                    collector._silent.wait(60)
                    return
                if collector.answer == 200:
                    raw = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
                    request = ExportTraceServiceRequest()
                    request.ParseFromString(raw)
                    with collector._lock:
                        collector._requests.append(request)
                with contextlib.suppress(ConnectionError):  # whoever sent it may be dead
                    self._answer(collector.answer, ExportTraceServiceResponse().SerializeToString())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """What is printed is what was received."""

        return Handler


def _spans(request: ExportTraceServiceRequest) -> Iterator[Received]:
    for resource in request.resource_spans:
        of = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    error=span.status.message,
                    failed=span.status.code == 2,
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    attributes=_attributes(span.attributes),
                    resource=of,
                    scope=scope.scope.name,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
