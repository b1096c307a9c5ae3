"""The JSON API: what is running, stuck and lost right now. Everything is a GET; nothing can be changed here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, HTTPException, Path, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse

from afterword.books.model import TaskKey
from afterword.sidecar.changes import MAX_STREAMS, Changes
from afterword.sidecar.questions import (
    EndingsQuestion,
    Name,
    NoQuestion,
    ProbeQuestion,
    RunsQuestion,
    SeriesQuestion,
    ServiceQuestion,
    Sort,
    TasksQuestion,
)  # fmt: skip
from afterword.sidecar.series import Recorder
from afterword.view import health, model
from afterword.view.reading import EndingPage, View
from afterword.view.runbooks import runbook_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tasks:
    """A page of tasks; ``next`` is the offset to go on at."""

    items: list[model.Task]
    total: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Runs:
    """A page of open runs; ``next`` is the offset to go on at."""

    items: list[model.Run]
    total: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Workers:
    """A page of workers; ``next`` is the offset to go on at."""

    items: list[model.Worker]
    total: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Processes:
    """A page of processes; ``next`` is the offset to go on at."""

    items: list[model.Process]
    total: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Routes:
    """A page of routes; ``next`` is the offset to go on at."""

    items: list[model.Route]
    total: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no answer, in one sentence."""

    detail: str


#: What the guard in front of it may answer as well.
GUARDED: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Problem, "description": "No Host header, or no path"},
    401: {"model": Problem, "description": "The token is missing or another one"},
    403: {"model": Problem, "description": "The page is not served under this name"},
}
_UNKNOWN: Final[dict[int | str, dict[str, Any]]] = {404: {"model": Problem, "description": "Not known here"}}
_ORDERS: Final[dict[Sort, Any]] = {
    "bad": None,  # as they come
    "name": lambda task: (task.service, task.task, task.kind),
    "running": lambda task: -task.books.running,
    "waiting": lambda task: -task.books.waiting,
    "recent": lambda task: -sum(task.recent.values()),
}


def router(view: View, recorder: Recorder, changes: Changes) -> APIRouter:
    """All of ``/api``."""
    made = APIRouter(prefix="/api", tags=["afterword"], responses=GUARDED)
    _books(made, view)
    _runs(made, view)
    _machinery(made, view)
    _live(made, recorder, changes)
    return made


def _books(made: APIRouter, view: View) -> None:
    @made.get("/status")
    def status(_: Annotated[NoQuestion, Query()]) -> model.Status:
        """The verdict, why, every service, and how well the sidecar sees."""
        return view.look().status

    @made.get("/tasks")
    def tasks(asked: Annotated[TasksQuestion, Query()]) -> Tasks:
        """Tasks with their books, the worst first."""
        found = [task for task in view.look().tasks if _is_asked_for(task, asked)]
        order = _ORDERS[asked.sort]
        return Tasks(*_page(sorted(found, key=order) if order else found, asked))

    @made.get("/services/{service:path}/health", responses={**_UNKNOWN, 503: {"model": model.Probe}})
    def probe(
        service: Annotated[str, Path(max_length=500)], asked: Annotated[ProbeQuestion, Query()], response: Response
    ) -> model.Probe:
        """For a probe: 200, or 503 when a worker that must run is gone or silent, or work that must run was lost."""
        look = view.look()
        if service not in {one.service for one in look.status.services}:
            known = ", ".join(one.service for one in look.status.services[:20]) or "none"
            raise HTTPException(404, f"no service {service!r} has kept books here; known: {known}")
        every = look.reasons if asked.window is None else look.reasons_within(asked.window)
        found = [reason for reason in every if reason.service == service or reason.health == "blind"]
        how = health.worst(reason.health for reason in found)
        response.status_code = 503 if how in ("bad", "blind") else 200
        return model.Probe(service, how, found)


def _runs(made: APIRouter, view: View) -> None:
    @made.get("/runs")
    def runs(asked: Annotated[RunsQuestion, Query()]) -> Runs:
        """Runs that wait or run now, those with the least time left first."""
        found = view.look().select(asked.query())
        end = asked.offset + len(found.items)
        return Runs(found.items, found.total, end if end < found.total and found.items else None)

    @made.get("/runs/{run}", responses=_UNKNOWN)
    def run(run: Annotated[str, Path(max_length=100)], _: Annotated[NoQuestion, Query()]) -> model.RunDetail:
        """One run, open or ended badly: its timeline, where it is stuck, its trace, what to do."""
        found = view.run(run)
        if found is None:
            raise HTTPException(404, f"no run {run!r} is open, and none is kept: only bad endings are")
        return found

    @made.get("/endings")
    def endings(asked: Annotated[EndingsQuestion, Query()]) -> EndingPage:
        """Runs that ended badly, the newest first; go on with `before` = `next`."""
        return view.endings(asked.query())


def _machinery(made: APIRouter, view: View) -> None:
    @made.get("/workers")
    def workers(asked: Annotated[ServiceQuestion, Query()]) -> Workers:
        """What lives as long as its application, and when it last got on."""
        return Workers(*_page([one for one in view.look().workers if asked.service in (None, one.service)], asked))

    @made.get("/processes")
    def processes(asked: Annotated[ServiceQuestion, Query()]) -> Processes:
        """The processes that live, with their event loop and their threads."""
        return Processes(*_page([one for one in view.look().processes if asked.service in (None, one.service)], asked))

    @made.get("/routes")
    def routes(asked: Annotated[ServiceQuestion, Query()]) -> Routes:
        """The routes that schedule work, or should."""
        return Routes(*_page([one for one in view.look().routes if asked.service in (None, one.service)], asked))

    @made.get("/runbooks/{alert}", responses=_UNKNOWN)
    def runbook(alert: Annotated[Name, Path()], _: Annotated[NoQuestion, Query()]) -> model.Runbook:
        """What to do about an alert."""
        text = runbook_of(alert)
        if not text:
            raise HTTPException(404, f"there is no runbook for {alert!r}")
        return model.Runbook(alert, text)


def _live(made: APIRouter, recorder: Recorder, changes: Changes) -> None:
    @made.get("/series")
    def series(asked: Annotated[SeriesQuestion, Query()]) -> model.Series:
        """The last quarter of an hour, or since the sidecar began, in steps of some seconds."""

        def wanted(key: TaskKey) -> bool:
            return all(of in (None, is_) for of, is_ in zip((asked.service, asked.task, asked.kind), key, strict=True))

        return recorder.series(wanted)

    streams: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        503: {"model": Problem, "description": "Too many streams"},
    }

    @made.get("/events", response_class=StreamingResponse, responses=streams)
    async def events(_: Annotated[NoQuestion, Query()]) -> Response:
        """The status as server-sent events: at once, at every change, and every five seconds."""
        stream = changes.open()
        if stream is None:
            return JSONResponse({"detail": f"{MAX_STREAMS} pages listen already; ask /api/status instead"}, 503)
        return StreamingResponse(stream, media_type="text/event-stream")


def _is_asked_for(task: model.Task, asked: TasksQuestion) -> bool:
    return (
        asked.service in (None, task.service)
        and asked.task in (None, task.task)
        and asked.kind in (None, task.kind)
        and asked.health in (None, task.health)
        and (asked.search is None or asked.search.lower() in task.task.lower())
    )


def _page(found: Sequence[T], asked: ServiceQuestion) -> tuple[list[T], int, int | None]:
    end = asked.offset + asked.limit
    return list(found[asked.offset : end]), len(found), end if end < len(found) else None
