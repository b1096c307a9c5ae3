"""``watch()``: a private ledger for as long as it lasts, and every application that is called in it."""

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from afterword import settings
from afterword.instrument import instrument, uninstrument
from afterword.testing.books import Books

if TYPE_CHECKING:
    from afterword.ledger.owner import Owner

_PREFIX: Final = "afterword-testing-"
_STALE_SECONDS: Final = 86_400


class UnavailableError(RuntimeError):
    """No books can be kept here: no Starlette, no file locks, no directory for a ledger."""


@contextlib.contextmanager
def watch(*apps: Any, timeout: float = 1.0) -> Iterator[Books]:
    """Book everything that is scheduled inside. The books stay readable afterwards.

    An application that is not instrumented is so until the end, with a ledger in a private directory. If
    one was instrumented before, by the application's own module for instance, its ledger is read and
    counted from here on.

    Args:
        apps: Starlette or FastAPI applications; none: whichever are called.
        timeout: Seconds that `Books.assert_all_ended_well` waits at most.

    Raises:
        UnavailableError: Nothing can be booked here; the sentence says why.
    """
    try:
        from afterword.testing import adoption
        from afterword.testing.ledgers import Ledgers
    except ImportError as error:  # no fcntl, no Starlette
        raise UnavailableError(f"afterword keeps no books here: {error}") from error

    with contextlib.ExitStack() as stack:
        directory = _private_directory(stack)
        _begin(stack, directory)
        if apps:
            for app in apps:
                adoption.take_in(app, stack)
        else:
            stack.enter_context(adoption.every_called_application())
        books = Books(Ledgers(directory), timeout)
        try:
            yield books
        finally:
            books.close()


def _private_directory(stack: contextlib.ExitStack) -> Path:
    base = settings.default_directory().parent
    try:
        _sweep(base)
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    except OSError as error:
        raise UnavailableError(f"afterword keeps no books here: {base}: {error.strerror}") from error
    stack.callback(_remove, made)
    return made


@functools.cache
def _sweep(base: Path) -> None:
    """Once a process: remove what killed test runs have left, after a day."""
    from afterword.ledger.reader import Liveness, liveness_of_file

    for left in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = left.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < _STALE_SECONDS:
                continue
            if all(liveness_of_file(ledger) is Liveness.DEAD for ledger in left.iterdir()):
                shutil.rmtree(left)


def _remove(directory: Path) -> None:
    """Unless the process goes on in it: an application was instrumented inside and stays so."""
    from afterword.hooks.process import PROCESS

    if PROCESS.owner is not None and PROCESS.owner.settings.directory == directory:
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)


def _begin(stack: contextlib.ExitStack, directory: Path) -> "Owner":
    """The ledger that the process has, or one of our own: held by an application that nobody calls."""
    from starlette.applications import Starlette

    from afterword.hooks.process import PROCESS

    if PROCESS.owner is None:
        holder = Starlette()
        instrument(holder, dir=directory, service="tests", disabled=False)
        stack.callback(uninstrument, holder)
    owner = PROCESS.owner
    if owner is None or not owner.open() or not PROCESS.active:
        reason = (owner and owner.unavailable) or "internal_errors"
        raise UnavailableError(f"afterword keeps no books here: {reason}")
    return owner
