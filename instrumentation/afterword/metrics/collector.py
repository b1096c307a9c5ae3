"""Turns one scan of the books into prometheus_client metric families, names and labels from the contract."""

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from afterword import contract, words
from afterword.books.births import birth_key
from afterword.books.model import OF_BUCKET, OF_DROPPED, OF_FAILED, OF_LOST, TaskBooks, TaskKey
from afterword.books.scan import Scan
from afterword.contract import Metric
from afterword.metrics import services
from afterword.metrics.families import Value, as_exemplar, dated, family
from afterword.metrics.usual import run_buckets, usual_of

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
    (contract.USUAL, usual_of),
    (contract.DEADLINE, lambda b: b.deadline),
    (contract.START_DEADLINE, lambda b: b.start_deadline),
)
#: Of workers only: they run until their process stops.
_OF_A_WORKER: Final[tuple[tuple[Metric, Callable[[TaskBooks], float]], ...]] = (
    (contract.WORKERS_ENDED, lambda b: b.ended),
    (contract.WORKERS_STALLED, lambda b: b.stalled),
    (contract.WORKER_PROGRESS, lambda b: b.progress),
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
        yield from services.services(scan)
        yield from services.routes(scan)
        yield from services.sidecar(scan, self._version)


def _tasks(scan: Scan) -> Iterator[Family]:
    tasks = sorted(scan.totals.tasks.items())
    labelled = [(key, dict(zip(contract.TASK_LABELS, key, strict=True)), books) for key, books in tasks]
    for metric, value in _WITHOUT_EXTRA:
        found = family(metric)
        found.samples.extend(Sample(metric.sample, labels, value(books)) for _, labels, books in labelled)
        yield found
    for metric, value in _OF_A_WORKER:
        found = family(metric)
        found.samples.extend(
            Sample(metric.sample, labels, value(books)) for key, labels, books in labelled if key.kind == words.WORKER
        )
        yield found
    yield _each(contract.INTERVAL, labelled, scan, _interval)
    yield _each(contract.STUCK, labelled, scan, _stuck)
    yield _each(contract.CANCELLED, labelled, scan, _cancelled)
    yield _each(contract.SWALLOWED, labelled, scan, _swallowed)
    yield _each(contract.FINISHED, labelled, scan, _finished)
    yield _each(contract.DROPPED, labelled, scan, _dropped)
    yield _each(contract.LOST, labelled, scan, _lost)
    yield _each(contract.ERRORS, labelled, scan, _errors)
    yield _each(contract.INFO, labelled, scan, _info)
    yield _histogram(contract.WAIT, labelled, lambda b: b.started, lambda b: b.wait_seconds)
    yield _histogram(contract.RUN, labelled, run_buckets, lambda b: b.run_seconds)


_Labelled = list[tuple[TaskKey, dict[str, str], TaskBooks]]


def _each(
    metric: Metric, labelled: _Labelled, scan: Scan, values: Callable[[TaskKey, TaskBooks, Scan], Iterator[Value]]
) -> Family:
    """One family with labels of its own: ``values`` gives label values, number, and when the series was born."""
    return dated(
        metric,
        (
            value._replace(labels=(*key, *value.labels))
            for key, _, books in labelled
            for value in values(key, books, scan)
        ),
    )


def _finished(key: TaskKey, books: TaskBooks, scan: Scan) -> Iterator[Value]:
    for outcome, buckets in books.finished.items():
        if outcome == words.FAILED:
            born, exemplar = scan.born.get(birth_key("known", key)), books.exemplars.get((OF_FAILED,))
            yield Value((outcome,), sum(buckets), born, exemplar)
        else:
            yield Value((outcome,), sum(buckets))


def _dropped(key: TaskKey, books: TaskBooks, scan: Scan) -> Iterator[Value]:
    for reason, n in sorted(books.dropped.items()):
        born = scan.born.get(birth_key("dropped", key, reason))
        yield Value((reason,), n, born, books.exemplars.get((OF_DROPPED, reason)))


def _lost(key: TaskKey, books: TaskBooks, scan: Scan) -> Iterator[Value]:
    for (reason, phase), n in sorted(books.lost.items()):
        born = scan.born.get(birth_key("lost", key, reason, phase))
        yield Value((reason, phase), n, born, books.exemplars.get((OF_LOST, reason, phase)))


def _cancelled(key: TaskKey, books: TaskBooks, scan: Scan) -> Iterator[Value]:
    for reason, n in sorted(books.cancelled.items()):
        yield Value((reason,), n, scan.born.get(birth_key("cancelled", key, reason)))


def _swallowed(key: TaskKey, books: TaskBooks, scan: Scan) -> Iterator[Value]:
    if books.swallowed:
        yield Value((), books.swallowed, scan.born.get(birth_key("swallowed", key)))


def _interval(_: TaskKey, books: TaskBooks, __: Scan) -> Iterator[Value]:
    if books.every:
        yield Value((), books.every)


def _stuck(_: TaskKey, books: TaskBooks, __: Scan) -> Iterator[Value]:
    for place in books.stuck:
        yield Value((place,), 1)


def _errors(_: TaskKey, books: TaskBooks, __: Scan) -> Iterator[Value]:
    for exception, n in sorted(books.errors.items()):
        yield Value((exception,), n)


def _info(_: TaskKey, books: TaskBooks, __: Scan) -> Iterator[Value]:
    yield Value((books.importance, books.owner), 1)


def _histogram(
    metric: Metric,
    labelled: _Labelled,
    buckets: Callable[[TaskBooks], list[int]],
    total: Callable[[TaskBooks], float],
) -> Family:
    found = family(metric)
    traced = metric is contract.RUN
    for _, labels, books in labelled:
        cumulative = list(accumulate(buckets(books)))
        examples = books.exemplars if traced else {}
        found.samples.extend(
            Sample(metric.bucket, {**labels, "le": le}, n, None, as_exemplar(examples.get((OF_BUCKET, str(number)))))
            for number, (le, n) in enumerate(zip(_BOUNDS, cumulative, strict=True))
        )
        found.samples.append(Sample(f"{metric.name}_count", labels, cumulative[-1]))
        found.samples.append(Sample(f"{metric.name}_sum", labels, total(books)))
    return found
