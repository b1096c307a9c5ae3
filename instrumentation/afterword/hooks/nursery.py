"""Children: what a request, a run or a lifespan spawned, and what becomes of it when whoever spawned it has ended.

A child that ends while its owner lasts is its owner's affair. One that goes on, that nobody awaits or that failed
unheard, is work the service owes: it is adopted, that is, booked as a run of its own.
"""

from typing import Any, Final, Protocol
from weakref import ref

from afterword.hooks.process import PROCESS

_PRUNE_AT: Final = 64


class Child(Protocol):
    """A spawned task, a thread or a future of a pool."""

    ended: bool
    #: How it failed, while that may have to be told yet.
    failure: Any
    #: Once it is a run of its own.
    afterword_account: Any

    def orphaned(self, *, by_owner: bool) -> bool:
        """Settle it: its owner has ended, or (not ``by_owner``) will never end. True when it needs no further look."""
        ...


class Nursery:
    """The children of one owner, held weakly: whoever keeps them alive is not we."""

    __slots__ = ("_limit", "children", "ended", "route")

    def __init__(self) -> None:
        self.children: list[ref[Any]] = []
        self.ended = False
        #: Of the request that owns it, its number in the ledger plus one.
        self.route = 0
        self._limit = _PRUNE_AT

    def add(self, child: Any) -> None:
        """Remember a child; of an owner that lasts, those that are gone are let go."""
        if self.ended:
            LOOSE.add(child)
            return
        children = self.children
        children.append(ref(child))
        if len(children) >= self._limit:
            self.children = [held for held in children if (known := held()) is not None and not _is_over(known)]
            self._limit = max(_PRUNE_AT, 2 * len(self.children))

    def settle(self) -> list[Any]:
        """The owner has ended. Its children, but for those that are gone or were its own affair to their end."""
        self.ended = True
        settled = []
        for child in self._taken():
            if child.ended and child.failure is None and child.afterword_account is None:
                continue
            settled.append(child)
            child.route = self.route
            try:
                if not child.orphaned(by_owner=True):
                    LOOSE.add(child)
            except Exception as error:  # noqa: BLE001 - observing may never break the work
                PROCESS.note(error)
        return settled

    def hand_over(self, heir: "Nursery") -> None:
        """The owner has ended within another, who may have got hold of them."""
        self.ended = True
        for child in self._taken():
            if not _is_over(child):
                heir.add(child)

    def _taken(self) -> list[Any]:
        """All that are still there; in one step, because other threads may add."""
        children, self.children = self.children, []
        return [child for held in children if (child := held()) is not None]

    def sweep(self) -> None:
        """The owner goes on for ever: settle those that have been left alone."""
        for child in self._taken():
            try:
                if not child.orphaned(by_owner=False):
                    self.children.append(ref(child))
            except Exception as error:  # noqa: BLE001 - observing may never break the work
                PROCESS.note(error)
        self._limit = max(_PRUNE_AT, 2 * len(self.children))


def _is_over(child: Child) -> bool:
    return child.ended and child.failure is None


#: Children that have no owner, or one that never ends; swept by the tick.
LOOSE: Final = Nursery()
