"""The history of bad endings: whether it can be read, without a sidecar and without a byte of it being changed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from afterword.doctor.finding import Finding, counted, ok, warning
from afterword.doctor.ledgers import set_aside
from afterword.doctor.scene import Scene

#: A database with a write-ahead log, by this byte of its first ones: even to read it makes files. Ours has none.
_KIND_AT, _WITH_LOG, _FIRST = 19, 2, 20
_NOT_CONCERNED: Final = "counters are not concerned"
_SET_ASIDE: Final = f"the next sidecar sets it aside and begins a new one; {_NOT_CONCERNED}"


def history(scene: Scene) -> Iterator[Finding]:
    """The history of bad endings, if there is one, can be read, and none was set aside."""
    from afterword.books.history_file import FILE_NAME

    told = list(
        set_aside(
            scene,
            FILE_NAME,
            "a history that could not be read was set aside",
            f"a new one was begun; {_NOT_CONCERNED}",
        )
    )
    yield from told or [ok("no history was set aside")]
    path = scene.directory / FILE_NAME
    if os.path.lexists(path):
        yield _looked_at(path)


def _looked_at(path: Path) -> Finding:
    """Opened to read only (``mode=ro``), so that not even what a killed writer left behind is tidied up."""
    from afterword.books.history_file import HistoryFile
    from afterword.books.sqlite import MISSING, sqlite3

    if MISSING:
        return ok(f"the history is not looked at: {MISSING}")
    try:
        HistoryFile(path.parent).check()
        with path.open("rb") as file:
            first = file.read(_FIRST)
        if len(first) == _FIRST and first[_KIND_AT] == _WITH_LOG:
            return warning("the history has a write-ahead log: another program has changed it", _SET_ASIDE)
        return ok(f"the history can be read: {counted(_number(path), 'bad ending')}")
    except OSError as error:
        return warning(
            f"the history cannot be read: {error.strerror or error}",
            f"run sidecar and doctor as the application's user; {_NOT_CONCERNED}",
        )
    except sqlite3.OperationalError as error:
        return _refused(path, error)
    except sqlite3.DatabaseError as error:
        return warning(f"the history is damaged: {error}", _SET_ASIDE)


def _number(path: Path) -> int:
    """How many bad endings it has.

    Raises:
        OSError: another release has written it.
        sqlite3.Error: it cannot be read.
    """
    from afterword.books.history_file import connect, prepare

    with contextlib.closing(connect(path, "ro")) as file:
        if not file.execute("PRAGMA user_version").fetchone()[0]:
            return 0  # just made, and still without tables
        prepare(file)
        found: int = file.execute("SELECT count(*) FROM ended").fetchone()[0]
        return found


def _refused(path: Path, error: Exception) -> Finding:
    """Locked, or left in the middle of a write."""
    if "locked" in str(error):
        return warning(
            "the history is locked: another program holds it, and nothing is kept one by one meanwhile",
            f"look who has it open: fuser -v {path}; {_NOT_CONCERNED}",
        )
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists() and journal.stat().st_size:
        return warning(
            "the history was left in the middle of a write, by a sidecar that was killed",
            "start the sidecar: it takes that write back and goes on",
        )
    return warning(f"the history cannot be read: {error}", f"see its file {path}; {_NOT_CONCERNED}")
