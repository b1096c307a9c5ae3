"""The books of one test: what was scheduled in it, and whether all of that ended well."""

import gc
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from afterword import words
from afterword.testing.message import Verdict
from afterword.testing.names import Task, Tasks, as_list, find, listed, spelled
from afterword.testing.runs import Runs, between, of_worker

if TYPE_CHECKING:
    from pathlib import Path

    from afterword.books.model import TaskBooks
    from afterword.testing.ledgers import Key, Ledgers

_INTERVAL: Final = 0.002  # seconds between two readings while something is open


class Books:
    """What was scheduled since the watch began, and how it ended. Made by `afterword.testing.watch`."""

    def __init__(self, ledgers: "Ledgers", timeout: float) -> None:
        self._ledgers: Ledgers | None = ledgers
        self._timeout = timeout
        self._excepted: list[Task] = []
        self._directory = ledgers.directory
        self._before = ledgers.read()
        self._now = self._before
        #: Whether a failing assertion has shown these books already.
        self.told = False

    @property
    def directory(self) -> "Path":
        """A ledger directory of this watch alone, gone with it.

        Server processes that the test starts with ``AFTERWORD_DIR`` set to it are in these books as well.
        """
        return self._directory

    @property
    def tasks(self) -> Tasks:
        """Every task of these books with its runs, as they are now."""
        return Tasks(_by_name(self._runs()))

    def scheduled(self, task: Task) -> int:
        """How many runs of a task were scheduled.

        A function that was never handed over counts 0; a name that nobody knows is taken for a mistake.

        Args:
            task: The function, its name (``shop.mail.send``), or the end of its name after any dot (``send``).

        Raises:
            UnknownTaskError: no task is called so, or several are.
        """
        __tracebackhide__ = True
        tasks = self.tasks
        return 0 if not isinstance(task, str) and task not in tasks else tasks[task].scheduled

    def assert_scheduled(self, task: Task, times: int | None = None) -> None:
        """Fail unless ``task`` was scheduled: once or more, or exactly ``times``."""
        __tracebackhide__ = True
        tasks = _by_name(self._runs())
        name = find(task, tasks)
        n = tasks[name].scheduled if name is not None else 0
        if n == times or (times is None and n):
            return
        if not n:
            self._fail(f"{spelled(task)} was not scheduled; {listed(tasks)}")
        self._fail(f"{name} was scheduled {_times(n)}, not {_times(times or 0)}")

    def assert_all_ended_well(self, except_for: Task | Iterable[Task] = (), timeout: float | None = None) -> None:
        """Wait until nothing is open, then fail unless every run succeeded and swallowed no error.

        Workers need not end: one that still runs, or was stopped with its application, is well. Nothing
        scheduled is well too; say what you expect with `assert_scheduled`.

        Args:
            except_for: Tasks that may end in any way, by function or name.
            timeout: Seconds to wait at most, instead of the watch's own. Called on an event loop, this
                waits for threads only: ``await books.until_all_ended()`` before.

        Raises:
            AssertionError: a line for each task, with reasons and exception classes.
        """
        __tracebackhide__ = True
        complaint = self.complaint(except_for, timeout)
        if complaint is not None:
            self._fail(complaint)

    async def until_all_ended(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as of the assertion
        """Let the event loop run until nothing is open, for at most ``timeout`` seconds. Never fails."""
        from anyio import sleep  # comes with Starlette

        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        is_open = self._watched_open()
        while is_open() and time.monotonic() < end:  # noqa: ASYNC110 - a ledger tells nobody when it changes
            await sleep(_INTERVAL)

    def complaint(self, except_for: Task | Iterable[Task] = (), timeout: float | None = None) -> str | None:
        """What `assert_all_ended_well` says, or None if all ended well. What was excepted once stays so."""
        self._excepted += as_list(except_for)
        seconds = self._timeout if timeout is None else timeout
        self._wait(seconds)
        tasks = _by_name({key: of_worker(runs) if key.kind == words.WORKER else runs for key, runs in self._seen()})
        found = [(task, find(task, tasks)) for task in self._excepted]
        verdict = Verdict(
            tasks,
            excepted={name for _, name in found if name is not None},
            unknown=sorted({spelled(task) for task, name in found if name is None}),
            open_before={key.task for key, books in self._before.items() if _is_open(key, books)},
            waited=seconds,
            on_event_loop=_on_event_loop(),
        )
        return str(verdict) if verdict.bad else None

    def close(self) -> None:
        """Read for the last time. These books can be asked afterwards; they no longer change."""
        if self._ledgers is not None:
            self._now = self._ledgers.read()
            self._ledgers.close()
            self._ledgers = None

    # -- reading and waiting

    def _runs(self) -> "dict[Key, Runs]":
        if self._ledgers is not None:
            self._now = self._ledgers.read()
        return dict(self._seen())

    def _seen(self) -> "Iterable[tuple[Key, Runs]]":
        """What was read last, without tasks that nothing happened to."""
        from afterword.books.model import TaskBooks

        nothing = TaskBooks()
        for key, now in self._now.items():
            runs = between(self._before.get(key, nothing), now)
            if runs:
                yield key, runs

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        is_open = self._watched_open()
        while is_open() and time.monotonic() < end:
            time.sleep(_INTERVAL)

    def _watched_open(self) -> Callable[[], bool]:
        """Whether anything that has to end is open. What only garbage still holds is collected first, once."""
        collected = False

        def is_open() -> bool:
            nonlocal collected
            if self._any_open() and not collected:
                collected = True
                gc.collect()
            return self._any_open()

        return is_open

    def _any_open(self) -> bool:
        return self._ledgers is not None and any(
            runs.open and key.kind != words.WORKER for key, runs in self._runs().items()
        )

    def _fail(self, sentence: str) -> None:
        __tracebackhide__ = True
        self.told = True
        raise AssertionError(sentence)


def _by_name(runs: "dict[Key, Runs]") -> dict[str, Runs]:
    tasks: dict[str, Runs] = {}
    for key, of_kind in runs.items():
        tasks[key.task] = of_kind + tasks.get(key.task, Runs())
    return tasks


def _is_open(key: "Key", books: "TaskBooks") -> bool:
    return key.kind != words.WORKER and bool(books.waiting or books.running)


def _on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # whoever runs a loop has imported it
    return asyncio is not None and asyncio._get_running_loop() is not None


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"
