"""What a scenario is: something that happens, what must be booked for it, which alerts must fire."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from demo_app.customers import TASKS, Visits
from demo_app.readings import Page
from demo_app.stack import Stack

SUCCEEDED, FAILED, CANCELLED, CUT = "succeeded", "failed", "cancelled", "lost shutdown running"
_NEVER_STARTED: Final = ("dropped", "waiting")


@dataclass(frozen=True)
class Expected:
    """An alert that must fire, for this task if it names one."""

    alert: str
    task: str = ""
    reason: str = ""


@dataclass
class Happened:
    """What was done to the shop, and so what the books have to say once it is calm again."""

    visits: Visits
    at: float = field(default_factory=time.time)
    booked: dict[str, Page] = field(default_factory=dict)
    #: Endings that count as another one for a task, because the race between them is not ours to decide.
    same: dict[str, tuple[str, str]] = field(default_factory=dict)

    def ended(self, task: str, count: int, ending: str = SUCCEEDED) -> None:
        """``count`` runs of ``task`` have this ending: ``failed``, ``dropped shutdown``, ``lost killed running`` ..."""
        if not count:
            return
        page = self.booked.setdefault(task, Counter())
        page["scheduled"] += count
        page[ending] += count
        if not set(ending.split()) & set(_NEVER_STARTED):
            page["started"] += count

    def all_ended(self, routes: Mapping[str, int], endings: Mapping[str, str] | None = None) -> None:
        """Everything these requests handed over succeeded, but for the tasks in ``endings``."""
        for route, count in routes.items():
            for task in TASKS[route]:
                self.ended(task, count, (endings or {}).get(task, SUCCEEDED))


@dataclass(frozen=True)
class Scenario:
    """One thing that happens; without alerts it must stay silent."""

    name: str
    title: str
    story: str
    act: Callable[[Stack], Happened]
    alerts: tuple[Expected, ...] = ()
    #: Alerts that are true as well, but whether they come is a matter of timing.
    may: tuple[Expected, ...] = ()
    #: What it takes, besides a world that behaves, to make everything well again.
    mend: Callable[[Stack], None] = lambda _: None
