"""Outcomes by test, of two passes side by side: what is the same, what differs, what differs by itself."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from afterword.books.bookkeeper import Bookkeeper


@dataclass
class Outcomes:
    """What one pass recorded. ``booked`` counts runs by test file, ``of`` is passed, failed, skipped, xfailed, ..."""

    of: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    booked: Counter[str] = field(default_factory=Counter)
    finished: bool = False
    log: str = ""
    #: Of afterword's own, from the ledgers that the pass left behind.
    internal_errors: int = 0


def read(record: Path, log: Path, directory: Path | None) -> Outcomes:
    """The recorder's lines, and the books that the pass left behind."""
    made = Outcomes(log=log.read_text(encoding="utf-8", errors="replace"))
    for line in record.read_text(encoding="utf-8").splitlines() if record.exists() else ():
        entry = json.loads(line)
        if "test" in entry:
            made.of[entry["test"]], made.said[entry["test"]] = entry["outcome"], entry["said"]
        elif "booked" in entry:
            made.booked[entry["file"]] += entry["booked"]
        else:
            made.finished = True
    if directory is not None:
        totals = Bookkeeper(directory).scan().totals
        made.internal_errors = sum(service.internal_errors for service in totals.services.values())
    return made


@dataclass
class Comparison:
    """A bare pass and one under afterword."""

    bare: Outcomes
    watched: Outcomes
    #: Differed, and came out otherwise when they ran bare once more: they differ by themselves.
    flaky: set[str] = field(default_factory=set)
    different: set[str] = field(init=False)

    def __post_init__(self) -> None:
        one, other = self.bare.of, self.watched.of
        self.different = {test for test in one.keys() | other.keys() if one.get(test) != other.get(test)}

    def look_again(self, again: Outcomes | None) -> None:
        """Take those for flaky that another bare pass did not end as the first."""
        if again is not None:
            self.flaky = {test for test in self.different if again.of.get(test) != self.bare.of.get(test)}
            self.different -= self.flaky

    @property
    def fine(self) -> bool:
        """Nothing differs, both passes came to their end, something was booked, and without an error of ours."""
        return not self.complaints()

    def complaints(self) -> list[str]:
        """What is wrong beside the tests that differ."""
        said = [f"{len(self.different)} tests differ"] if self.different else []
        if not self.bare.of:
            said.append(f"the bare pass ran no test:\n{self.bare.log[-4000:]}")
        if not (self.bare.finished and self.watched.finished):
            said.append(f"a pass did not come to its end:\n{self.watched.log[-4000:]}")
        if not self.watched.booked.total():
            said.append("nothing was booked, so nothing is proved")
        if self.watched.internal_errors:
            said.append(f"{self.watched.internal_errors} internal errors of afterword:\n{self.watched.log[-4000:]}")
        return said
