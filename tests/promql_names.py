"""What a PromQL expression reads: its series and their labels, from the syntax tree."""

from collections.abc import Iterator
from typing import Any

import promql_parser

from afterword import contract
from afterword.alerts import budget, open_runs
from afterword.alerts.promql import SCRAPE_DURATION, SCRAPE_SAMPLES, TASK_KEY, UP

#: By job, service, task and kind.
RECORDED = (*budget.RECORDED, open_runs.WAITING)
#: Labels that Prometheus gives to every series it scrapes.
TARGET_LABELS = frozenset({"job", "instance"})


def known_series() -> dict[str, frozenset[str]]:
    """Every series of the contract with the labels it can have."""
    series: dict[str, frozenset[str]] = {
        **dict.fromkeys((UP, SCRAPE_DURATION, SCRAPE_SAMPLES), TARGET_LABELS),
        **dict.fromkeys(RECORDED, frozenset(TASK_KEY)),
    }
    for metric in contract.METRICS:
        labels = TARGET_LABELS | set(metric.labels)
        if metric.type == "counter":
            series |= {metric.sample: labels, metric.created: labels}
        elif metric.type == "histogram":
            series |= {metric.bucket: labels | {"le"}}
        else:
            series[metric.sample] = labels
    return series


def selectors(expr: str) -> list[tuple[str, frozenset[str]]]:
    """Name and matched labels of each selector in ``expr``."""
    found = []
    for node in walk(promql_parser.parse(expr)):
        if type(node).__name__ == "VectorSelector":
            matched = frozenset(m.name for m in node.matchers.matchers if m.name != "__name__")
            found.append((node.name, matched))
    return found


def output_labels(expr: str) -> frozenset[str]:
    """The labels that the outermost aggregations of ``expr`` keep, and those that it makes itself."""
    return _kept(expr) | _made(expr)


def _kept(expr: str) -> frozenset[str]:
    kept: set[str] = set()
    stack: list[Any] = [promql_parser.parse(expr)]
    while stack:
        node = stack.pop()
        if type(node).__name__ == "AggregateExpr":
            kept |= set(node.modifier.labels) if node.modifier is not None else set()
        elif type(node).__name__ == "VectorSelector" and node.name in RECORDED:
            kept |= set(TASK_KEY)
        else:
            stack.extend(children(node))
    return frozenset(kept)


def _made(expr: str) -> frozenset[str]:
    calls = [node for node in walk(promql_parser.parse(expr)) if type(node).__name__ == "Call"]
    return frozenset(call.args[1].val for call in calls if call.func.name in ("label_replace", "label_join"))


def unknown(expr: str) -> list[str]:
    """What ``expr`` reads that the contract does not have."""
    series = known_series()
    wrong = []
    for name, labels in selectors(expr):
        if name not in series:
            wrong.append(name)
        else:
            wrong += [f"{name}{{{label}}}" for label in sorted(labels - series[name])]
    every = frozenset().union(*(series.get(name, frozenset()) for name, _ in selectors(expr)))
    return wrong + [f"by ({label})" for label in sorted(_kept(expr) - _made(expr) - every)]


def walk(node: Any) -> Iterator[Any]:
    """``node`` and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Any) -> list[Any]:
    """The expressions directly below ``node``."""
    names = ("expr", "lhs", "rhs", "vector_selector", "vs", "param")
    below = [getattr(node, name, None) for name in names]
    below += list(getattr(node, "args", None) or [])
    return [child for child in below if child is not None and type(child).__module__.startswith("promql_parser")]
