"""The application's function or coroutine inside of what another instrumentation has put around it."""

from collections.abc import Iterable
from types import CoroutineType, FrameType, FunctionType
from typing import Any, Final

from afterword.hooks.code import is_users
from afterword.hooks.naming import unwrapped

_MAX_LOOKED_AT, _MAX_DEPTH = 16, 3
#: What anyio's group keeps of a task it runs.
_RUNNERS_COROUTINE: Final = "_coro"


def function_inside(function: Any, depth: int = _MAX_DEPTH) -> Any:
    """The application's function that a wrapper closes over; None if ``function`` is no wrapper, or holds none."""
    if not isinstance(function, FunctionType) or not function.__closure__ or is_users(function.__code__.co_filename):
        return None
    for cell in function.__closure__[:_MAX_LOOKED_AT]:
        try:
            inner = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        if is_users_function(inner):
            return inner
        found = function_inside(inner, depth - 1) if depth else None
        if found is not None:
            return found
    return None


def function_among(function: Any, arguments: Iterable[Any]) -> Any:
    """What a library's function is given to run, as far as that shows; else the function itself."""
    body = unwrapped(function)
    if not isinstance(body, FunctionType) or is_users(body.__code__.co_filename):
        return function
    return next((one for one in arguments if is_users_function(one)), function)


def coroutine_inside(frame: FrameType) -> "CoroutineType[Any, Any, Any] | None":
    """The coroutine that one which has not begun was given, or closes over."""
    held = frame.f_locals
    for value in (*held.values(), getattr(held.get("self"), _RUNNERS_COROUTINE, None)):
        if type(value) is CoroutineType:
            return value
    return None


def is_users_function(thing: Any) -> bool:
    """Whether this is a function of the application's, a partial or method of one, or an object that is called."""
    body = unwrapped(thing)
    if not isinstance(body, FunctionType):
        body = getattr(type(body), "__call__", None)  # noqa: B004 - the function is what is wanted
    return isinstance(body, FunctionType) and is_users(body.__code__.co_filename)
