"""Under which template a route answers: its own path behind those of all mounts, hosts and routers above it.

A route knows only the path below the router it stands in, so the way down to it is looked for once,
from the outermost router. Whatever stands in the tree at several places is told apart by each request.
"""

import re
from collections.abc import Iterable, Iterator, MutableMapping
from itertools import islice
from typing import Any, Final

from starlette.convertors import CONVERTOR_TYPES
from starlette.datastructures import Headers
from starlette.routing import PARAM_REGEX, Host, Mount

Scope = MutableMapping[str, Any]

#: Mounts within mounts: an application may be mounted in itself.
_DEPTH: Final = 8
_MAX_PLACES: Final = 1024


class Place:
    """One place of the tree: the hosts and the path above it, and its own."""

    __slots__ = ("_hosts", "_path", "_regex", "template")

    def __init__(self, hosts: tuple[Host, ...] = (), path: str = "") -> None:
        self._hosts, self._path = hosts, path
        self._regex: re.Pattern[str] | None = None
        host = "".join(host.host_format for host in hosts)
        self.template = host + (PARAM_REGEX.sub(r"{\1}", path) or "/")

    def below(self, path: str, host: Host | None = None) -> "Place":
        """A place below this one."""
        return Place(self._hosts if host is None else (*self._hosts, host), self._path + path)

    def at(self, other: "Place") -> "Place":
        """The same in a tree that stands at ``other``."""
        return Place(other._hosts + self._hosts, other._path + self._path)

    def answers(self, host: str, path: str) -> bool:
        """Whether a request for ``path`` at ``host`` comes to this place."""
        if self._regex is None:
            self._regex = re.compile(_pattern(self._path))
        return self._regex.fullmatch(path) is not None and all(h.host_regex.match(host) for h in self._hosts)


def places_of(target: object, scope: Scope) -> tuple[Place, ...]:
    """Every place at which ``target``, a route or an endpoint, stands in the tree that answered."""
    found = list(islice(_walk(scope.get("router"), target, Place(), 0), _MAX_PLACES))
    exact = [place for place, standing in found if standing]
    if not exact:
        # Behind something that does not show its routes: the innermost application shows them.
        inner = [place for place, standing in _walk(scope.get("app"), target, Place(), 0) if standing]
        exact = [place.at(above) for above, _ in found for place in inner]
    return tuple(exact)


def place_among(places: tuple[Place, ...], scope: Scope) -> Place:
    """Which of ``places`` answered this request; in doubt, the first."""
    if len(places) > 1:
        host = Headers(scope=scope).get("host", "").partition(":")[0].lower()
        root = scope.get("app_root_path", scope.get("root_path", ""))
        path = scope["path"].removeprefix(root)
        for place in places:
            if place.answers(host, path):
                return place
    return places[0]


def _walk(router: Any, target: object, above: Place, depth: int) -> Iterator[tuple[Place, bool]]:
    """The places of ``target`` below a router, each with True; with False those that do not show what they hold."""
    if depth > _DEPTH:
        return
    for route in _routes_of(router):
        if isinstance(route, Mount):
            below = above.below(route.path)
        elif isinstance(route, Host):
            below = above.below("", route)
        elif hasattr(route, "original_router"):  # FastAPI 0.137: what is included stays a router, with its prefix apart
            yield from _walk(route.original_router, target, above.below(route.include_context.prefix), depth + 1)
            continue
        else:
            if route is target or getattr(route, "endpoint", None) is target:
                yield above.below(route.path), True
            continue
        if _routes_of(route):
            yield from _walk(route, target, below, depth + 1)
        else:
            yield below, False


def _routes_of(thing: Any) -> Iterable[Any]:
    """The routes of a router, an application or a mount, also within middleware."""
    for _ in range(_DEPTH):
        routes: Iterable[Any] = getattr(thing, "routes", None) or ()
        if routes or thing is None:
            return routes
        thing = getattr(thing, "app", None)
    return ()


def _pattern(path: str) -> str:
    """A regular expression for a path, in which parameters of mount and route may have one name."""
    parts = PARAM_REGEX.split(path)
    found = re.escape(parts[0])
    for _, kind, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        found += f"(?:{CONVERTOR_TYPES[(kind or ':str')[1:]].regex})" + re.escape(text)
    return found
