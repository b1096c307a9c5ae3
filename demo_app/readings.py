"""What each witness says: afterword's books, Prometheus' alerts, the article's counters, the world that received."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from afterword import contract, words

#: A task's books, flat: ``scheduled``, ``waiting``, ``dropped sibling_failed``, ``lost killed running`` ...
Page = Counter[str]
_STATES: Final = ("waiting", "running")
_PLAIN: Final = {
    contract.SCHEDULED.sample: "scheduled",
    contract.STARTED.sample: "started",
    contract.WAITING_RUNS.sample: "waiting",
    contract.RUNNING_RUNS.sample: "running",
    contract.SWALLOWED.sample: "swallowed",
}
_BY_LABEL: Final = {
    contract.FINISHED.sample: ("", "outcome"),
    contract.DROPPED.sample: ("dropped ", "reason"),
}


def get(url: str, **params: Any) -> httpx.Response:
    """A good answer from one of our own processes."""
    response = _client().get(url, params=params)
    response.raise_for_status()
    return response


@cache
def _client() -> httpx.Client:
    return httpx.Client(trust_env=False, timeout=10)  # never through a proxy


def close() -> None:
    """Let go of the connections to our own processes."""
    _client().close()
    _client.cache_clear()


@dataclass(frozen=True)
class Books:
    """Every task's page, by task and kind, and how many processes keep one."""

    pages: dict[tuple[str, str], Page]
    processes: int

    def of(self, task: str) -> Page:
        """The page of a task, whatever its kind."""
        whole: Page = Counter()
        for (name, _kind), page in self.pages.items():
            if name == task:
                whole.update(page)
        return whole

    @property
    def tasks(self) -> list[str]:
        """The tasks by name."""
        return sorted({task for task, _kind in self.pages})

    @property
    def open(self) -> int:
        """Runs that have no ending yet."""
        return sum(page[state] for page in self.pages.values() for state in _STATES)

    @property
    def unbalanced(self) -> list[str]:
        """Tasks whose page breaks the law, by task and kind."""
        return [f"{task} ({kind})" for (task, kind), page in self.pages.items() if not balanced(page)]

    def since(self, earlier: "Books") -> dict[str, Page]:
        """What was booked since: per task, without what did not change and without the states of living runs."""
        grown = {}
        for task in self.tasks:
            now, before = self.of(task), earlier.of(task)
            moved = [key for key in now if key not in _STATES and now[key] != before[key]]
            change = Counter({key: now[key] - before[key] for key in moved})
            if change:
                grown[task] = change
        return grown


def balanced(page: Page) -> bool:
    """The law of the books."""
    lost = {phase: share(page, "lost", phase) for phase in words.PHASES}
    never = page["waiting"] + page["started"] + share(page, "dropped") + lost["waiting"]
    ended = page["running"] + sum(page[outcome] for outcome in words.OUTCOMES) + lost["running"]
    return page["scheduled"] == never and page["started"] == ended


def share(page: Page, *words_of_key: str) -> int:
    """All entries of a page whose key has all these words: ``share(page, "lost", "running")``."""
    return sum(count for key, count in page.items() if set(words_of_key) <= set(key.split()))


def read_books(metrics_url: str, service: str) -> Books:
    """The books as a scraper reads them."""
    response = get(metrics_url)
    pages: dict[tuple[str, str], Page] = {}
    processes = 0
    for sample in _samples(response.text):
        labels = sample.labels
        if labels.get("service") != service:
            continue
        if sample.name == contract.PROCESSES.sample:
            processes = int(sample.value)
        if labels.get("kind") == words.WORKER:  # it runs as long as its process, and owes nothing to a response
            continue
        entry = _entry(sample.name, labels)
        if entry is not None:
            page = pages.setdefault((short(labels["task"]), labels["kind"]), Counter())
            page[entry] += int(sample.value)
    return Books(pages, processes)


def short(task: str) -> str:
    """``demo_app.shop.update_inventory`` without its module."""
    return task.rpartition(".")[2]


def _samples(text: str) -> Iterable[Any]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def _entry(name: str, labels: dict[str, str]) -> str | None:
    if name in _BY_LABEL:
        prefix, label = _BY_LABEL[name]
        return prefix + labels[label]
    if name == contract.LOST.sample:
        return f"lost {labels['reason']} {labels['phase']}"
    return _PLAIN.get(name)


