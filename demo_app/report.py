"""What the demo prints: one block per scenario, the balanced books, the verdict. Readable without colours, too."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from afterword.contract import DEFAULT_DEADLINE, DEFAULT_START_DEADLINE
from afterword.words import OUTCOMES
from demo_app.configs import ARTICLE_PATIENCE, SCRAPE_EVERY, SCRAPE_INTERVAL, TIME_SCALE
from demo_app.readings import Page, share
from demo_app.runner import Total, Verdict, in_words

_LAW: Final = {
    "scheduled": ("waiting", "started", "dropped", "lost waiting"),
    "started": ("running", *OUTCOMES, "lost running"),
    "scheduled ": ("arrived outside", "not done"),
}
#: Columns of the left margin with its label.
_MARGIN: Final = 22


def introduce(console: Console) -> None:
    """What will be seen, and on which clock."""
    console.print("[bold]afterword: a shop, everything that can happen to its background work, and the books.[/bold]")
    clock = (
        f"The clock of the rules runs {TIME_SCALE} times faster: a minute of a real installation is a second here. "
        f"A run is overdue after {DEFAULT_DEADLINE / TIME_SCALE:g} s (really {DEFAULT_DEADLINE / 60:g} min) and late "
        f"to start after {DEFAULT_START_DEADLINE / TIME_SCALE:g} s (really {DEFAULT_START_DEADLINE:g} s). "
        f"Prometheus scrapes every {SCRAPE_INTERVAL} (really {SCRAPE_EVERY:g} s). It evaluates its rules "
        "every second, which is not scaled: most of the time an alert takes here is spent waiting for that second."
    )
    counters = (
        "Beside afterword the shop carries four hand-written counters, as people have them today (started, succeeded, "
        'failed, duration: Fix 7 of the article "FastAPI BackgroundTasks Not Working"). Their alert waits '
        f"{ARTICLE_PATIENCE / TIME_SCALE:g} s (really {ARTICLE_PATIENCE / 60:g} min)."
    )
    for paragraph in (clock, counters):
        console.print(textwrap.fill(paragraph, console.width), soft_wrap=True)
    console.print()


def show(console: Console, verdict: Verdict) -> None:
    """One scenario: each witness in a line of its own."""
    took = f"(scenario took {verdict.seconds:.0f} s)"
    console.print(f"[bold]{verdict.title}[/bold]: {_mark(verdict)} [dim]{took}[/dim]", soft_wrap=True)
    _row(console, "what happened", [verdict.story])
    _row(console, "client saw", [_seen(verdict)])
    _row(console, "four counters", _article(verdict))
    _row(console, "afterword booked", _booked(verdict.booked) or ["nothing new: no work was open"])
    _row(console, "afterword's alerts", _alerts(verdict) or ["silent"])
    for number, line in enumerate(verdict.trace):  # a drawing: not wrapped
        label = "" if number else "one trace of it"
        console.print(Text.assemble((f"  {label:<{_MARGIN - 2}}", "dim"), line), soft_wrap=True)
    for problem in verdict.problems:
        _row(console, "PROBLEM", [problem], "red")
    console.print()


def _mark(verdict: Verdict) -> str:
    if not verdict.detected:
        return "[red bold]NOT AS IT SHOULD BE[/red bold]"
    if not verdict.expects_silence:
        return "[green]detected[/green]"
    others = "; [red]the four counters raised a false alarm[/red]" if verdict.article_alerts else ""
    return f"[green]afterword silent, as it should be[/green]{others}"


def _row(console: Console, label: str, lines: Sequence[str], style: str = "") -> None:
    """A label and its lines, wrapped between words and never cut; nothing is printed behind a line's end."""
    for line in lines:
        width = max(console.width - _MARGIN, 20)
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False):
            text = Text(part, style)
            text.highlight_regex(r"\bAfterword\w+", "bold")
            console.print(Text.assemble((f"  {label:<{_MARGIN - 2}}", "dim"), text), soft_wrap=True)
            label = ""


