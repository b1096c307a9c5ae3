"""What a task may say about itself: ``@afterword.task(...)``. Optional; every task is booked without it."""

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

from afterword import words
from afterword.ledger.accounts import Declaration

F = TypeVar("F", bound=Callable[..., Any])

#: The attribute that carries a declaration; ``functools.wraps`` copies it to wrappers.
ATTRIBUTE: Final = "__afterword_task__"


def task(
    *,
    name: str | None = None,
    deadline: float | None = None,
    start_deadline: float | None = None,
    importance: str = words.MUST_RUN,
    owner: str = "",
) -> Callable[[F], F]:
    """Declare a task; the function itself is returned, untouched but for one attribute.

    Args:
        name: Low-cardinality name instead of ``module.qualname``.
        deadline: Seconds after which a running run is overdue.
        start_deadline: Seconds after which a waiting run is late.
        importance: ``must_run`` or ``best_effort``.
        owner: Who is asked when it fails, for routing.

    Raises:
        ValueError: A value that cannot be meant, in one sentence.
        TypeError: What is decorated cannot be called.
    """
    _check_text("name", name)
    _check_seconds("deadline", deadline)
    _check_seconds("start_deadline", start_deadline)
    if importance not in words.IMPORTANCES:
        raise ValueError(f"importance is {importance!r}; allowed: {', '.join(words.IMPORTANCES)}")
    _check_text("owner", owner or None)
    declaration = Declaration(name, deadline, start_deadline, importance, owner)

    def declare(function: F) -> F:
        if not callable(function):
            raise TypeError(f"@afterword.task(...) declares a function, not {function!r}")
        try:
            setattr(function, ATTRIBUTE, declaration)
        except (AttributeError, TypeError) as error:
            raise TypeError(f"{function!r} cannot carry a declaration; wrap it in a function of your own") from error
        return function

    return declare


def declaration_of(function: object) -> Declaration:
    """What ``function`` declares; an empty declaration if nothing."""
    try:
        found = getattr(function, ATTRIBUTE, None)
    except Exception:  # noqa: BLE001 - the user's object computes its attributes and fails at it
        return UNDECLARED
    return found if isinstance(found, Declaration) else UNDECLARED


UNDECLARED: Final = Declaration()


def _check_seconds(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} is {value!r}; allowed: seconds, more than 0")


def _check_text(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise ValueError(f"{name} is {value!r}; allowed: a text that is not empty")