@dataclass(frozen=True)
class Fired:
    """An alert that began to fire."""

    name: str
    task: str
    reason: str
    at: float
    description: str = ""


_STEP: Final = 0.25
#: What a process that is not up, or not yet, makes of a question.
NO_ANSWER: Final = (httpx.TransportError, httpx.HTTPStatusError)


class Prometheus:
    """Prometheus' own HTTP interface, read only."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **params: Any) -> Any:
        """The ``data`` of an answer of ``/api/v1``."""
        return get(f"{self.url}/api/v1/{path}", **params).json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector of a PromQL expression, now."""
        result: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return result

    def firing(self) -> list[dict[str, Any]]:
        """The alerts that fire now."""
        return [alert for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"]

    def fired_since(self, start: float) -> list[Fired]:
        """The alerts that did not fire at ``start`` (Unix seconds) and have fired since, by their own record."""
        start = round(start, 3)  # Prometheus counts in milliseconds
        end, query = time.time() + _STEP, 'ALERTS{alertstate="firing"}'
        series = self.get("query_range", query=query, start=start, end=end, step=_STEP)["result"]
        texts = {_identity(alert["labels"]): alert["annotations"].get("description", "") for alert in self.firing()}
        fired = [
            Fired(
                one["metric"]["alertname"],
                short(one["metric"].get("task", "")),
                one["metric"].get("reason", ""),
                one["values"][0][0],
                texts.get(_identity(one["metric"]), ""),
            )
            for one in series
            if one["values"][0][0] > start + _STEP / 2
        ]
        return sorted(fired, key=lambda one: one.at)


def _identity(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in labels.items() if name not in ("alertstate", "__name__")))


def alertmanager_has(url: str, name: str, task: str) -> bool:
    """Whether Alertmanager received the alert."""
    received = get(f"{url}/api/v2/alerts").json()
    return any(
        alert["labels"]["alertname"] == name and short(alert["labels"].get("task", "")) == task for alert in received
    )


def article_counters(prometheus: Prometheus) -> dict[str, Page]:
    """The article's counters as Prometheus last saw them: started, succeeded and failed per task."""
    pages: dict[str, Page] = {}
    for ending in ("started", "succeeded", "failed"):
        for one in prometheus.query(f"background_task_{ending}_total"):
            pages.setdefault(one["metric"]["task"], Counter())[ending] = int(float(one["value"][1]))
    return pages


class World:
    """The switch of the outside world, and its count of what really arrived."""

    def __init__(self, url: str, database: Path) -> None:
        self._url, self._database = url, database

    def switch(self, system: str, mode: str, seconds: float = 1.0) -> None:
        """From now on the system behaves so."""
        wanted = {"mode": mode, "seconds": seconds}
        _client().put(f"{self._url}/_world/{system}", json=wanted).raise_for_status()

    def held(self, system: str) -> int:
        """Arrivals that the system is holding right now."""
        return int(self._report()[system]["held"])

    def all_well(self) -> None:
        """Every system behaves again; what was held goes through."""
        for system in self._report():
            self.switch(system, "ok")

    def received(self) -> Counter[str]:
        """Side effects that really happened, by the task that caused them."""
        report = self._report()
        mail = report["mail"]["delivered"]
        done = Counter(
            send_welcome_email=mail.get("welcome", 0),
            send_confirmation_email=mail.get("confirmation", 0),
            push_webhook=report["hooks"]["delivered"].get("hooks", 0),
            notify_warehouse=report["warehouse"]["delivered"].get("warehouse", 0),
            ask_for_review=report["reviews"]["delivered"].get("reviews", 0),
            track_visit=report["statistics"]["delivered"].get("statistics", 0),
            add_subscriber=report["newsletter"]["delivered"].get("newsletter", 0),
            build_report=report["reports"]["delivered"].get("reports", 0),
        )
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            done["update_inventory"] = int(database.execute("SELECT sum(sold) FROM articles").fetchone()[0])
            done["update_last_login"] = int(database.execute("SELECT sum(logins) FROM users").fetchone()[0])
        return done

    def _report(self) -> Any:
        return get(f"{self._url}/_world").json()
