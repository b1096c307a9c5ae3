"""The books of a directory, read the way a scraper reads them: as the text of ``/metrics``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from afterword.books.bookkeeper import Bookkeeper
from afterword.metrics.endpoint import Exposition

_STORY: Final = {
    "afterword_tasks_scheduled_total": "scheduled",
    "afterword_tasks_started_total": "started",
    "afterword_tasks_finished_total": "outcome",
    "afterword_tasks_dropped_total": "reason",
    "afterword_tasks_lost_total": "reason",
    "afterword_tasks_waiting": "waiting",
    "afterword_tasks_running": "running",
}


class Books:
    """Scrapes one directory; every call is one scrape."""

    def __init__(self, directory: Path) -> None:
        self._exposition = Exposition(Bookkeeper(directory).scan)

    def text(self, accept: str = "text/plain") -> str:
        """The page itself."""
        return self._exposition.render(accept)[0].decode()

    def samples(self) -> Iterator[Sample]:
        """Every sample of one scrape."""
        for family in text_string_to_metric_families(self.text()):
            yield from family.samples

    def scrape(self, name: str, **labels: str) -> float | None:
        """The sum of the samples called ``name`` that carry ``labels``; None when there is no such series."""
        found = [s.value for s in self.samples() if s.name == name and labels.items() <= s.labels.items()]
        return sum(found) if found else None

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The samples called ``name`` that carry ``labels`` and are not 0, summed by one more label."""
        found: dict[str, float] = {}
        for sample in self.samples():
            if sample.name == name and sample.value and labels.items() <= sample.labels.items():
                found[sample.labels[label]] = found.get(sample.labels[label], 0) + sample.value
        return found

    def of(self, task: str, **labels: str) -> dict[str, float]:
        """The story of one task in one scrape, what is 0 left out: ``{"scheduled": 1, "started": 1, "failed": 1}``.

        ``task`` is the end of its name. A drop or a loss is told by its reason.
        """
        story: dict[str, float] = {}
        for sample in self.samples():
            word = _STORY.get(sample.name)
            if word is None or not sample.value or not _is_called(sample.labels["task"], task):
                continue
            if labels.items() <= sample.labels.items():
                told = sample.labels.get(word, word)
                story[told] = story.get(told, 0) + sample.value
        return story

    def balance(self) -> tuple[float, float]:
        """Both sides of the law that must be 0: what is scheduled, and what is started, without a place to be."""
        n: dict[str, float] = {}
        for sample in self.samples():
            n[sample.name] = n.get(sample.name, 0) + sample.value
            phase = sample.name + sample.labels.get("phase", "")
            if phase != sample.name:
                n[phase] = n.get(phase, 0) + sample.value
        started, lost = n.get("afterword_tasks_started_total", 0), "afterword_tasks_lost_total"
        waiting = n.get("afterword_tasks_waiting", 0) + n.get("afterword_tasks_dropped_total", 0)
        ended = n.get("afterword_tasks_running", 0) + n.get("afterword_tasks_finished_total", 0)
        return (
            n.get("afterword_tasks_scheduled_total", 0) - started - waiting - n.get(lost + "waiting", 0),
            started - ended - n.get(lost + "running", 0),
        )


def _is_called(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")
