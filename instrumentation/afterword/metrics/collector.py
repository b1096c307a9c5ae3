"""Turns one scan of the books into prometheus_client metric families, names and labels from the contract."""

import platform
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from afterword import contract, words
from afterword.books.bookkeeper import Scan, birth_key
from afterword.books.model import TaskBooks, TaskKey
from afterword.contract import Metric

_BOUNDS: Final = (*(str(float(bound)) for bound in contract.BUCKET_BOUNDS), "+Inf")
_WITHOUT_EXTRA: Final[tuple[tuple[Metric, Callable[[TaskBooks], float]], ...]] = (
    (contract.SCHEDULED, lambda b: b.scheduled),
    (contract.STARTED, lambda b: b.started_total),
    (contract.WAITING_RUNS, lambda b: b.waiting),
    (contract.RUNNING_RUNS, lambda b: b.running),
    (contract.OVERDUE, lambda b: b.overdue),
    (contract.LATE, lambda b: b.late),
    (contract.OLDEST_WAITING, lambda b: b.oldest_waiting),
    (contract.OLDEST_RUNNING, lambda b: b.oldest_running),
    (contract.LAST_SUCCESS, lambda b: b.last_success),
    (contract.DEADLINE, lambda b: b.deadline),
    (contract.START_DEADLINE, lambda b: b.start_deadline),
)


class BooksCollector:
    """A prometheus_client collector over a function that scans."""

    def __init__(self, scan: Callable[[], Scan], version: str) -> None:
        self._scan = scan
        self._version = version

    def describe(self) -> list[Family]:
        """Nothing: registering must not read the ledgers."""
        return []

    def collect(self) -> Iterator[Family]:
        """Scan once, then yield every family of the contract."""
        scan = self._scan()
        yield from _tasks(scan)
        yield from _services(scan)
        yield from _sidecar(scan, self._version)


def _tasks(scan: Scan) -> Iterator[Family]:
    tasks = sorted(scan.totals.tasks.items())
    labelled = [(key, dict(zip(contract.TASK_LABELS, key, strict=True)), books) for key, books in tasks]
    for metric, value in _WITHOUT_EXTRA:
        family = _family(metric)
        family.samples.extend(Sample(metric.sample, labels, value(books)) for _, labels, books in labelled)
        yield family
    yield _each(contract.FINISHED, labelled, scan, _finished)
    yield _each(contract.DROPPED, labelled, scan, _dropped)
    yield _each(contract.LOST, labelled, scan, _lost)
    yield _each(contract.ERRORS, labelled, scan, _errors)
    yield _each(contract.INFO, labelled, scan, _info)
    yield _histogram(contract.WAIT, labelled, lambda b: b.started, lambda b: b.wait_seconds)
    yield _histogram(contract.RUN, labelled, _run_buckets, lambda b: b.run_seconds)


_Labelled = list[tuple[TaskKey, dict[str, str], TaskBooks]]
_Value = tuple[tuple[str, ...], float, float | None]


def _each(
    metric: Metric, labelled: _Labelled, scan: Scan, values: Callable[[TaskKey, TaskBooks, Scan], Iterator[_Value]]
) -> Family:
    """One family with labels of its own: ``values`` gives label values, number, and when the series was born."""
    family = _family(metric)
    extra = metric.labels[len(contract.TASK_LABELS) :]
    for key, labels, books in labelled:
        for texts, number, born in values(key, books, scan):
            full = {**labels, **dict(zip(extra, texts, strict=True))}
            family.samples.append(Sample(metric.sample, full, number))
            if born is not None:
                family.samples.append(Sample(metric.created, full, born))
    return family


def _finished(key: TaskKey, books: TaskBooks, scan: Scan) -> Iterator[_Value]:
    for outcome, buckets in books.finished.items():
        born = scan.born.get(birth_key("known", key)) if outcome == words.FAILED else None
        yield (outcome,), sum(buckets), born


def _dropped(key: TaskKey, books: TaskBooks, scan: Scan) -> Iterator[_Value]:
    for reason, n in sorted(books.dropped.items()):
        yield (reason,), n, scan.born.get(birth_key("dropped", key, reason))


def _lost(key: TaskKey, books: TaskBooks, scan: Scan) -> Iterator[_Value]:
    for (reason, phase), n in sorted(books.lost.items()):
        yield (reason, phase), n, scan.born.get(birth_key("lost", key, reason, phase))


def _errors(_: TaskKey, books: TaskBooks, __: Scan) -> Iterator[_Value]:
    for exception, n in sorted(books.errors.items()):
        yield (exception,), n, None


def _info(_: TaskKey, books: TaskBooks, __: Scan) -> Iterator[_Value]:
    yield (books.importance, books.owner), 1, None


def _run_buckets(books: TaskBooks) -> list[int]:
    return [sum(lane) for lane in zip(*books.finished.values(), strict=True)]


def _histogram(
    metric: Metric,
    labelled: _Labelled,
    buckets: Callable[[TaskBooks], list[int]],
    total: Callable[[TaskBooks], float],
) -> Family:
    family = _family(metric)
    for _, labels, books in labelled:
        cumulative = list(accumulate(buckets(books)))
        family.samples.extend(
            Sample(metric.bucket, {**labels, "le": le}, n) for le, n in zip(_BOUNDS, cumulative, strict=True)
        )
        family.samples.append(Sample(f"{metric.name}_count", labels, cumulative[-1]))
        family.samples.append(Sample(f"{metric.name}_sum", labels, total(books)))
    return family


def _services(scan: Scan) -> Iterator[Family]:
    services = sorted(scan.totals.services.items())
    yield _gauge_like(contract.PROCESSES, [((name,), books.processes) for name, books in services])
    yield _gauge_like(
        contract.PROCESS_EXITS,
        [((name, cause), books.exits[cause]) for name, books in services for cause in words.EXIT_CAUSES],
    )
    yield _gauge_like(
        contract.OVERFLOW,
        [((name, bound), n) for name, books in services for bound, n in sorted(books.overflow.items())],
    )
    yield _gauge_like(contract.INTERNAL_ERRORS, [((name,), books.internal_errors) for name, books in services])


def _sidecar(scan: Scan, version: str) -> Iterator[Family]:
    listing = scan.listing
    yield _gauge_like(contract.SIDECAR_SCAN, [((), round(scan.at, 3))])
    yield _gauge_like(contract.SIDECAR_SCAN_DURATION, [((), scan.seconds)])
    yield _gauge_like(contract.SIDECAR_LEDGERS, [((), scan.ledgers)])
    yield _gauge_like(contract.SIDECAR_UNREADABLE, [((reason,), n) for reason, n in sorted(listing.unreadable.items())])
    yield _gauge_like(contract.SIDECAR_UNKNOWN, [((), listing.unknown)])
    yield _gauge_like(
        contract.SIDECAR_UNACCOUNTED, [((reason,), n) for reason, n in sorted(listing.unaccounted.items())]
    )
    yield _gauge_like(contract.SIDECAR_DIRECTORY, [((), int(listing.problem is None))])
    yield _gauge_like(contract.SIDECAR_FOLD_ERRORS, [((), scan.fold_errors)])
    yield _gauge_like(contract.SIDECAR_BUILD, [((version, platform.python_version()), 1)])


def _gauge_like(metric: Metric, values: list[tuple[tuple[str, ...], float]]) -> Family:
    family = _family(metric)
    for texts, number in values:
        family.samples.append(Sample(metric.sample, dict(zip(metric.labels, texts, strict=True)), number))
    return family


def _family(metric: Metric) -> Family:
    return Family(metric.name, metric.help, metric.type)
