"""What a coroutine or a function is called, and what it declares; looked up once for each piece of code.

Decorators share their code among all they decorate: then the name tells them apart.
"""

from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

from afterword import words
from afterword.declarations import SEEN_CODE, UNDECLARED, declaration_of_code
from afterword.hooks import code, patches
from afterword.hooks.inside import coroutine_inside
from afterword.hooks.naming import identify, unwrapped
from afterword.hooks.process import PROCESS
from afterword.ledger.accounts import Account, Declaration

_MAX_ORIGINS: Final = 4096


class Origin:
    """Where spawned work comes from."""

    __slots__ = (
        "_held", "declaration", "foreign", "forever", "forgotten", "judged", "known", "name", "qualname", "quiet",
        "runs_another", "users",
    )  # fmt: skip

    def __init__(self, name: str, declaration: Declaration, body: CodeType | None, held: object = None) -> None:
        self.name, self.declaration = name, declaration
        self.users = body is not None and code.is_users(body.co_filename)
        #: It has no way out: a worker, wherever it is spawned.
        self.forever = body is not None and code.never_returns(body)
        #: What has to succeed every so often is booked whoever waits for it.
        self.forgotten = declaration.every is not None
        #: That it raised nothing does not say that it went well.
        self.judged = bool(declaration.effects) or declaration.success is not None
        #: A framework's coroutine that runs the one it was given: that one is what counts.
        self.runs_another = False
        #: A library's own, whatever it is given.
        self.foreign = False
        #: The account of its runs, once one was left alone by whoever spawned it.
        self.known: Account | None = None
        #: Of a run that raised nothing there is nothing to tell.
        self.quiet = not self.judged
        #: What tells that it is not the work of another product of the same decorator.
        self.qualname = None if body is None else body.co_qualname
        self._held = held  # what the key it is remembered by is the id of

    def account(self, kind: str) -> Account | None:
        """The account of its runs; None when nothing is booked any more."""
        owner = PROCESS.owner
        if owner is None or not PROCESS.active:
            return None
        return owner.account(self.name, words.WORKER if self.forever else kind, self.declaration)


_origins: Final[dict[Any, Origin]] = PROCESS.origins
#: The origin remembered for a piece of code, by its id: not of each product of a decorator.
known_by_code: Final = _origins.get


def of_coroutine(coro: Any) -> Origin:
    """The origin of a coroutine that has not begun, or of the one that a framework's runner holds."""
    body = getattr(coro, "cr_code", None)
    found = _origins.get(id(body))
    if found is not None and coro.__qualname__ is found.qualname and not found.runs_another:
        return found  # what happens most
    name = getattr(coro, "__qualname__", None)
    key: Any = (type(coro), name) if body is None else id(body) if name is body.co_qualname else (id(body), name)
    found = _origins.get(key)
    if found is None:
        if body in SEEN_CODE and coro.cr_frame is not None:
            return of_function(coro.cr_frame.f_locals["function"])
        found = _look_up(coro, body)
        _remember(key, found)
    return _inside(coro) or found if found.runs_another else found


def of_function(function: Callable[..., Any]) -> Origin:
    """The origin of a function that is handed to a thread or a pool, or called back by the loop."""
    inner: Any = function
    target = unwrapped(inner)
    body = getattr(target, "__code__", None)
    if body in SEEN_CODE:
        inner = target = target.__wrapped__
        body = target.__code__
    name, declaration = identify(inner)
    key = (id(body), name) if isinstance(body, CodeType) else (type(target), name)
    found = _origins.get(key)
    if found is None:
        found = Origin(name, declaration, body if isinstance(body, CodeType) else None, body)
        _remember(key, found)
    return found


def of_frame(frame: FrameType) -> Origin:
    """The origin of a function that is running."""
    body = frame.f_code
    name = f"{frame.f_globals.get('__name__')}.{body.co_qualname}"
    declaration = declaration_of_code(body, body.co_qualname)
    key = (id(body), name)
    found = _origins.get(key)
    if found is None:
        found = Origin(declaration.name or name, declaration, body, body)
        _remember(key, found)
    return found


def _remember(key: Any, origin: Origin) -> None:
    if len(_origins) >= _MAX_ORIGINS:
        _origins.clear()
    _origins[key] = origin


def _look_up(coro: Any, body: CodeType | None) -> Origin:
    frame = _frame_of(coro)
    declaration = declaration_of_code(body, getattr(coro, "__qualname__", ""))
    decorated = None if body is None or frame is None else _decorated(coro, body, frame)
    if decorated is None:
        found = Origin(declaration.name or _name(coro, frame), declaration, body, body)
        found.runs_another = not found.users and frame is not None and _inside(coro) is not None
        found.foreign = not found.users and frame is not None and not found.runs_another
        return found
    name, below = identify(decorated)
    innermost = patches.innermost(decorated)
    declaration = below if declaration is UNDECLARED else declaration
    return Origin(declaration.name or name, declaration, getattr(innermost, "__code__", body), body)


def _decorated(coro: Any, body: CodeType, frame: FrameType) -> FunctionType | None:
    """The function of the same name that a decorator's coroutine is going to call."""
    name = coro.__qualname__
    if name == body.co_qualname:
        return None
    held = (unwrapped(value) for value in frame.f_locals.values())
    return next((value for value in held if type(value) is FunctionType and value.__qualname__ == name), None)


def _inside(coro: Any) -> Origin | None:
    """The origin of the coroutine that a group or an instrumentation runs, or of what `ensure_future` wraps."""
    frame = _frame_of(coro)
    if frame is None:
        return None
    inner = coroutine_inside(frame)
    if inner is not None:
        return of_coroutine(inner)
    awaits = getattr(type(frame.f_locals.get("awaitable")), "__await__", None)
    return of_function(awaits) if isinstance(awaits, FunctionType) else None


def _frame_of(coro: Any) -> FrameType | None:
    found = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
    return found if isinstance(found, FrameType) else None


def _name(coro: Any, frame: FrameType | None) -> str:
    module = frame.f_globals.get("__name__") if frame is not None else None
    qualname = getattr(coro, "__qualname__", None) or type(coro).__qualname__
    return f"{module}.{qualname}" if isinstance(module, str) else str(qualname)
