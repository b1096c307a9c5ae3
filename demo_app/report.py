"""What the demo prints: one block per scenario, the balanced books, the verdict. Readable without colours, too."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from afterword.contract import DEFAULT_DEADLINE
from afterword.words import OUTCOMES
from demo_app.configs import ARTICLE_PATIENCE, SCRAPE_EVERY, SCRAPE_INTERVAL, START_DEADLINE, TIME_SCALE
from demo_app.readings import Fired, Page, share
from demo_app.runner import Total, Verdict, in_words

_LAW: Final = {
    "scheduled": ("waiting", "started", "dropped", "lost waiting"),
    "started": ("running", *OUTCOMES, "lost running"),
    "scheduled ": ("arrived outside", "not done"),
}


def introduce(console: Console) -> None:
    """What will be seen, and on which clock."""
    console.print("[bold]afterword: a shop, everything that can happen to its background work, and the books.[/bold]")
    console.print(
        f"The clock of the rules runs {TIME_SCALE} times faster: a minute of a real installation is a second here. "
        f"A run is overdue after {DEFAULT_DEADLINE / TIME_SCALE:g} s (really {DEFAULT_DEADLINE / 60:g} min) and late "
        f"to start after {START_DEADLINE / TIME_SCALE:g} s (really {START_DEADLINE:g} s). The "
        f"article's alert waits {ARTICLE_PATIENCE / TIME_SCALE:g} s (really {ARTICLE_PATIENCE / 60:g} min). "
        f"Prometheus scrapes every {SCRAPE_INTERVAL} (really {SCRAPE_EVERY:g} s). It evaluates its rules "
        "every second, which is not scaled: most of the time an alert takes here is spent waiting for that second.\n"
    )


def show(console: Console, verdict: Verdict) -> None:
    """One scenario: each witness in a line of its own."""
    mark = "[green]detected[/green]" if verdict.alerted_after else "[green]silent, as it should be[/green]"
    if not verdict.detected:
        mark = "[red bold]NOT AS IT SHOULD BE[/red bold]"
    console.print(f"[bold]{verdict.title}[/bold]  {mark}  [dim]{verdict.seconds:.0f} s[/dim]")
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row("  what happened", escape(verdict.story))
    grid.add_row("  client saw", _seen(verdict))
    grid.add_row("  the article's way", "\n".join(_article(verdict)))
    grid.add_row("  afterword booked", "\n".join(_booked(verdict.booked)) or "nothing new: no work was open")
    grid.add_row("  alerts", "\n".join(_alerts(verdict)) or "none")
    for problem in verdict.problems:
        grid.add_row("  [red bold]PROBLEM[/red bold]", f"[red]{escape(problem)}[/red]")
    console.print(grid)
    console.print()


def close(console: Console, ends: Sequence[Total]) -> None:
    """The books at the end, beside what the outside world received."""
    console.print("[bold]The books[/bold]")
    for whole, parts in _LAW.items():
        console.print(_equation(ends, whole, parts))
        console.print()


def _equation(ends: Sequence[Total], whole: str, parts: Sequence[str]) -> Table:
    """One law as a table: a line for each task, its two sides and whether they are equal."""
    table = Table.grid(padding=(0, 1))
    table.add_row("", *_sum([whole, *parts]), style="dim")
    for total in ends:
        sides = _cell(total, whole), [_cell(total, part) for part in parts]
        mark = "[green]balanced[/green]" if sides[0] == sum(sides[1]) else "[red]WRONG[/red]"
        table.add_row(f"  {total.task}", *_sum([sides[0], *sides[1]]), mark)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _sum(terms: Sequence[object]) -> list[str]:
    cells = [str(terms[0]), "="]
    for term in terms[1:]:
        cells += [str(term), "+"]
    return cells[:-1]


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
    return [f"started - succeeded - failed: {gap or '0 everywhere'}", f"its alerts: {', '.join(alerts) or 'silent'}"]


def _gap(page: Page) -> int:
    return page["started"] - page["succeeded"] - page["failed"]


def _booked(booked: dict[str, Page]) -> list[str]:
    return [f"{task}: {in_words(page)}" for task, page in booked.items()]


def _alerts(verdict: Verdict) -> list[str]:
    lines = []
    for fired in verdict.alerts:
        after = verdict.alerted_after.get(f"{fired.name} {fired.task}".rstrip())
        when = f" after {after:.1f} s" if after is not None else ""
        lines.append(f"[bold]{fired.name}[/bold] {_what(fired)}{when}")
    return lines


def _what(fired: Fired) -> str:
    return escape(f"{fired.task} ({fired.reason})" if fired.reason else fired.task)
