"""A pytest plugin: every Starlette and FastAPI application that is made is an instrumented one."""

import asyncio
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from upstream_recorder import note  # type: ignore[import-not-found]  # on the path where it runs

import afterword
from afterword.books.bookkeeper import Bookkeeper


def _instrumenting(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        afterword.instrument(self, trace="off")  # FastAPI's tests ask for its spans by name

    return init


for _cls in (Starlette, FastAPI):
    setattr(_cls, "__init__", _instrumenting(_cls.__init__))  # noqa: B010 - mypy forbids assigning to a method

#: Switches the hooks on before the first test, also for tests that use responses without an application.
_FIRST: Final = afterword.instrument(Starlette(), trace="off")
# Makes the ledger now: Starlette's tests forbid opening a file while an event loop runs, with blockbuster.
asyncio.run(BackgroundTask(int)())
_BOOKS: Final = Bookkeeper(Path(os.environ["AFTERWORD_DIR"]))


def _scheduled() -> int:
    return sum(books.scheduled for books in _BOOKS.scan().totals.tasks.values())


class _ByFile:
    """How many runs were booked while each test file ran."""

    def __init__(self) -> None:
        self.file, self.before = "", 0

    def now(self, file: str) -> None:
        """Another file's tests begin, or all have ended."""
        if file != self.file:
            scheduled = _scheduled()
            if self.file:
                note(file=self.file, booked=scheduled - self.before)
            self.file, self.before = file, scheduled


_by_file: Final = _ByFile()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Around every test, outside of its fixtures."""
    _by_file.now(item.nodeid.partition("::")[0])
    return (yield)


def pytest_sessionfinish() -> None:
    """The last file."""
    _by_file.now("")
