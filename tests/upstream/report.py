"""The table a person reads: by test file what ran, what was the same, what was booked, and every test that differs."""

import sys
from collections import Counter

from tests.upstream.outcomes import Comparison
from tests.upstream.passes import Pass

_HEAD = ("file", "tests", "same", "different", "booked")


def say(text: str) -> None:
    """One line, at once: the passes take minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(kind: Pass, of: Comparison) -> None:
    """The table, then each difference by name, then the sum."""
    say(f"\n-- {kind.name}")
    files = Counter(test.partition("::")[0] for test in of.bare.of.keys() | of.watched.of.keys())
    different = Counter(test.partition("::")[0] for test in of.different)
    rows: list[tuple[str, ...]] = [_HEAD]
    for file, tests in sorted(files.items()):
        numbers = (tests, tests - different[file], different[file], of.watched.booked[file])
        rows.append((file, *(str(number) for number in numbers)))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        say("  ".join([name.ljust(wide[0]), *(cell.rjust(width) for cell, width in zip(cells, wide[1:], strict=True))]))
    for test in sorted(of.different):
        say(f"DIFFERENT {test}: bare {of.bare.of.get(test)}, {kind.name} {of.watched.of.get(test)}")
        say("    " + (of.watched.said.get(test) or of.bare.said.get(test) or "").replace("\n", "\n    "))
    for test in sorted(of.flaky):
        say(f"flaky     {test}: bare once {of.bare.of.get(test)}, then otherwise; not counted")
    ended = ", ".join(f"{n} {outcome}" for outcome, n in sorted(Counter(of.bare.of.values()).items()))
    total, booked = sum(files.values()), of.watched.booked.total()
    say(f"{total} tests (bare: {ended}), {len(of.different)} different; {booked} runs booked")
    for complaint in of.complaints():
        say(f"NOT FINE: {complaint}")
