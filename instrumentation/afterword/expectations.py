"""What an endpoint may say: ``@afterword.expects(...)``, the tasks that each successful response schedules."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from afterword.ledger import layout

F = TypeVar("F", bound=Callable[..., Any])

#: The attribute that carries the tasks; ``functools.wraps`` copies it to wrappers.
ATTRIBUTE: Final = "__afterword_expects__"
_LAYERS: Final = 32


def expects(*tasks: Callable[..., Any] | str) -> Callable[[F], F]:
    """Declare what each successful response of an endpoint schedules, above or below the ``@app.post`` line.

    A response of status 200 to 399 that did not schedule one of ``tasks`` counts as missed, from the first one on.
    The function itself is returned, untouched but for one attribute; a second ``@expects`` adds to the first.

    Args:
        tasks: Functions, or the names that their series carry.

    Raises:
        ValueError: A task that cannot be meant, or none at all, in one sentence.
        TypeError: What is decorated cannot be called, or cannot carry the declaration.
    """
    if not tasks:
        raise ValueError("expects() names no task; allowed: functions, and names of tasks")
    for task in tasks:
        _check(task)

    def declare(function: F) -> F:
        if not callable(function):
            raise TypeError(f"@afterword.expects(...) declares an endpoint, not {function!r}")
        try:
            setattr(function, ATTRIBUTE, (*_own(function), *tasks))
        except (AttributeError, TypeError) as error:
            raise TypeError(f"{function!r} cannot carry a declaration; wrap it in a function of your own") from error
        return function

    return declare


def expectations_of(endpoint: object) -> tuple[Callable[..., Any] | str, ...]:
    """What ``endpoint`` declares, itself or within partials, methods and wrappers, which may repeat it."""
    return tuple(task for layer in _layers(endpoint) for task in _own(layer))


def _check(task: object) -> None:
    if isinstance(task, str):
        meant = bool(task.strip()) and len(task.encode("utf-8", "replace")) <= layout.NAME_BYTES
    else:
        meant = callable(task)
    if not meant:
        raise ValueError(
            f"expects {task!r}; allowed: functions, and names of tasks that are not empty, "
            f"of at most {layout.NAME_BYTES} bytes"
        )


def _own(function: object) -> tuple[Any, ...]:
    try:
        found = getattr(function, ATTRIBUTE, ())
    except Exception:  # noqa: BLE001 - the user's object computes its attributes and fails at it
        return ()
    return found if isinstance(found, tuple) else ()


def _layers(function: object) -> Iterator[object]:
    for _ in range(_LAYERS):
        yield function
        try:
            inner = function.func if isinstance(function, functools.partial) else _wrapped(function)
        except Exception:  # noqa: BLE001 - as above
            return
        if inner is None:
            return
        function = inner


def _wrapped(function: object) -> object:
    inner = getattr(function, "__func__", None)
    return inner if inner is not None else getattr(function, "__wrapped__", None)
