"""What a task may say about itself: ``@afterword.task(...)``. Optional; every task is booked without it."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

from afterword import words
from afterword.ledger import layout
from afterword.ledger.accounts import Declaration

F = TypeVar("F", bound=Callable[..., Any])

_YEAR: Final = 366 * 86400
#: The attribute that carries a declaration; ``functools.wraps`` copies it to wrappers.
ATTRIBUTE: Final = "__afterword_task__"


@overload
def task(function: F, /) -> F: ...
@overload
def task(
    *,
    name: str | None = None,
    deadline: float | None = None,
    start_deadline: float | None = None,
    importance: str = words.MUST_RUN,
    owner: str = "",
) -> Callable[[F], F]: ...
def task(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    deadline: float | None = None,
    start_deadline: float | None = None,
    importance: str = words.MUST_RUN,
    owner: str = "",
) -> F | Callable[[F], F]:
    """Declare a task, with or without arguments; the function itself is returned, untouched but for one attribute.

    Args:
        function: The task, when the decorator is written without parentheses.
        name: Low-cardinality name instead of ``module.qualname``.
        deadline: Seconds after which a running run is overdue.
        start_deadline: Seconds after which a waiting run is late.
        importance: ``must_run`` or ``best_effort``.
        owner: Who is asked when it fails, for routing.

    Raises:
        ValueError: A value that cannot be meant, in one sentence.
        TypeError: What is decorated cannot be called.
    """
    _check_text("name", name, layout.NAME_BYTES)
    _check_seconds("deadline", deadline)
    _check_seconds("start_deadline", start_deadline)
    if importance not in words.IMPORTANCES:
        raise ValueError(f"importance is {importance!r}; allowed: {', '.join(words.IMPORTANCES)}")
    _check_text("owner", owner or None, layout.OWNER_BYTES)
    declaration = Declaration(name, deadline, start_deadline, importance, owner)

    def declare(function: F) -> F:
        if not callable(function):
            raise TypeError(f"@afterword.task(...) declares a function, not {function!r}")
        try:
            setattr(function, ATTRIBUTE, declaration)
        except (AttributeError, TypeError) as error:
            raise TypeError(f"{function!r} cannot carry a declaration; wrap it in a function of your own") from error
        return function

    return declare if function is None else declare(function)


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
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.001 <= value <= _YEAR:
        raise ValueError(f"{name} is {value!r}; allowed: seconds, from 0.001 to a year")


def _check_text(name: str, value: object, limit: int) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not value.strip() or len(value.encode("utf-8", "replace")) > limit:
        raise ValueError(f"{name} is {value!r}; allowed: a text that is not empty, of at most {limit} bytes")
