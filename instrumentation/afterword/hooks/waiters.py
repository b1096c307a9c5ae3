"""Who waits for an asyncio task: read from its callbacks, in the interpreter's own terms."""

import functools
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, Final

from afterword.hooks.code import is_users

#: Whose callbacks belong to somebody who waits.
_MACHINERY: Final = frozenset({"asyncio", "anyio", "uvloop"})
#: How a task that waits is called back: in C, and in C before Python 3.12.
_WAKEUPS: Final = frozenset({"TaskWakeupMethWrapper", "task_wakeup"})
#: Gathers, shields and bridges to threads end this by the task; whoever waits, waits there.
_HANDED_ON: Final = ("outer", "destination")
#: `asyncio.as_completed` before Python 3.13 and since: whoever goes through it waits at its queue.
_IN_TURN: Final = ("as_completed.", "_AsCompletedIterator.")
#: What is left of a shield whose caller is gone, and of a bridge that hands nothing on.
_BRIDGE: Final = "_chain_future."
_NOBODY: Final = ("_log_on_exception", _BRIDGE)
_GROUP: Final = "TaskGroup."
_DEPTH: Final = 16


def awaited(future: Any, *, outlived: bool = False, depth: int = _DEPTH) -> bool:
    """Whether a coroutine, a gather, a TaskGroup, a thread or a running loop waits for it now.

    Args:
        future: The task.
        outlived: Whoever spawned it has ended: a group that is still there is not theirs, and waits for anything.
        depth: How far to follow gathers of gathers.
    """
    for entry in getattr(future, "_callbacks", None) or ():
        callback = entry[0] if type(entry) is tuple else entry
        if type(callback) is BuiltinMethodType:  # also what takes it out of a set, which is common
            if callback.__name__ in _WAKEUPS:
                return True
        elif _waits(callback, outlived, depth):
            return True
    return False


def told_only(future: Any) -> bool:
    """Whether nobody waits, and a function of the application is called back: it may log, but it repairs nothing."""
    return not awaited(future) and any(_is_users(callback) for callback in _callbacks(future))


def handed_to_thread(future: Any) -> bool:
    """Whether nobody waits, and a future of a thread is told: it takes note, and then the loop says nothing."""
    return not awaited(future) and any(_is_bridge(callback) for callback in _callbacks(future))


def _callbacks(future: Any) -> list[Any]:
    found = getattr(future, "_callbacks", None)
    return [entry[0] if type(entry) is tuple else entry for entry in found] if found else []


def _waits(callback: Any, outlived: bool = False, depth: int = _DEPTH) -> bool:
    kind = type(callback)
    if kind.__name__ in _WAKEUPS or (kind is BuiltinMethodType and callback.__name__ in _WAKEUPS):
        return True
    while isinstance(callback, functools.partial):
        callback = callback.func
    if (getattr(callback, "__module__", None) or "").partition(".")[0] not in _MACHINERY:
        return False
    name, cells = getattr(callback, "__qualname__", ""), _cells(callback)
    if name.startswith(_IN_TURN):
        queue = cells.get("done") or callback.__self__._done
        return bool(queue._getters)
    for target in _HANDED_ON:
        if target in cells:
            return _waits_there(cells[target], outlived, depth)
    return not name.startswith(_NOBODY) and not (outlived and name.startswith(_GROUP))


def _waits_there(future: Any, outlived: bool, depth: int) -> bool:
    """Whether somebody waits for what a future hands its end on to."""
    if future is None:  # not made yet
        return False
    condition = getattr(future, "_condition", None)
    if condition is not None:  # of `concurrent.futures`: threads wait for it
        return bool(condition._waiters or future._waiters)
    return depth > 0 and awaited(future, outlived=outlived, depth=depth - 1)


def _cells(callback: Any) -> dict[str, Any]:
    """What a function of asyncio closes over, by name."""
    function = callback.__func__ if isinstance(callback, MethodType) else callback
    if not isinstance(function, FunctionType) or function.__closure__ is None:
        return {}
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _is_bridge(callback: Any) -> bool:
    return isinstance(callback, FunctionType) and callback.__qualname__.startswith(_BRIDGE)


def _is_users(callback: Any) -> bool:
    while isinstance(callback, functools.partial):
        callback = callback.func
    if isinstance(callback, MethodType):
        callback = callback.__func__
    elif not isinstance(callback, FunctionType):
        callback = type(callback).__call__
    body = getattr(callback, "__code__", None)
    return body is not None and is_users(body.co_filename)
