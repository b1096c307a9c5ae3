"""The server's side of ASGI, for applications that are called without one."""

from typing import Any


def scope(path: str = "/", kind: str = "http") -> dict[str, Any]:
    """What a server passes."""
    return {
        "type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "subprotocols": [], "state": {},
    }  # fmt: skip


async def receive() -> dict[str, Any]:
    """A request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def sink(_: Any) -> None:
    """A client that takes everything."""


async def call(app: Any, path: str = "/") -> None:
    """One request, called the way a server does: what the application raises is raised."""
    await app(scope(path), receive, sink)
