"""The sidecar's web application: ``/metrics``, ``/healthz``, ``/readyz``, the JSON API and the page."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse

from afterword import __version__
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.directory import problem_with
from afterword.books.scan import Scan
from afterword.books.watch import DeathWatch
from afterword.ledger.reader import Liveness, liveness_of_file
from afterword.metrics.endpoint import Exposition
from afterword.sidecar import api, pages, questions
from afterword.sidecar.changes import Changes
from afterword.sidecar.hints import Hints
from afterword.sidecar.series import STEP, Recorder
from afterword.sidecar.span_sender import SpanSender
from afterword.sidecar.ticker import Ticker
from afterword.view.reading import View


class Sidecar:
    """What one sidecar keeps while it serves: the books, and who looks at them when."""

    def __init__(
        self,
        directory: Path,
        sender_for: Callable[[Bookkeeper], SpanSender] | None,
        time_scale: float,
        trace_url: str | None,
    ) -> None:
        self.directory = directory
        self.bookkeeper = Bookkeeper(directory)
        self.recorder = Recorder(STEP / time_scale)
        self.view = View(self.bookkeeper, scan=self.scan, time_scale=time_scale, trace_url=trace_url)
        self._hints = Hints(directory)
        self._sender = None if sender_for is None else sender_for(self.bookkeeper)
        self._watch = DeathWatch(directory, self._book_deaths, lambda name: _is_dead(directory / name))
        self._ticker = Ticker(self._tick, self._sample, STEP / time_scale)

    def scan(self) -> Scan:
        """The books now."""
        self.bookkeeper.history.open()
        found = self.bookkeeper.scan()
        self._hints.look_at(found)
        if self._sender is not None and found.spans.waiting:
            self._sender.wake()
        return found

    def start(self) -> None:
        """Begin to look."""
        self._watch.start()
        self._ticker.start()
        if self._sender is not None:
            self._sender.start()

    def stop(self) -> None:
        """End within a second."""
        if self._sender is not None:
            self._sender.stop()
        self._ticker.stop()
        self._watch.stop()

    def _tick(self) -> None:
        self.bookkeeper.keep_endings()
        if self.bookkeeper.held:
            self.scan()

    def _sample(self) -> None:
        found = self.scan()
        self.recorder.note(found)
        self.view.growth.note(found)

    def _book_deaths(self) -> None:
        self.scan()
        self.bookkeeper.watched = True
        self.bookkeeper.sweep()


def build(
    directory: Path,
    sender_for: Callable[[Bookkeeper], SpanSender] | None = None,
    *,
    time_scale: float = 1.0,
    trace_url: str | None = None,
) -> FastAPI:
    """The application over one ledger directory, which may still be missing.

    Args:
        directory: Where applications keep their ledgers.
        sender_for: Makes what sends the spans of lost runs; None: nobody does.
        time_scale: Divides how long lost work keeps a service from being well, and the steps of the charts.
        trace_url: Where a trace can be seen, with ``{trace_id}`` in it.
    """
    sidecar = Sidecar(directory, sender_for, time_scale, trace_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sidecar.start()
        yield
        sidecar.stop()

    app = FastAPI(
        title="afterword sidecar",
        version=__version__,
        description="What is running, stuck and lost right now. Everything is read, nothing can be changed.",
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_exception_handler(RequestValidationError, questions.refuse)
    app.include_router(api.router(sidecar.view, sidecar.recorder, Changes(sidecar.view.look)))
    _add_endpoints(app, directory, Exposition(sidecar.scan))
    pages.add(app)
    return app


def _add_endpoints(app: FastAPI, directory: Path, exposition: Exposition) -> None:
    @app.api_route("/metrics", methods=["GET", "HEAD"], include_in_schema=False)
    def metrics(request: Request) -> Response:
        """The books, as plain text or OpenMetrics."""
        page, content_type = exposition.render(request.headers.get("accept", ""))
        return Response(page, headers={"content-type": content_type})

    @app.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        """200 while the process serves."""
        return PlainTextResponse("ok\n")

    @app.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    def readyz() -> PlainTextResponse:
        """200 when applications can keep ledgers in the directory; else 503 and why not."""
        problem = problem_with(directory)
        return PlainTextResponse(f"{problem or 'ready'}\n", status_code=503 if problem else 200)


def _is_dead(path: Path) -> bool:
    return liveness_of_file(path) is not Liveness.ALIVE
