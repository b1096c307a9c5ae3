"""``/metrics``: the books in the format a scraper asks for."""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from afterword import __version__
from afterword.books.bookkeeper import Bookkeeper, Scan
from afterword.metrics.collector import BooksCollector


class Exposition:
    """Renders one scan as plain text or OpenMetrics."""

    def __init__(self, scan: Callable[[], Scan]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(BooksCollector(scan, __version__))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type, by the scraper's Accept header."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type


def embedded(directory: Path, path: str) -> Callable[[MutableMapping[str, Any], Any, Any], Awaitable[bool]]:
    """An ASGI fragment that answers ``GET path`` for all workers of the directory, and nothing else.

    It reads on the event loop, for a few milliseconds, so that it also answers when every thread hangs.
    """
    exposition = Exposition(Bookkeeper(directory).scan)

    async def endpoint(scope: MutableMapping[str, Any], _: Any, send: Any) -> bool:
        if scope["type"] != "http" or scope["path"] != path or scope["method"] not in ("GET", "HEAD"):
            return False
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        page, content_type = exposition.render(accept)
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(page)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page})
        return True

    return endpoint
