"""What a task is called: ``module.qualname`` of the function a person wrote, never an argument."""

import functools
from collections.abc import Callable
from contextvars import Context
from types import BuiltinMethodType, MethodType
from typing import Any

from afterword.declarations import UNDECLARED, declaration_of
from afterword.ledger.accounts import Declaration


def identify(function: Callable[..., Any]) -> tuple[str, Declaration]:
    """The name and the declaration of whatever was handed over. Never raises."""
    innermost = unwrapped(function)
    declaration = declaration_of(innermost)
    if declaration is UNDECLARED:
        declaration = declaration_of(type(innermost))
    return declaration.name or _qualified(innermost), declaration


def function_name(function: Callable[..., Any]) -> str:
    """``module.qualname`` of the function itself, whatever name it declares."""
    return _qualified(unwrapped(function))


def unwrapped(function: Callable[..., Any]) -> Any:
    """The function inside partials and bound methods; a callable object stays itself.

    Of ``partial(context.run, function)``, which `asyncio.to_thread` hands over, it is what runs in the context.
    """
    inner: Any = function
    for _ in range(32):
        if type(inner) is MethodType:
            inner = inner.__func__
        elif isinstance(inner, functools.partial):
            inner = inner.args[0] if inner.args and runs_in_context(inner.func) else inner.func
        else:
            break
    return inner


def runs_in_context(function: Any) -> bool:
    """Whether it is ``context.run``, and runs what it gets first."""
    return type(function) is BuiltinMethodType and type(function.__self__) is Context


def _qualified(thing: Any) -> str:
    name = _text(thing, "__qualname__")
    if name is None:
        thing = type(thing)
        name = thing.__qualname__
    module = _text(thing, "__module__")
    return f"{module}.{name}" if module is not None else name


def _text(thing: Any, attribute: str) -> str | None:
    try:
        found = getattr(thing, attribute, None)
    except Exception:  # noqa: BLE001 - the user's object computes its attributes and fails at it
        return None
    return found if isinstance(found, str) else None
