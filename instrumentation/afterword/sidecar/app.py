"""The sidecar's web application: ``/metrics``, ``/healthz``, ``/readyz``."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from afterword import __version__
from afterword.books.bookkeeper import Bookkeeper, Scan
from afterword.books.directory import problem_with
from afterword.books.watch import DeathWatch
from afterword.ledger.reader import Liveness, liveness_of_file
from afterword.metrics.endpoint import Exposition
from afterword.sidecar.hints import Hints
from afterword.sidecar.span_sender import SpanSender


def build(directory: Path, sender_for: Callable[[Bookkeeper], SpanSender] | None = None) -> FastAPI:
    """The application over one ledger directory, which may still be missing.

    Args:
        directory: Where applications keep their ledgers.
        sender_for: Makes what sends the spans of lost runs; None: nobody does.
    """
    bookkeeper = Bookkeeper(directory)
    hints = Hints(directory)
    sender = None if sender_for is None else sender_for(bookkeeper)

    def scan() -> Scan:
        found = bookkeeper.scan()
        hints.look_at(found)
        if sender is not None and found.spans.waiting:
            sender.wake()
        return found

    exposition = Exposition(scan)

    def book_deaths() -> None:
        scan()
        bookkeeper.watched = True
        bookkeeper.sweep()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = DeathWatch(directory, book_deaths, lambda name: _is_dead(directory / name))
        watch.start()
        if sender is not None:
            sender.start()
        yield
        if sender is not None:
            sender.stop()
        watch.stop()

    app = FastAPI(title="afterword sidecar", version=__version__, lifespan=lifespan, openapi_url=None)

    @app.api_route("/metrics", methods=["GET", "HEAD"])
    def metrics(request: Request) -> Response:
        """The books, as plain text or OpenMetrics."""
        page, content_type = exposition.render(request.headers.get("accept", ""))
        return Response(page, headers={"content-type": content_type})

    @app.api_route("/healthz", methods=["GET", "HEAD"])
    async def healthz() -> PlainTextResponse:
        """200 while the process serves."""
        return PlainTextResponse("ok\n")

    @app.api_route("/readyz", methods=["GET", "HEAD"])
    def readyz() -> PlainTextResponse:
        """200 when applications can keep ledgers in the directory; else 503 and why not."""
        problem = problem_with(directory)
        return PlainTextResponse(f"{problem or 'ready'}\n", status_code=503 if problem else 200)

    return app


def _is_dead(path: Path) -> bool:
    return liveness_of_file(path) is not Liveness.ALIVE
