"""Who spawned a task, a thread or a call of a pool: where its owner keeps it, and whether it is the application's."""

from collections.abc import Callable
from types import FrameType, FunctionType
from typing import Any, Final

from afterword import words
from afterword.declarations import UNDECLARED, declaration_of
from afterword.hooks import inside, origin, patches
from afterword.hooks.call import CURRENT, ENDED, NOT_OURS
from afterword.hooks.code import called_by_user
from afterword.hooks.naming import unwrapped
from afterword.hooks.nursery import LOOSE, Nursery
from afterword.hooks.origin import Origin
from afterword.hooks.process import PROCESS
from afterword.hooks.running import Lifespan, notes_of

_MAX_FUNCTIONS: Final = 4096
#: What asyncio and the executors run for themselves on behalf of whoever calls them.
_MACHINERY: Final = frozenset({"asyncio", "concurrent", "afterword"})
#: And what they do for whoever awaits it; the call in the pool, if there is one, is seen by itself.
MACHINES: Final = frozenset({"socket.getaddrinfo", "socket.getnameinfo", "asyncio.threads.to_thread"})


def keep(child: Any, source: Origin, owner: Any) -> None:
    """Give a child to its owner, the run that is on or else the request; what declares ``every=`` is booked at once."""
    nursery = _nursery_of(owner)
    if source.forgotten and type(owner) is not Lifespan:
        child.orphan = nursery is LOOSE
        child.adopt()
        if owner is not None or nursery is LOOSE:
            return
    nursery.add(child)


def _nursery_of(owner: Any) -> Nursery:
    if owner is None:
        call = CURRENT.get()
        return LOOSE if call is None or call.stage == ENDED else call.nursery()
    if owner.afterword_ended:
        return LOOSE
    account = owner.afterword_account
    if account is not None and account.kind == words.WORKER:  # it never ends
        return LOOSE
    notes = notes_of(owner)
    if notes.children is None:
        notes.children = Nursery()
    return notes.children


def source_of(function: Callable[..., Any], owner: Any, caller: FrameType) -> Origin | None:
    """The origin of a function that is handed to a thread or a pool; None when that is none of the application's.

    Args:
        function: What is handed over.
        owner: The run that is on.
        caller: The frame that hands it over.
    """
    found: Origin | None = PROCESS.origins.get(function) if type(function) is FunctionType else None
    if found is None:
        found = _look_up(function)
    call = CURRENT.get() if owner is None else None
    if call is NOT_OURS:
        return None
    if found.users:
        return found
    if (owner is None and call is None) or not called_by_user(caller):
        return None  # a library's function is work of the application only where that hands it over
    return None if found.name.partition(".")[0] in _MACHINERY or found.name in MACHINES else found


def _look_up(function: Any) -> Origin:
    """Decorators share their code, so the functions inside of them are told apart by what they decorate."""
    inner = inside.function_inside(function) or function
    body = unwrapped(inner)
    if isinstance(body, FunctionType) and declaration_of(body) is UNDECLARED:
        inner = patches.innermost(body)
    found = origin.of_function(inner)
    if type(function) is FunctionType and "<locals>" not in function.__qualname__:
        if len(PROCESS.origins) >= _MAX_FUNCTIONS:
            PROCESS.origins.clear()
        PROCESS.origins[function] = found
    return found
