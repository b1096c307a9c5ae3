"""Successful responses per route: how many scheduled something, and which missed what their endpoint declares."""

import contextlib
import sys
import weakref
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from afterword import words
from afterword.declarations import UNDECLARED
from afterword.expectations import expectations_of
from afterword.hooks.naming import identify
from afterword.hooks.process import PROCESS
from afterword.hooks.templates import Place, place_among, places_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.hooks.call import Call
    from afterword.ledger.accounts import Account, Declaration
    from afterword.ledger.open_ledger import OpenLedger
    from afterword.ledger.owner import Owner

Scope = MutableMapping[str, Any]

#: The methods that OpenTelemetry calls known; a client may send any word.
_METHODS: Final = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
_OTHER_METHOD: Final = "_OTHER"
_MAX_KNOWN: Final = 4096
_MAX_TREES: Final = 8
#: Where a route that no longer fits the ledger counts.
_NOWHERE: Final = [0, 0]


class _Counters:
    """One template under one method, in one ledger. Under a GIL no other thread comes in between a ``+= 1``."""

    __slots__ = ("_expected", "_held", "_links", "_route", "ledger", "number", "view", "without")

    def __init__(self, ledger: "OpenLedger", name: str, held: object) -> None:
        self.ledger = ledger
        self._held = held
        self._route = ledger.route(name)
        fits = self._route >= 0
        #: Its number in the ledger plus one.
        self.number = ledger.route_number(self._route)
        self.view: Any = ledger.context.words if fits else _NOWHERE
        self.without = self._route + 1 if fits else 1
        self._links: dict[Account, int] = {}
        self._expected: list[Account] = []

    def expect(self, account: "Account") -> None:
        """Every response has to schedule this task: it is in the books from now on."""
        if account not in self._expected:
            self._expected.append(account)
            self._link(account)

    def count(self, accounts: "Sequence[Account]") -> None:
        """Count one response that scheduled ``accounts``."""
        view = self.view
        if len(accounts) == 1 and not self._expected:  # the same, for what happens most
            link = self._links.get(accounts[0], -1)
            if link >= 0:
                view[self.without - 1] += 1
                view[link] += 1
                return
        scheduled = {account.name: account for account in accounts}
        view[self.without - 1 if scheduled else self.without] += 1
        for account in scheduled.values():
            link = self._link(account)
            if link >= 0:
                view[link] += 1
        if words.OTHER in scheduled:  # a task whose name no longer fits: it may be any of the expected
            return
        for account in self._expected:
            link = self._link(account)
            if link >= 0 and account.name not in scheduled:
                view[link + 1] += 1

    def _link(self, account: "Account") -> int:
        link = self._links.get(account)
        if link is None:
            if self._route < 0 or account.words is not self.view:  # it is being bound to another ledger just now
                return -1
            link = self._links[account] = self.ledger.link(self._route, account)
            if link >= 0 and account in self._expected:
                self.ledger.expect(link)
        return link


class _Unwritten:
    """In the place of counters, where an application that never scheduled anything leaves no file."""

    ledger = None
    without = 0

    def __init__(self) -> None:
        self.view = [0]


class _Known:
    """What was looked up once about a route, or about an endpoint where the framework does not tell its route."""

    __slots__ = ("counters", "held", "trees")

    def __init__(self, held: object) -> None:
        self.held = held
        #: Its places below each outermost router it was met under.
        self.trees: list[tuple[weakref.ref[Any], tuple[Place, ...]]] = []
        self.counters: dict[str, _Counters] = {}


#: By the id of the route, for as long as that lives: an application may be made for one request.
_known: Final[dict[int, _Known]] = {}
#: By method and by the id of the route, where a response that scheduled nothing takes one store and no further look.
#: Not even whose it is: two applications that hold one router at different prefixes are told apart elsewhere only.
_plain: Final[dict[str, dict[int, Any]]] = {method: {} for method in _METHODS}


def responded(scope: Scope, call: "Call") -> None:
    """Count the response of an HTTP call that ended without raising."""
    if not 200 <= call.status < 400:
        return
    try:
        owner = PROCESS.owner
        if owner is None:
            return
        try:
            counters = _plain[scope["method"]][id(scope["route"])]
        except KeyError:
            _count(owner, scope, call.accounts or ())
            return
        if counters.ledger is not owner.ledger:
            _count(owner, scope, call.accounts or ())
        elif call.accounts:
            counters.count(call.accounts)
        else:
            counters.view[counters.without] += 1
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)


