"""Runs in a process of its own: imports an application, and writes what it is made of to a file."""

import importlib
import inspect
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_WRAPPED: Final = ("app", "other_asgi_app", "_app", "wrapped_app", "inner")
_DEEPEST: Final = 12


class WrongError(Exception):
    """What the target names is no application; the rest of a sentence about it."""


def main(arguments: list[str]) -> None:
    """Write an answer, whatever happens, and leave without waiting for threads of the application."""
    target, answer = arguments
    try:
        seen = look(target)
    except WrongError as error:
        seen = {"wrong": str(error)}
    except BaseException as error:  # noqa: BLE001 - also sys.exit of a module: it is told, not raised
        seen = {"problem": _sentence(error)}
    Path(answer).write_text(json.dumps(seen), encoding="utf-8")
    os._exit(0)


def look(target: str) -> dict[str, Any]:
    """What the application of a target is made of."""
    module_name, _, attribute = target.partition(":")
    module = importlib.import_module(module_name)
    app = _unwrapped(_application(_attribute(module, attribute)))
    return {
        "middleware": _middleware(app),
        "endpoints": [list(one) for one in _endpoints(getattr(app, "routes", []), 0)],
        "modules": sorted(sys.modules),
    }


def _attribute(module: Any, attribute: str) -> Any:
    found = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            from starlette.applications import Starlette

            others = [key for key, value in vars(module).items() if isinstance(value, Starlette)]
            hint = f", but {' and '.join(others)}" if others else ""
            raise WrongError(f"does not exist: the module has no {name!r}{hint}") from None
    return found


def _application(found: Any) -> Any:
    """The application itself; what is no application is called, as ``uvicorn --factory`` does."""
    if _is_application(found):
        return found
    if inspect.isfunction(found) and not _needs_arguments(found):
        made = found()
        if _is_application(made):
            return made
        raise WrongError(f"is a function that gives {type(made).__name__}")
    if inspect.isclass(found):
        raise WrongError("is a class")
    raise WrongError(
        "is a function that needs arguments" if inspect.isfunction(found) else f"is a {type(found).__name__}"
    )


def _is_application(found: Any) -> bool:
    from starlette.applications import Starlette

    if isinstance(found, Starlette):
        return True
    if inspect.isclass(found) or not callable(found):
        return False
    function = found if inspect.isfunction(found) or inspect.ismethod(found) else type(found).__call__
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    needed = [one for one in parameters if one.name != "self" and one.default is one.empty
              and one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]  # fmt: skip
    return len(needed) == 3 and inspect.iscoroutinefunction(function)


def _needs_arguments(function: Any) -> bool:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return any(one.default is one.empty and one.kind not in kinds for one in parameters)


def _unwrapped(app: Any) -> Any:
    """The application inside of ASGI middleware that somebody put around it by hand."""
    for _ in range(_DEEPEST):
        if hasattr(app, "routes"):
            break
        inner = next((getattr(app, name) for name in _WRAPPED if callable(getattr(app, name, None))), None)
        if inner is None:
            break
        app = inner
    return app


def _middleware(app: Any) -> list[tuple[str, str]]:
    """The installed classes that derive from ``BaseHTTPMiddleware``, by name and file."""
    from starlette.middleware.base import BaseHTTPMiddleware

    found = []
    for one in getattr(app, "user_middleware", []):
        kind = getattr(one, "cls", None)
        if inspect.isclass(kind) and issubclass(kind, BaseHTTPMiddleware):
            options = getattr(one, "kwargs", None) or getattr(one, "options", {})
            named = options.get("dispatch") if kind is BaseHTTPMiddleware else None
            thing = named if inspect.isfunction(named) else kind
            found.append((f"{thing.__module__}.{thing.__name__}", _file(thing)))
    return found


def _endpoints(routes: Any, depth: int) -> Iterator[tuple[str, int, bool]]:
    """File, line and kind of every endpoint, of included routers and mounted applications too."""
    if depth > _DEEPEST:
        return
    for route in _flat(routes):
        endpoint = getattr(route, "endpoint", None)
        if endpoint is not None and (place := _place(endpoint)) is not None:
            yield *place, "WebSocket" in type(getattr(route, "original_route", route)).__name__
        inner = getattr(route, "app", None)
        if endpoint is None and inner is not None:
            yield from _endpoints(getattr(_unwrapped(inner), "routes", []), depth + 1)


def _flat(routes: Any) -> Any:
    """Routes of included routers too, which FastAPI since 0.137 keeps nested."""
    try:
        from fastapi.routing import iter_route_contexts
    except ImportError:
        return routes
    return iter_route_contexts(routes)


def _place(endpoint: Any) -> tuple[str, int] | None:
    function = inspect.unwrap(endpoint)
    function = getattr(function, "func", function)
    code = getattr(function, "__code__", None)
    return (str(Path(code.co_filename).resolve()), code.co_firstlineno) if code is not None else None


def _file(thing: Any) -> str:
    return str(getattr(sys.modules.get(thing.__module__), "__file__", "") or "")


def _sentence(error: BaseException) -> str:
    told = " ".join(str(error).split())[:300]
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f" ({Path(last.tb_frame.f_code.co_filename).name}, line {last.tb_lineno})" if last is not None else ""
    if isinstance(error, SyntaxError) and error.filename:
        told, place = error.msg, f" ({Path(error.filename).name}, line {error.lineno})"
    if isinstance(error, SystemExit):
        return f"it ends its process with sys.exit({told}){place}"
    return f"{type(error).__name__}: {told}{place}" if told else f"{type(error).__name__}{place}"


if __name__ == "__main__":
    main(sys.argv[1:])
