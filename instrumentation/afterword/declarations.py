"""What a task may say about itself: ``@afterword.task(...)``. Optional; every task is booked without it."""

import contextlib
import functools
import inspect
import weakref
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, TypeVar, cast, overload

from afterword import words
from afterword.ledger import layout
from afterword.ledger.accounts import Declaration

F = TypeVar("F", bound=Callable[..., Any])

_YEAR: Final = 366 * 86400
_MAX_EFFECTS: Final = 1_000_000
#: The attribute that carries a declaration; ``functools.wraps`` copies it to wrappers.
ATTRIBUTE: Final = "__afterword_task__"
_MAX_CODES: Final = 4096
_OUR_OWN: Final = str(Path(__file__).parent)
#: Declarations by the code they were made for, and the name: a coroutine knows these and not its function.
_by_code: Final[dict[tuple[int, str], tuple[CodeType, Declaration]]] = {}
#: What has to succeed every so often is known before it first runs: the functions that say so, while they exist.
EXPECTED: Final[weakref.WeakValueDictionary[tuple[str, str], Callable[..., Any]]] = weakref.WeakValueDictionary()
#: How a call of such a function is booked, if anything is: by `hooks`, one for plain and one for awaited calls.
BOOKING: Final[list[tuple[Callable[..., Any], Callable[..., Any]]]] = []


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
    every: float | None = None,
    effects: int = 0,
    success: Callable[[Any], bool] | None = None,
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
    every: float | None = None,
    effects: int = 0,
    success: Callable[[Any], bool] | None = None,
) -> F | Callable[[F], F]:
    """Declare a task, with or without arguments; the function itself is returned, untouched but for one attribute.

    Only with ``every=`` it is wrapped, because direct calls of it count as well.

    Args:
        function: The task, when the decorator is written without parentheses.
        name: Low-cardinality name instead of ``module.qualname``.
        deadline: Seconds after which a running run is overdue; for a worker, seconds it may go without progress.
        start_deadline: Seconds after which a waiting run is late.
        importance: ``must_run`` or ``best_effort``.
        owner: Who is asked when it fails, for routing.
        every: Seconds within which it has to succeed again, or to say so by `afterword.heartbeat`, for as long as a
            process lives that knows it.
        effects: What each run has to report by `afterword.done`; a run that ends with less has failed.
        success: Called with what the run returned; False makes it a failed run. Says of a coroutine function's
            task what the awaited result means.

    Raises:
        ValueError: A value that cannot be meant, in one sentence.
        TypeError: What is decorated cannot be called.
    """
    declaration = Declaration(name, deadline, start_deadline, importance, owner, every, effects, success)
    _check(declaration)

    def declare(function: F) -> F:
        if isinstance(function, staticmethod | classmethod):
            return cast("F", type(function)(declare(cast("F", function.__func__))))
        if not callable(function):
            raise TypeError(f"@afterword.task(...) declares a function, not {function!r}")
        if isinstance(function, functools.partial):
            raise TypeError(f"@afterword.task(...) declares a function; declare the one inside of {function!r}")
        try:
            setattr(function, ATTRIBUTE, declaration)
        except (AttributeError, TypeError) as error:
            raise TypeError(f"{function!r} cannot carry a declaration; wrap it in a function of your own") from error
        if isinstance(function, FunctionType):
            _remember(function, declaration)
        if every is None:
            return function
        with contextlib.suppress(TypeError):  # an object that cannot be referred to weakly is known once it runs
            EXPECTED[_names_of(function)] = function
        return cast("F", _seen(function)) if isinstance(function, FunctionType) else function

    return declare if function is None else declare(function)


def _remember(function: FunctionType, declaration: Declaration) -> None:
    """Functions made by one ``def`` share their code: if they declare different names, it tells none."""
    code = function.__code__
    key = (id(code), function.__qualname__)
    _, earlier = _by_code.get(key, (code, declaration))
    if earlier.name != declaration.name:
        declaration = UNDECLARED
    if len(_by_code) < _MAX_CODES:
        _by_code[key] = code, declaration


def _names_of(function: Any) -> tuple[str, str]:
    named = function if hasattr(function, "__qualname__") else type(function)
    return str(declaration_of(function).name or named.__module__), str(named.__qualname__)


def _seen(function: FunctionType) -> Callable[..., Any]:
    """A function whose direct calls are booked: whoever calls it from a loop of their own hands it to nobody.

    It has the globals of ``function``, because frameworks resolve its annotations there.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return function  # runs while somebody goes through it, and nobody can say when that is over
    booking, hide = BOOKING, _without_our_frames  # with other globals they are not found

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        try:
            return await (booking[0][1](function, args, kwargs) if booking else function(*args, **kwargs))
        except BaseException as error:
            hide(error)
            raise

    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return booking[0][0](function, args, kwargs) if booking else function(*args, **kwargs)
        except BaseException as error:
            hide(error)
            raise

    made: Any = awaited if is_awaited(function) else called
    own = FunctionType(made.__code__, function.__globals__, function.__name__, None, made.__closure__)
    return functools.update_wrapper(own, function)


def _without_our_frames(error: BaseException) -> None:
    """Take our frames out of the outer end of a traceback, so that it shows the user what they wrote."""
    found = error.__traceback__
    while found is not None and found.tb_frame.f_code.co_filename.startswith(_OUR_OWN):
        found = found.tb_next
    error.__traceback__ = found


#: The code all those functions share: what they wrap tells them apart.
SEEN_CODE: Final = frozenset(part for part in _seen.__code__.co_consts if isinstance(part, CodeType))


def is_awaited(function: Callable[..., Any]) -> bool:
    """Whether a call of ``function`` gives a coroutine."""
    return inspect.iscoroutinefunction(function)


def declaration_of(function: object) -> Declaration:
    """What ``function`` declares; an empty declaration if nothing."""
    try:
        found = getattr(function, ATTRIBUTE, None)
    except Exception:  # noqa: BLE001 - the user's object computes its attributes and fails at it
        return UNDECLARED
    return found if isinstance(found, Declaration) else UNDECLARED


def declaration_of_code(code: CodeType | None, name: str) -> Declaration:
    """What the function with this code and this qualified name declares; an empty declaration if nothing."""
    found = _by_code.get((id(code), name))
    return UNDECLARED if found is None else found[1]


UNDECLARED: Final = Declaration()


def _check(declared: Declaration) -> None:
    _check_text("name", declared.name, layout.NAME_BYTES)
    _check_seconds("deadline", declared.deadline)
    _check_seconds("start_deadline", declared.start_deadline)
    _check_seconds("every", declared.every)
    if declared.importance not in words.IMPORTANCES:
        raise ValueError(f"importance is {declared.importance!r}; allowed: {', '.join(words.IMPORTANCES)}")
    _check_text("owner", declared.owner or None, layout.OWNER_BYTES)
    _check_count("effects", declared.effects)
    success = declared.success
    if success is not None and (inspect.iscoroutinefunction(success) or not callable(success)):
        raise ValueError(f"success is {success!r}; allowed: a plain function of what the task returned")


def _check_seconds(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.001 <= value <= _YEAR:
        raise ValueError(f"{name} is {value!r}; allowed: seconds, from 0.001 to a year")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_EFFECTS:
        raise ValueError(f"{name} is {value!r}; allowed: a whole number from 0 to {_MAX_EFFECTS}")


def _check_text(name: str, value: object, limit: int) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not value.strip() or len(value.encode("utf-8", "replace")) > limit:
        raise ValueError(f"{name} is {value!r}; allowed: a text that is not empty, of at most {limit} bytes")
