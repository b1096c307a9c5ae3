"""What one scan of a directory finds."""

from dataclasses import dataclass, field

from afterword.books.directory import Listing
from afterword.books.ended import Ended
from afterword.books.lost_runs import LostRun
from afterword.books.model import Totals
from afterword.books.outbox import Batch, SpanCounts


@dataclass(slots=True)
class Scan:
    """The books at one moment. ``at`` in Unix seconds, ``seconds`` is how long the reading took."""

    totals: Totals
    born: dict[str, float]
    listing: Listing
    ledgers: int
    at: float
    seconds: float
    fold_errors: int
    spans: SpanCounts


@dataclass(slots=True)
class Dead:
    """What a dead process left behind: its totals, and its open runs one by one with the spans of the traced ones."""

    totals: Totals
    lost: list[LostRun]
    #: These, behind the last bad endings that it kept itself.
    ended: list[Ended]
    spans: Batch


@dataclass(slots=True)
class Reading:
    """The ledgers of a scan: what lives together, what is dead one by one."""

    living: Totals = field(default_factory=Totals)
    #: Bad endings that living processes have kept and nobody has read yet, by ledger.
    kept: dict[str, list[Ended]] = field(default_factory=dict)
    dead: dict[str, Dead] = field(default_factory=dict)
