"""Spans that wait to be sent: one small JSON file for each dead process, in ``spans/`` of the ledger directory.

Whoever folds a dead ledger writes its file first, if that directory is there; a sidecar that exports makes it, sends
what it finds and removes what was taken. So a span is neither forgotten nor given other ids when the sidecar is
restarted in between, and no file waits for longer than an hour.
"""

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from afterword import spans, words
from afterword.books.lost_runs import LostRun
from afterword.ledger.layout import Header

FOLDER: Final = "spans"
#: A span that nobody takes for so long is given up, in seconds.
MAX_AGE: Final = 3600.0
MAX_FILES: Final = 1000
#: Why spans are not sent: nobody took them in time, too many waited, they could not be read, or not written.
DROP_REASONS: Final = ("expired", "full", "unreadable", "unwritable")
_MAX_SIZE: Final = 64 * 1024 * 1024
_SUFFIX: Final = ".json"
_NAME: Final = re.compile(r"[0-9a-f]{32}\.json")

Attributes = dict[str, str | float | bool]


@dataclass(frozen=True, slots=True)
class Span:
    """A span to send. Times in Unix ns; ``parent`` 0 for none, ``link`` the trace and span it is linked to."""

    name: str
    trace: int
    span: int
    parent: int
    link: tuple[int, int] | None
    start: int
    end: int
    attributes: Attributes
    #: What its status says; an empty text for a status that is not set.
    error: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The spans of one process, with what its own spans say about it."""

    resource: Mapping[str, Any]
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """What became of spans of lost and overdue runs; ``waiting`` counts dead processes."""

    waiting: int
    sent: int
    dropped: dict[str, int]


class Outbox:
    """The files of one ledger directory. ``dropped`` counts spans by why they are not sent."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FOLDER
        self.dropped: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
        self.sent = 0

    def open(self) -> None:
        """Have spans written from now on.

        Raises:
            OSError: the directory cannot be made.
        """
        self.path.mkdir(mode=0o700, exist_ok=True)

    def counts(self) -> SpanCounts:
        """Where it stands."""
        return SpanCounts(len(self.names()), self.sent, dict(self.dropped))

    @property
    def wanted(self) -> bool:
        """Whether somebody is there to send them."""
        return self.path.is_dir()

    def put(self, uuid: str, batch: Batch) -> None:
        """Keep the spans of a dead process, if somebody is there to send them; once, whoever tries again.

        Raises:
            OSError: nothing was kept.
        """
        final = self.path / f"{uuid}{_SUFFIX}"
        if not batch.spans or not self.wanted or final.exists():
            return
        if len(self.names()) >= MAX_FILES:
            self.dropped["full"] += len(batch.spans)
            return
        aside = self.path / f".{uuid}.new"
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
            json.dump(_to_json(batch), file, separators=(",", ":"))
        aside.rename(final)

    def names(self) -> list[str]:
        """The files that wait, the oldest first."""
        try:
            with os.scandir(self.path) as found:
                entries = [(entry.stat(follow_symlinks=False).st_mtime, entry.name) for entry in found]
        except OSError:
            return []
        return [name for _, name in sorted(entries) if _NAME.fullmatch(name)]

    def read(self, name: str) -> Batch | None:
        """One file; None for one that is gone or cannot be understood, which is then removed."""
        try:
            with os.fdopen(os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                return _from_json(json.loads(file.read(_MAX_SIZE)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.dropped["unreadable"] += 1
            self.remove(name)
            return None

    def remove(self, name: str) -> None:
        """What was taken, or given up."""
        with contextlib.suppress(OSError):
            (self.path / name).unlink(missing_ok=True)

    def sweep(self, now: float) -> None:
        """Give up what nobody took in time."""
        for name in self.names():
            with contextlib.suppress(OSError):
                if now - (self.path / name).stat().st_mtime > MAX_AGE:
                    batch = self.read(name)
                    self.dropped["expired"] += len(batch.spans) if batch is not None else 0
                    self.remove(name)


def span_of(run: LostRun) -> Span:
    """The span that a dead process could not send."""
    key = run.key
    attributes = spans.identity(key.task, key.kind, run.id, run.route, run.function)
    if run.started:
        attributes[spans.WAIT] = max(0, run.started - run.scheduled) / 1e9
    ending, error = spans.bad_end(spans.LOST, run.reason)
    attributes |= {**ending, spans.PHASE: run.phase, spans.CLOSED_BY: spans.SIDECAR}
    start = run.started if run.phase == words.RUNNING else run.scheduled
    return Span(
        key.task,
        run.trace,
        run.span,
        run.parent,
        run.linked,
        start,
        run.ended,
        attributes,
        f"{error} while {run.phase}",
    )


def resource_of(header: Header, noted: str) -> dict[str, Any]:
    """What the spans of a process say about it: what it noted itself, else what its ledger tells."""
    try:
        found = json.loads(noted) if noted else {}
    except ValueError:
        found = {}
    known = {name: value for name, value in found.items() if isinstance(value, str | bool | int | float)}
    own = {"service.name": header.service, "process.pid": header.pid, "afterword.version": header.version}
    return {**own, **known}


def _to_json(batch: Batch) -> dict[str, Any]:
    return {
        "resource": dict(batch.resource),
        "spans": [
            [s.name, f"{s.trace:x}", f"{s.span:x}", f"{s.parent:x}", [f"{n:x}" for n in s.link or ()], s.start, s.end,
             s.attributes, s.error]
            for s in batch.spans
        ],
    }  # fmt: skip


def _from_json(data: dict[str, Any]) -> Batch:
    found = []
    for name, trace, span, parent, link, start, end, attributes, error in data["spans"]:
        ids = int(trace, 16), int(span, 16), int(parent, 16)
        if not (0 < ids[0] < 1 << 128 and 0 < ids[1] < 1 << 64 and 0 <= ids[2] < 1 << 64) or len(link) not in (0, 2):
            raise ValueError("ids out of range")
        linked = (int(link[0], 16), int(link[1], 16)) if link else None
        found.append(Span(str(name), *ids, linked, int(start), int(end), dict(attributes), str(error)))
    return Batch(dict(data["resource"]), found)
