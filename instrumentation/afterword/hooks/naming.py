"""What a task is called: ``module.qualname`` of the function a person wrote, never an argument."""

import functools
from collections.abc import Callable
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


def unwrapped(function: Callable[..., Any]) -> Any:
    """The function inside partials and bound methods; a callable object stays itself."""
    inner: Any = function
    for _ in range(32):
        if isinstance(inner, functools.partial | functools.partialmethod):
            inner = inner.func
        else:
            break
    return getattr(inner, "__func__", inner)


def _qualified(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None)
    if not isinstance(name, str):
        thing = type(thing)
        name = thing.__qualname__
    module = getattr(thing, "__module__", None)
    return f"{module}.{name}" if isinstance(module, str) else name
