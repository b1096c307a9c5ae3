"""Runs the scenarios one after the other and judges each: was it booked exactly, did its alerts fire, and no others."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from afterword.spans import LOST
from demo_app.configs import ARTICLE_PATIENCE, TIME_SCALE
from demo_app.processes import NotInTimeError, wait_until
from demo_app.readings import Books, Fired, Page, alertmanager_has, article_counters, balanced, share
from demo_app.scenario import Expected, Happened, Scenario
from demo_app.stack import Stack
from demo_app.trace_text import busiest, draw

#: Seconds in which all alerts of a scenario must have fired and reached Alertmanager.
_ALERT_LIMIT = 20.0
#: The article's alert gets the time its ``for`` needs, a scrape and two evaluations.
_ARTICLE_LIMIT = ARTICLE_PATIENCE / TIME_SCALE + 3


@dataclass
class Verdict:
    """What each witness said about one scenario."""

    name: str
    title: str
    story: str
    expects_silence: bool = False
    requests: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    article: dict[str, Page] = field(default_factory=dict)
    article_alerts: list[Fired] = field(default_factory=list)
    booked: dict[str, Page] = field(default_factory=dict)
    alerts: list[Fired] = field(default_factory=list)
    alerted_after: dict[str, float] = field(default_factory=dict)
    #: One of the traces with a run that was lost, as text.
    trace: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def detected(self) -> bool:
        """Booked exactly, told by the right alerts and by no other."""
        return not self.problems


@dataclass(frozen=True)
class Total:
    """A task's whole page at the end, beside what the outside world received."""

    task: str
    page: Page
    received: int

    @property
    def problems(self) -> list[str]:
        """What does not add up."""
        found = []
        if not balanced(self.page):
            found.append(f"{self.task}: the books are not balanced")
        done = self.page["succeeded"] - self.page["swallowed"]
        if done != self.received:
            found.append(f"{self.task}: {done} succeeded, {self.received} arrived")
        if self.page["scheduled"] != self.received + self.not_done:
            found.append(f"{self.task}: {self.page['scheduled']} handed over, {self.not_done} not done")
        return found

    @property
    def not_done(self) -> int:
        """Handed over and accounted for as not done."""
        ended = self.page["failed"] + self.page["cancelled"] + self.page["swallowed"]
        return ended + share(self.page, "dropped") + share(self.page, "lost")


def run(stack: Stack, scenario: Scenario, say: Callable[[str], None]) -> Verdict:
    """Let it happen, wait for the witnesses, make everything well again, judge."""
    begun = time.monotonic()
    verdict = Verdict(scenario.name, scenario.title, scenario.story, expects_silence=not scenario.alerts)
    before = stack.books()
    since = time.time()
    say(scenario.story)
    try:
        happened = scenario.act(stack)
        _watch(stack, scenario, happened, since, verdict, say)
        verdict.alerts, verdict.article_alerts = _alerts_since(stack, since)
        _make_well(stack, scenario, say)
        _judge_books(stack, before, happened, verdict)
        verdict.alerts, late_article = _alerts_since(stack, since)
        _judge_alerts(scenario, happened, verdict)
        verdict.trace = draw(busiest(stack.collector.since(since), LOST))
        verdict.article_alerts = verdict.article_alerts or late_article
    except NotInTimeError as error:
        verdict.problems.append(str(error))
        _make_well(stack, scenario, say)
    verdict.seconds = time.monotonic() - begun
    return verdict


def totals(stack: Stack) -> list[Total]:
    """The books at the end, per task."""
    books, received = stack.books(), stack.world.received()
    return [Total(task, books.of(task), received[task]) for task in books.tasks]


