"""Families of the contract with their samples: what every part of the exposition is written with."""

from collections.abc import Iterable
from typing import TypeAlias

from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from afterword.contract import Metric

#: Label values, number, and when the series was born, if the rules read that.
Value: TypeAlias = tuple[tuple[str, ...], float, float | None]


def plain(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    """A family of label values and numbers, in the order of the contract's labels."""
    return dated(metric, ((texts, number, None) for texts, number in values))


def dated(metric: Metric, values: Iterable[Value]) -> Family:
    """As `plain`, with the series that says since when each counter has existed."""
    found = family(metric)
    for texts, number, born in values:
        labels = dict(zip(metric.labels, texts, strict=True))
        found.samples.append(Sample(metric.sample, labels, number))
        if born is not None:
            found.samples.append(Sample(metric.created, labels, born))
    return found


def family(metric: Metric) -> Family:
    """The family of a metric, without samples."""
    return Family(metric.name, metric.help, metric.type)