def number_of(scope: Scope) -> int:
    """The number in the ledger plus one of the route that answers a request; 0 while it is not known."""
    try:
        owner = PROCESS.owner
        if owner is None or "method" not in scope:
            return 0
        counters = _plain.get(scope["method"], {}).get(id(scope.get("route")))
        if counters is not None and counters.ledger is not None and counters.ledger is owner.ledger:
            return int(counters.number)
        found = _stand(scope)
        if found is None or not owner.open() or owner.ledger is None:
            return 0
        return owner.ledger.route_number(owner.ledger.route(found.name, counts=False))
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return 0


class _Stand(NamedTuple):
    """A route, or an endpoint, at the place where it answered."""

    target: Any
    known: _Known
    method: str
    template: str
    #: Whether it answers there only, so that the next time nobody has to look.
    only: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"


def _stand(scope: Scope) -> _Stand | None:
    route = scope.get("route")
    # What has no endpoint is a mount above the route, or a router that leaves it at that.
    target = route if hasattr(route, "endpoint") else scope.get("endpoint")
    if target is None:
        return None
    known = _known.get(id(target)) or _meet(target)
    places = _places(known, target, scope)
    if not places:
        return None
    method = scope["method"] if scope["method"] in _plain else _OTHER_METHOD
    only = len(known.trees) == len(places) == 1 and method in _plain
    return _Stand(target, known, method, place_among(places, scope).template, only)


def _count(owner: "Owner", scope: Scope, scheduled: "Sequence[Account]") -> None:
    stand = _stand(scope)
    if stand is None:
        return
    target, known, method = stand.target, stand.known, stand.method
    if owner.ledger is None:
        if not scheduled and not _tasks_expected(getattr(target, "endpoint", target), method):
            if stand.only:
                _plain[method][id(target)] = _Unwritten()
            return
        owner.open()
    ledger = owner.ledger
    if ledger is None:
        return
    counters = known.counters.get(stand.name)
    if counters is None or counters.ledger is not ledger:
        counters = known.counters[stand.name] = _Counters(ledger, stand.name, known.held)
        tasks = _tasks_expected(getattr(target, "endpoint", target), method)
        for task in tasks:
            counters.expect(_account(owner, task, scheduled))
        if not tasks and stand.only:
            _plain[method][id(target)] = counters
    counters.count(scheduled)


def _meet(target: Any) -> _Known:
    number = id(target)
    held: object = target
    with contextlib.suppress(TypeError):  # what has no room for weak references is kept: its id must stay its own
        held = weakref.ref(target, lambda _: _forget(number))
    if len(_known) >= _MAX_KNOWN:
        for other in list(_known):
            _forget(other)
    known = _known[number] = _Known(held)
    return known


def _forget(number: int) -> None:
    _known.pop(number, None)
    _look_each_time(number)


def _look_each_time(number: int) -> None:
    for counters in _plain.values():
        counters.pop(number, None)


def _places(known: _Known, target: Any, scope: Scope) -> tuple[Place, ...]:
    """Where ``target`` stands. What fails here would fail with each request, so that is remembered as well."""
    router = scope.get("router")
    if router is None:
        return ()
    for tree, places in known.trees:
        if tree() is router:
            return places
    _look_each_time(id(target))
    found: tuple[Place, ...] = ()
    try:
        found = places_of(target, scope)
    finally:
        living = [tree for tree in known.trees if tree[0]() is not None]
        known.trees = [*living[1 - _MAX_TREES :], (weakref.ref(router), found)]
    return found


def _tasks_expected(endpoint: Any, method: str) -> tuple[Callable[..., Any] | str, ...]:
    found = expectations_of(endpoint)
    if isinstance(endpoint, type):  # Starlette's HTTPEndpoint: a function for each method
        name = "get" if method == "HEAD" and not hasattr(endpoint, "head") else method.lower()
        found += expectations_of(getattr(endpoint, name, None))
    return found


def _account(owner: "Owner", task: Callable[..., Any] | str, scheduled: "Sequence[Account]") -> "Account":
    """The account of an expected task: of the kind it was just scheduled as, if it was."""
    name, declaration = (task, _declared(task)) if isinstance(task, str) else identify(task)
    for account in scheduled:
        if account.name == name:
            return account
    return owner.account(name, words.BACKGROUND, declaration)


def _declared(name: str) -> "Declaration":
    """What the function of this name declares, if it is loaded: who opens an account decides about its deadlines."""
    path = name.split(".")
    for end in range(len(path) - 1, 0, -1):
        thing: Any = sys.modules.get(".".join(path[:end]))
        if thing is not None:
            for attribute in path[end:]:
                thing = getattr(thing, "__dict__", {}).get(attribute)  # a look that runs no code of the module's
            return identify(thing)[1] if callable(thing) else UNDECLARED
    return UNDECLARED