def close(console: Console, ends: Sequence[Total]) -> None:
    """The books at the end, beside what the outside world received."""
    if not ends:
        console.print("The books are empty: nothing was handed over.")
        return
    console.print("[bold]The books[/bold]")
    for whole, parts in _LAW.items():
        _equation(console, ends, whole, parts)
        console.print()


def _equation(console: Console, ends: Sequence[Total], whole: str, parts: Sequence[str]) -> None:
    """One law, and a line for each task: its two sides in the law's order, and whether they are equal."""
    console.print(f"  [dim]{whole.strip()} = {' + '.join(parts)}[/dim]", soft_wrap=True)
    names = max(len(total.task) for total in ends)
    rows = [[_cell(total, column) for column in (whole, *parts)] for total in ends]
    widths = [max(len(str(number)) for number in column) for column in zip(*rows, strict=True)]
    for total, numbers in zip(ends, rows, strict=True):
        left, *right = [f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True)]
        mark = "[green]balanced[/green]" if numbers[0] == sum(numbers[1:]) else "[red]WRONG[/red]"
        console.print(f"  {escape(total.task):<{names}}  {left} = {' + '.join(right)}  {mark}", soft_wrap=True)


def _cell(total: Total, column: str) -> int:
    if column in ("waiting", "running"):
        return total.page[column]
    if column == "arrived outside":
        return total.received
    return total.not_done if column == "not done" else share(total.page, *column.split())


def conclude(console: Console, verdicts: Sequence[Verdict], problems: Sequence[str], seconds: float) -> None:
    """The last lines."""
    good = sum(verdict.detected for verdict in verdicts)
    console.print(f"\n{good} of {len(verdicts)} scenarios as they should be, in {seconds:.0f} s.")
    for problem in problems:
        console.print(f"[red]{escape(problem)}[/red]")


def write_json(path: Path, verdicts: Sequence[Verdict], ends: Sequence[Total], seconds: float) -> None:
    """The same for machines."""
    content = {
        "time_scale": TIME_SCALE,
        "seconds": round(seconds, 1),
        "scenarios": [{**vars(verdict), "detected": verdict.detected} for verdict in verdicts],
        "books": [{**vars(total), "not_done": total.not_done, "problems": total.problems} for total in ends],
    }
    path.write_text(json.dumps(content, indent=2, default=vars) + "\n", encoding="utf-8")


def _seen(verdict: Verdict) -> str:
    if not verdict.requests:
        return "no requests"
    return ", ".join(f"{count} x {status}" for status, count in verdict.statuses.items())


def _article(verdict: Verdict) -> list[str]:
    gaps = {task: _gap(page) for task, page in verdict.article.items()}
    gap = ", ".join(f"{task} {count}" for task, count in sorted(gaps.items()) if count)
    if not gaps:
        return ["no counters: nobody serves them any more"]
    alerts = sorted({f"{fired.name} {fired.task}" for fired in verdict.article_alerts})
    false = "FALSE ALARM: " if alerts and verdict.expects_silence else ""
    told = f"{false}{', '.join(alerts)}" if alerts else "silent"
    return [f"started - succeeded - failed: {gap or '0 everywhere'}", f"its alerts: {told}"]


def _gap(page: Page) -> int:
    return page["started"] - page["succeeded"] - page["failed"]


def _booked(booked: dict[str, Page]) -> list[str]:
    return [f"{task}: {in_words(page)}" for task, page in booked.items()]


def _alerts(verdict: Verdict) -> list[str]:
    lines = []
    for fired in verdict.alerts:
        after = verdict.alerted_after.get(f"{fired.name} {fired.task}".rstrip())
        when = "" if after is None else f"after {after:.1f} s"
        why = f"({fired.reason})" if fired.reason else ""
        lines.append(" ".join(part for part in (fired.name, fired.task, why, when) if part))
    return lines
