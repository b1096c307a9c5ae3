"""How findings are told: to a person, and to a program."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Final

from afterword import __version__
from afterword.doctor.finding import LEVELS, Finding, counted

_COLOURS: Final = {"ok": "\033[32m", "note": "\033[36m", "warning": "\033[33m", "problem": "\033[1;31m"}
_DIM, _BOLD, _PLAIN = "\033[2m", "\033[1m", "\033[0m"


class Tally:
    """Counts findings by level on their way through."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(LEVELS, 0))

    def of(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """The same findings."""
        for finding in findings:
            self.counts[finding.level] += 1
            yield finding

    def status(self, *, strict: bool) -> int:
        """The exit status: 1 if there is a problem, or to the strict a warning."""
        return int(bool(self.counts["problem"] or (strict and self.counts["warning"])))


def wants_colour(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """A terminal that was not asked to do without."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def lines(findings: Iterable[Finding], tally: Tally, *, colour: bool) -> Iterator[str]:
    """One line for each finding, below the name of its group; what to do below what is not as it should be."""

    def in_(code: str, text: str) -> str:
        return f"{code}{text}{_PLAIN}" if colour else text

    group = ""
    for finding in tally.of(findings):
        if finding.check.partition(".")[0] != group:
            yield from ([""] if group else [])
            group = finding.check.partition(".")[0]
            yield in_(_BOLD, group)
        level, check = in_(_COLOURS[finding.level], f"{finding.level:<8}"), in_(_DIM, f"[{finding.check}]")
        yield f"  {level} {finding.found} {check}"
        if finding.do:
            yield f"           {in_(_DIM, '->')} {finding.do}"
    n = tally.counts
    yield ""
    yield f"{counted(n['problem'], 'problem')}, {counted(n['warning'], 'warning')}, {counted(n['note'], 'note')}"


def as_json(findings: Iterable[Finding], tally: Tally) -> str:
    """The same for a program; what is there stays under its name."""
    told = [{"check": one.check, "level": one.level, "found": one.found, "do": one.do} for one in tally.of(findings)]
    n = tally.counts
    whole = {
        "version": __version__,
        "problems": n["problem"],
        "warnings": n["warning"],
        "notes": n["note"],
        "findings": told,
    }
    return json.dumps(whole, indent=2) + "\n"
