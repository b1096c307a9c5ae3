"""Mounted applications: a lifespan that nobody runs is told when the application starts."""

import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, CodeType, GeneratorType
from typing import Any, Final

from starlette.applications import Starlette
from starlette.routing import Router

from afterword import words
from afterword.hooks import patches
from afterword.hooks.naming import identify, unwrapped
from afterword.hooks.process import PROCESS
from afterword.ledger.saying import say

_SKIPPED: Final = words.DROP_REASONS.index(words.LIFESPAN_SKIPPED)
_DEPTH: Final = 8
#: Starlette's and FastAPI's own: it runs the functions that are registered for start and end.
_DEFAULT: Final = "_DefaultLifespan"
#: FastAPI's, of an application and the routers it includes: it runs both of the lifespans it closes over.
_MERGED: Final = "_merge_lifespan_context.<locals>.merged_lifespan"
_MAX_PARTS: Final = 1024
_MISSING: Final = object()


class _Mounted:
    """One mounted application with a lifespan of its own: where, and the functions that should run."""

    def __init__(self, path: str, parts: list[Callable[..., Any]]) -> None:
        self.path, self.parts = path, parts
        self.runs = False

    def codes(self) -> set[CodeType]:
        """The code of its lifespan."""
        found = (getattr(_function(part), "__code__", None) for part in self.parts)
        return {code for code in found if code is not None}


class Subapps:
    """The mounted applications with a lifespan of their own, watched while the outer one starts."""

    def __init__(self, app: Starlette) -> None:
        self._mounted: list[_Mounted] = []
        self._watched: list[tuple[Any, str, Any, Any]] = []
        outer = _parts(app.router.lifespan_context)
        for path, router in _routers_below(app, "", _DEPTH, {id(app.router)}):
            parts = _parts(getattr(router, "lifespan_context", None))
            if parts and not all(part in outer for part in parts):
                mounted = _Mounted(path, parts)
                self._mounted.append(mounted)
                for name in ("lifespan_context", "startup", "_startup"):
                    if callable(getattr(router, name, None)):
                        self._watch(router, name, mounted)

    def _watch(self, router: Any, name: str, mounted: _Mounted) -> None:
        """The outer lifespan may run it by hand: then it asks for it here."""
        original = getattr(router, name)

        def asked(*args: Any, **kwargs: Any) -> Any:
            mounted.runs = True
            return original(*args, **kwargs)

        before = router.__dict__.get(name, _MISSING)
        with contextlib.suppress(AttributeError):  # a router of somebody's own that computes it
            setattr(router, name, asked)
            self._watched.append((router, name, before, asked))

    def tell_skipped(self) -> None:
        """The application is up: what does not run by now never will."""
        self.restore()
        skipped = [mounted for mounted in self._mounted if not mounted.runs]
        entered = Counter(code for mounted in self._mounted if mounted.runs for code in mounted.codes())
        on = _lifespans_on({code for mounted in skipped for code in mounted.codes()}) - entered if skipped else entered
        for mounted in skipped:
            codes = mounted.codes()
            if codes and all(on[code] > 0 for code in codes):
                on.subtract(codes)  # it was taken from the application before we watched that
            else:
                _tell(mounted)
        self._mounted.clear()

    def restore(self) -> None:
        """Put back what was watched."""
        while self._watched:
            router, name, before, ours = self._watched.pop()
            if router.__dict__.get(name) is not ours:
                continue
            if before is _MISSING:
                delattr(router, name)
            else:
                setattr(router, name, before)


def _tell(mounted: _Mounted) -> None:
    names = []
    for part in mounted.parts:
        name, declaration = identify(_function(part))
        names.append(name)
        if PROCESS.owner is not None:
            account = PROCESS.owner.account(name, words.WORKER, declaration)
            account.drop(account.schedule(), _SKIPPED)
    say(
        f"the lifespan {' and '.join(names)} of the application mounted at {mounted.path} is run by nobody: "
        "Starlette does not run the lifespans of mounted applications. Enter it in the lifespan of the outer one."
    )


def _lifespans_on(codes: set[CodeType]) -> Counter[CodeType]:
    """How many generators of these functions have begun and not ended: so a lifespan looks that is on."""
    on: Counter[CodeType] = Counter()
    for thing in gc.get_objects():
        if type(thing) is AsyncGeneratorType:
            if thing.ag_code in codes and thing.ag_frame is not None:
                on[thing.ag_code] += 1
        elif type(thing) is GeneratorType and thing.gi_code in codes and thing.gi_frame is not None:
            on[thing.gi_code] += 1
    return on


def _parts(context: Any) -> list[Callable[..., Any]]:
    """What a person wrote for start and end; nothing if it is all the framework's."""
    found: list[Any] = []
    left = [context]
    for _ in range(_MAX_PARTS):
        if not left:
            break
        context = left.pop()
        if type(context).__name__ == _DEFAULT:
            router = getattr(context, "_router", None)
            left_over = (*getattr(router, "on_startup", ()), *getattr(router, "on_shutdown", ()))
        elif getattr(context, "__qualname__", None) == _MERGED:
            function = patches.innermost(context)
            left += [cell.cell_contents for cell in reversed(function.__closure__ or ())]
            continue
        else:
            left_over = () if context is None else (context,)
        found += [part for part in left_over if part not in found]
    return found


def _function(part: Any) -> Any:
    return patches.innermost(unwrapped(part))


def _routers_below(app: Any, prefix: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    for route in getattr(app, "routes", None) or () if depth else ():
        path = prefix + str(getattr(route, "path", None) or getattr(route, "host", ""))
        included = getattr(route, "original_router", None)
        if included is not None:  # by FastAPI, which runs its lifespan
            yield from _routers_below(included, path, depth - 1, seen)
            continue
        inner = getattr(route, "app", None)
        for _ in range(_DEPTH):  # middleware around it
            if isinstance(inner, Starlette | Router):
                break
            inner = getattr(inner, "app", None)
        router = inner.router if isinstance(inner, Starlette) else inner
        if isinstance(router, Router) and id(router) not in seen:
            seen.add(id(router))
            yield path, router
            yield from _routers_below(router, path, depth - 1, seen)
