"""``/metrics``: the books in the format a scraper asks for."""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from afterword import __version__
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.scan import Scan
from afterword.ledger.saying import say
from afterword.metrics.collector import BooksCollector

Scope = MutableMapping[str, Any]
Endpoint = Callable[[Scope, Any, Any], Awaitable[bool]]

_LOGGER: Final = logging.getLogger("afterword.sidecar")
_SWEEP_SECONDS: Final = 60.0


class Exposition:
    """Renders one scan as plain text or OpenMetrics."""

    def __init__(self, scan: Callable[[], Scan]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(BooksCollector(scan, __version__))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type, by the scraper's Accept header."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type


def embedded(directory: Path, path: str, app: Any) -> Endpoint:
    """An ASGI fragment that answers ``GET path`` for all workers of the directory, and nothing else.

    It reads on the event loop, for a few milliseconds, so that it also answers when every thread
    hangs. It stands before the application's own middleware, also before one that asks for a password.
    """
    answer = _Answer(directory)
    taken: bool | None = None

    async def endpoint(scope: Scope, _: Any, send: Any) -> bool:
        nonlocal taken
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or _path_of(scope) != path:
            return False
        if taken is None:
            taken = _is_the_applications_own(app, scope)
            if taken:
                say(f"{path} is the application's own, so nothing of ours is served there; choose another metrics path")
        if taken:
            return False
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        status, page, content_type = answer(accept)
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(page)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page})
        return True

    return endpoint


def _is_the_applications_own(app: Any, scope: Scope) -> bool:
    """Whether a route or a mount of the application has exactly this path, for reading."""
    try:
        for route in _flat(app.routes):
            methods = getattr(route, "methods", None)
            if getattr(route, "path", None) == _path_of(scope) and (methods is None or "GET" in methods):
                return True
    except Exception as error:  # noqa: BLE001 - a route of the user's own that cannot be asked
        _LOGGER.debug("routes cannot be read: %s", error)
    return False


def _flat(routes: Any) -> Any:
    """Routes of included routers too, which FastAPI since 0.137 keeps nested."""
    try:
        from fastapi.routing import iter_route_contexts
    except ImportError:
        return routes
    return iter_route_contexts(routes)


class _Answer:
    """Status, page and content type for one Accept header; tidies up, and never raises."""

    def __init__(self, directory: Path) -> None:
        self._bookkeeper = Bookkeeper(directory)
        self._exposition = Exposition(self._bookkeeper.scan)
        self._swept = float("-inf")
        self._failed = False

    def __call__(self, accept: str) -> tuple[int, bytes, str]:
        try:
            if time.monotonic() - self._swept > _SWEEP_SECONDS:
                self._swept = time.monotonic()
                self._bookkeeper.sweep()
            return 200, *self._exposition.render(accept)
        except Exception as error:
            if not self._failed:
                self._failed = True
                _LOGGER.exception("the books cannot be read")
            return 500, f"the books cannot be read: {type(error).__name__}\n".encode(), "text/plain; charset=utf-8"


def _path_of(scope: Scope) -> str:
    """The path below ``root_path``, which servers put in front of it and proxies take away."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if path.startswith(f"{root}/") else path