def _watch(
    stack: Stack, scenario: Scenario, happened: Happened, since: float, verdict: Verdict, say: Callable[[str], None]
) -> None:
    verdict.requests = happened.visits.statuses.total()
    verdict.statuses = dict(sorted(happened.visits.statuses.items()))
    until = time.monotonic() + _ALERT_LIMIT
    for expected in scenario.alerts:
        say(f"waiting for {expected.alert} {expected.task}")
        _wait_for(stack, expected, since, verdict, max(until - time.monotonic(), 0))
    say("giving the counters' alert the time it needs")
    time.sleep(max(happened.at + _ARTICLE_LIMIT - time.time(), 0) if happened.visits.statuses else 0)
    verdict.article = article_counters(stack.prometheus)


def _wait_for(stack: Stack, expected: Expected, since: float, verdict: Verdict, limit: float) -> None:
    name = f"{expected.alert} {expected.task}".strip()
    try:
        wait_until(lambda: _has_fired(stack, expected, since), limit, f"{name} fires")
        url = stack.alertmanager_url
        if url is not None:
            wait_until(lambda: alertmanager_has(url, expected.alert, expected.task), 5, f"Alertmanager has {name}")
    except NotInTimeError as error:
        verdict.problems.append(str(error))


def _has_fired(stack: Stack, expected: Expected, since: float) -> bool:
    return any(_is(fired, expected) for fired in stack.prometheus.fired_since(since))


def _is(fired: Fired, expected: Expected) -> bool:
    return (fired.name, fired.task) == (expected.alert, expected.task) and fired.reason in (expected.reason, "")


def _make_well(stack: Stack, scenario: Scenario, say: Callable[[str], None]) -> None:
    say("making everything well again")
    stack.world.all_well()
    scenario.mend(stack)
    stack.wait_until_settled()
    with contextlib.suppress(NotInTimeError):  # a gap that a dead worker left never closes
        wait_until(lambda: not _article_still_fires(stack), 3, "the counters' alerts are silent again")


def _article_still_fires(stack: Stack) -> bool:
    return any(alert["labels"]["alertname"] == "HandWrittenGap" for alert in stack.prometheus.firing())


def _judge_books(stack: Stack, before: Books, happened: Happened, verdict: Verdict) -> None:
    after = stack.books()
    verdict.booked = after.since(before)
    if happened.visits.unanswered:
        verdict.problems.append(f"{happened.visits.unanswered} requests were not answered")
    for task in sorted({*verdict.booked, *happened.booked}):
        booked, must = Counter(verdict.booked.get(task, {})), happened.booked.get(task, Counter())
        one, other = happened.same.get(task, ("", ""))
        if one in booked:
            booked[other] += booked.pop(one)
        if booked != must:
            verdict.problems.append(f"{task}: booked {in_words(booked)}; must be {in_words(must)}")
    verdict.problems += [f"the books of {page} are not balanced" for page in after.unbalanced]


def _judge_alerts(scenario: Scenario, happened: Happened, verdict: Verdict) -> None:
    for fired in verdict.alerts:
        if any(_is(fired, expected) for expected in (*scenario.alerts, *scenario.may)):
            key = f"{fired.name} {fired.task}".rstrip()
            verdict.alerted_after.setdefault(key, round(fired.at - happened.at, 2))
        else:
            verdict.problems.append(f"false alarm: {fired.name} {fired.task} {fired.reason}".rstrip())


def _alerts_since(stack: Stack, since: float) -> tuple[list[Fired], list[Fired]]:
    fired = stack.prometheus.fired_since(since)
    return (
        [one for one in fired if one.name.startswith("Afterword")],
        [one for one in fired if not one.name.startswith("Afterword")],
    )


def in_words(page: Page) -> str:
    """A page as a sentence: ``5 scheduled, 5 started, 5 failed``."""
    return ", ".join(f"{count} {key}" for key, count in page.items()) or "nothing"


def failures(verdicts: Sequence[Verdict], ends: Sequence[Total]) -> list[str]:
    """Everything that went wrong, in words."""
    found = [f"{verdict.name}: {problem}" for verdict in verdicts for problem in verdict.problems]
    return found + [problem for total in ends for problem in total.problems]
