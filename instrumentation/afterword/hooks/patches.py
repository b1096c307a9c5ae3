"""Replacing methods of other people's classes, and putting back exactly what was there."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

#: The names the methods we write ourselves use in every Starlette we know. Another shape: not replaced.
_KNOWN_SHAPES: Final = {
    ("starlette.background", "BackgroundTasks.add_task"): {"BackgroundTask", "tasks", "append"},
    ("starlette.background", "BackgroundTask.__init__"): {"func", "args", "kwargs", "is_async_callable", "is_async"},
    ("fastapi.background", "BackgroundTasks.add_task"): {"super", "add_task"},
}
_MISSING: Final = object()
_replaced: list[tuple[Any, str, Any, Any]] = []


def is_known(function: Callable[..., Any]) -> bool:
    """Whether this is Starlette's or FastAPI's own method, in a shape whose steps we may take ourselves."""
    return (
        type(function) is FunctionType  # not isinstance: wrappers of wrapt claim to be what they wrap
        and _KNOWN_SHAPES.get((function.__module__, function.__qualname__)) == set(function.__code__.co_names)
    )


def replace(owner: Any, name: str, new: Any) -> None:
    """Set ``owner.name`` (of a class or a module) and remember what its own dictionary held."""
    _replaced.append((owner, name, owner.__dict__.get(name, _MISSING), new))
    setattr(owner, name, new)


def innermost(function: Any) -> Any:
    """What a decorated function was before; at most so many decorators deep."""
    for _ in range(32):
        inner = getattr(function, "__wrapped__", None)
        if inner is None:
            break
        function = inner
    return function


def restore() -> None:
    """Put everything back, last first. What somebody replaced after us stays theirs, and ours stands aside."""
    while _replaced:
        owner, name, old, new = _replaced.pop()
        if owner.__dict__.get(name) is not new:
            continue
        if old is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, old)
