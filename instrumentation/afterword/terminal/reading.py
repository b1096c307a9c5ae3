"""Reading a ledger directory for a person: one service or task of it, and a sentence where there is nothing to read."""

import difflib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from afterword.view.model import HEALTH, BadEnding, Health, Process, Reason, Run, Status, Task, Worker
from afterword.view.reading import EndingQuery, RunQuery, View

#: The newest bad endings and the open runs that a screen can hold.
_NEWEST, _OPEN = 100, 100
_NAMES_TOLD: Final = 8


class CannotAnswerError(Exception):
    """One sentence: why there is no answer, and what to type."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One consistent reading, of one service or task if only that was asked for."""

    status: Status
    tasks: list[Task]
    runs: list[Run]
    endings: list[BadEnding]
    workers: list[Worker]
    processes: list[Process]


def open_view(directory: Path) -> View:
    """A view that reads and changes nothing.

    Raises:
        CannotAnswerError: there is no such directory, or it cannot be read.
    """
    logging.getLogger("afterword").addHandler(logging.NullHandler())  # what is wrong is shown, not written over it
    try:
        with os.scandir(directory):
            pass
    except FileNotFoundError:
        raise CannotAnswerError(_nothing(directory)) from None
    except NotADirectoryError:
        file = next(path for path in (directory, *directory.parents) if path.exists())
        raise CannotAnswerError(f"{file} is a file, not a directory (--dir, AFTERWORD_DIR)") from None
    except OSError as error:
        raise CannotAnswerError(
            f"{directory} cannot be read by uid {os.geteuid()} ({error.strerror}): "
            "run this as the application's user; see afterword doctor"
        ) from error
    return View(directory, fold=False)


class Reader:
    """Looks into a directory again and again, at one service or task of it if that was asked for."""

    def __init__(
        self, directory: Path, service: str | None = None, task: str | None = None, *, all_runs: bool = False
    ) -> None:
        self.directory = directory
        self._view = open_view(directory)
        self._service, self._task, self._all_runs = service, task, all_runs

    def look(self) -> Shown:
        """One reading."""
        look, service, task = self._view.look(), self._service, self._task
        newest = self._view.endings(EndingQuery(service=service, task=task, limit=_NEWEST)).items
        status, most = look.status, len(look.open_runs) if self._all_runs else _OPEN
        if (problem := _problem(status)) is not None:
            blind = [replace(r, sentence=problem) if r.health == "blind" else r for r in status.reasons]
            status = replace(status, sentence=problem, reasons=blind)
        tasks = [found for found in look.tasks if _matches(found, service, task)]
        return Shown(
            status=status if service is None and task is None else _narrowed(status, tasks, service, task),
            tasks=tasks,
            runs=look.select(RunQuery(service=service, task=task, limit=most)).items,
            endings=sorted(newest, key=lambda ending: (ending.ended, ending.number), reverse=True),
            workers=[worker for worker in look.workers if _matches(worker, service, task)],
            processes=[process for process in look.processes if service in (None, process.service)],
        )

    def check(self) -> None:
        """Refuse a name that the books have never heard of.

        Raises:
            CannotAnswerError: it says which names there are.
        """
        check_names(self._view.look().tasks, self.directory, self._service, self._task)


def check_names(tasks: Iterable[Task], directory: Path, service: str | None, task: str | None) -> None:
    """As `Reader.check`; where nothing was ever booked every name may be right."""
    known = list(tasks)
    if not known:
        return
    if service is not None:
        _check("service", service, {found.service for found in known}, directory)
    if task is not None:
        _check("task", task, {found.task for found in known if service in (None, found.service)}, directory)


def check_written(status: Status) -> None:
    """Refuse a directory without books: that nothing is missing from them means nothing.

    Raises:
        CannotAnswerError: nobody ever wrote there.
    """
    if (problem := _problem(status)) is not None:
        raise CannotAnswerError(problem)


def _problem(status: Status) -> str | None:
    """Why there are no books; None where there are some."""
    if status.services or status.sidecar.ledgers:
        return None
    problem = status.sidecar.problem
    return f"{problem}; see afterword doctor" if problem else _nothing(Path(status.sidecar.directory))


def _nothing(directory: Path) -> str:
    return (
        f"no ledger in {directory}: does the application run as the same user with the same AFTERWORD_DIR? "
        "see afterword doctor"
    )


def _check(what: str, name: str, known: set[str], directory: Path) -> None:
    if name in known:
        return
    ends = sorted(one for one in known if name and (one.endswith(f".{name}") or name.lower() in one.lower()))
    near = ends or difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    if near:
        told = f"did you mean {' or '.join(near[:3])}?"
    else:
        told = f"known: {', '.join(sorted(known)[:_NAMES_TOLD])}" + (", ..." if len(known) > _NAMES_TOLD else "")
    raise CannotAnswerError(f"no {what} {name!r} in {directory}; {told}")


def _matches(found: Task | Worker, service: str | None, task: str | None) -> bool:
    return service in (None, found.service) and task in (None, found.task)


def _narrowed(status: Status, tasks: list[Task], service: str | None, task: str | None) -> Status:
    """The status of what was asked for: its own reasons, and the verdict that follows from them.

    Where nothing can be said of the directory, nothing can be said of one task.
    """
    reasons = [r for r in status.reasons if service in (None, r.service) and task in (None, r.task)]
    services = [found for found in status.services if service in (None, found.service)]
    health: list[Health] = [reason.health for reason in reasons]
    health += [found.health for found in (services if task is None else tasks)]
    verdict: Health = "blind" if status.verdict == "blind" else max(health, key=HEALTH.index, default="ok")
    sentence = status.sentence if verdict == status.verdict == "blind" else _sentence(verdict, reasons, service, task)
    return replace(status, verdict=verdict, reasons=reasons, services=services, sentence=sentence)


def _sentence(verdict: Health, reasons: list[Reason], service: str | None, task: str | None) -> str:
    worst = next((reason.sentence for reason in reasons if reason.health == verdict), None)
    return worst or f"{task or service}: {'nothing is wrong' if verdict == 'ok' else f'the verdict is {verdict}'}"
