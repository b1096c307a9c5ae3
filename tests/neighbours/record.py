"""What the program saw, scene by scene and thread by thread, free of what differs from run to run."""

import asyncio
import inspect
import re
import threading
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

#: Set by every scene: where is it still visible?
ORDER: Final[ContextVar[str]] = ContextVar("ORDER", default="unset")
_OURS: Final = str(Path(__file__).parent)
#: afterword runs a task in the place of Starlette's method; neither frame is the user's.
_NOT_TOLD: Final = re.compile(r"/afterword/|/starlette/background\.py$")


class Scene:
    """One request and all that came of it. ``note`` may be called from any thread."""

    def __init__(self, name: str, describe: Callable[[], Any], home: int) -> None:
        self.name = name
        self.told: dict[str, list[Any]] = {}
        self._describe = describe
        self._home = home  # the thread that the loop runs in
        self._open = 0
        self._lock = threading.Lock()
        #: Whatever must not be collected before the scene ends.
        self.kept: list[Any] = []

    def note(self, what: str, *details: Any) -> None:
        """Something happened here and now: with the thread, its order in it, the context and what a neighbour sees."""
        lane = "loop" if threading.get_ident() == self._home else plain(threading.current_thread().name)
        with self._lock:
            self.told.setdefault(lane, []).append([what, ORDER.get(), self._describe(), *details])

    def owe(self, pieces: int = 1) -> None:
        """So many pieces of work will end after the response; the program waits for them."""
        with self._lock:
            self._open += pieces

    def paid(self, *_: Any) -> None:
        """One of them ended. Also a done callback."""
        with self._lock:
            self._open -= 1

    @property
    def over(self) -> bool:
        """Nothing is owed any more."""
        return self._open <= 0


def plain(name: str) -> str:
    """A default name without its number."""
    return re.sub(r"\d+", "N", name)


def seen(error: BaseException | None) -> Any:
    """An exception as the code that catches it sees it: type, arguments, notes, where it came from, what it hides."""
    if error is None:
        return None
    told: dict[str, Any] = {
        "type": type(error).__qualname__,
        "args": [plain(str(argument)) for argument in error.args],
        "frames": frames(error),
        "cause": type(error.__cause__).__qualname__,
        "context": type(error.__context__).__qualname__,
        "notes": getattr(error, "__notes__", []),
    }
    if isinstance(error, BaseExceptionGroup):
        told["args"] = [error.message]
        told["members"] = [seen(member) for member in error.exceptions]
    return told


def frames(error: BaseException) -> list[str]:
    """The functions of its traceback, outermost first; Starlette's task and afterword left out on both sides."""
    stack = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.name}" for frame in stack if not _NOT_TOLD.search(frame.filename)]


def task_facts(task: Any) -> list[Any]:
    """What anybody can ask a task: its class, name, coroutine, and where it is suspended."""
    coroutine = task.get_coro()
    return [
        type(task).__name__, isinstance(task, asyncio.Task), plain(task.get_name()), _coroutine_facts(coroutine),
        [frame.f_code.co_name for frame in task.get_stack() if frame.f_code.co_filename.startswith(_OURS)],
        task.done(), task.cancelling(), re.sub(r"0x[0-9a-f]+|\d+", "N", repr(task)),
    ]  # fmt: skip


def _coroutine_facts(coroutine: Any) -> Any:
    """All but its class: afterword puts an object in its place that answers for it (docs/compatibility.md)."""
    if coroutine is None:  # of an eager task that has ended
        return None
    code = getattr(coroutine, "cr_code", None)
    state = inspect.getcoroutinestate(coroutine) if code is not None else None
    return [coroutine.__qualname__, coroutine.__name__, code and code.co_name, state, asyncio.iscoroutine(coroutine)]


def everybody() -> list[Any]:
    """All tasks of this loop, by the name of their coroutine and their own."""
    tasks = asyncio.all_tasks()
    return sorted([task.get_coro().__qualname__, plain(task.get_name())] for task in tasks)
