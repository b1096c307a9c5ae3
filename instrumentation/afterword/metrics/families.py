"""Families of the contract with their samples: what every part of the exposition is written with."""

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import Metric as Family
from prometheus_client.samples import Exemplar as ClientExemplar
from prometheus_client.samples import Sample

from afterword.books.model import Exemplar
from afterword.contract import Metric


class Value(NamedTuple):
    """Label values, number, when the series was born if the rules read that, and a traced run that stands for it."""

    labels: tuple[str, ...]
    number: float
    born: float | None = None
    exemplar: Exemplar | None = None


def plain(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    """A family of label values and numbers, in the order of the contract's labels."""
    return dated(metric, (Value(texts, number) for texts, number in values))


def dated(metric: Metric, values: Iterable[Value]) -> Family:
    """As `plain`, with the series that says since when each counter has existed, and with exemplars."""
    found = family(metric)
    for texts, number, born, exemplar in values:
        labels = dict(zip(metric.labels, texts, strict=True))
        found.samples.append(Sample(metric.sample, labels, number, None, as_exemplar(exemplar)))
        if born is not None:
            found.samples.append(Sample(metric.created, labels, born))
    return found


def family(metric: Metric) -> Family:
    """The family of a metric, without samples."""
    return Family(metric.name, metric.help, metric.type)


def as_exemplar(of: Exemplar | None) -> ClientExemplar | None:
    """An exemplar as prometheus_client writes it, into OpenMetrics only."""
    return None if of is None else ClientExemplar({"trace_id": of.trace, "span_id": of.span}, of.value, of.at)
