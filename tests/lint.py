"""The offline rules of the linters for Prometheus rules and Grafana dashboards, on the syntax tree.

pint (cloudflare) and dashboard-linter (grafana) cannot be installed from PyPI, npm or Debian; what they check without a
server is written anew here from their documentation. Nothing is excluded.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import promql_parser

from tests.promql_names import children, known_series, output_labels, walk

SCRAPE = timedelta(seconds=15)
#: Functions of Prometheus 2.42 that need no feature flag.
STABLE = frozenset({
    "absent", "avg_over_time", "changes", "clamp_max", "clamp_min", "deriv", "histogram_quantile", "increase",
    "label_join", "label_replace", "last_over_time", "max_over_time", "min_over_time", "rate", "sum_over_time",
    "time", "timestamp",
})  # fmt: skip
_RATES = frozenset({"rate", "irate", "increase"})
_COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})


def kind(node: Any) -> str:
    """The name of a node's type."""
    return type(node).__name__


def calls(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every function call with its name."""
    yield from ((node.func.name, node) for node in walk(tree) if kind(node) == "Call")


def range_of(call: Any) -> Any:
    """The range selector a function reads, if it reads one."""
    return next((argument for argument in call.args if kind(argument) == "MatrixSelector"), None)


def complaints(expr: str) -> list[str]:
    """What holds for every expression, of a rule or of a panel."""
    tree = promql_parser.parse(expr)
    return [
        *_useless_regexes(tree),
        *_raw_counters(tree),
        *_short_rates(tree),
        *_gauges_as_counters(tree),
        *_lost_labels(tree),
        *_unknown_functions(tree),
    ]


def _useless_regexes(tree: Any) -> Iterator[str]:
    """promql/regexp: an expression without one is an equality, anchors are there anyway."""
    for node in walk(tree):
        for matcher in node.matchers.matchers if kind(node) == "VectorSelector" else ():
            if str(matcher.op).endswith(("Re", "NotRe")):
                plain = re.fullmatch(r"[\w:-]+", matcher.value) and matcher.value != "afterword"  # a variable
                if plain or matcher.value[:1] == "^" or matcher.value[-1:] == "$":
                    yield f"useless regex {matcher.name}=~{matcher.value!r}"


def _raw_counters(tree: Any) -> Iterator[str]:
    """promql/counter, target-counter-agg: a counter as it stands says nothing; its growth does.

    It stands where it is compared with its own past, multiplied with 0, or only asked whether it is there.
    """
    yield from (f"raw counter {name}" for name in _raw(tree, grown=False))


def _raw(node: Any, *, grown: bool) -> Iterator[str]:
    if kind(node) == "VectorSelector":
        if node.name.endswith("_total") and not grown:
            yield node.name
        return
    if kind(node) == "Call" and (node.func.name in {*_RATES, "changes"} or node.func.name.endswith("_over_time")):
        return
    if kind(node) == "BinaryExpr":
        zero = kind(node.lhs) == "NumberLiteral" and node.lhs.val == 0
        told = str(node.op) in {"unless", "and"}  # the right side only says where
        own_past = str(node.op) in {"-", "==", "unless", "and"} and _own_past(node.lhs, node.rhs)
        # `growth or total`: where there is no past to compare with, all of it has grown.
        fallback = (
            str(node.op) == "or" and bool(_names(node.lhs) & _names(node.rhs)) and not [*_raw(node.lhs, grown=grown)]
        )
        own_past = own_past or fallback
        yield from _raw(node.lhs, grown=grown or own_past)
        yield from _raw(node.rhs, grown=grown or own_past or zero or told)
        return
    for child in children(node):
        yield from _raw(child, grown=grown)


def _names(tree: Any) -> set[str]:
    return {node.name for node in walk(tree) if kind(node) == "VectorSelector"}


def _own_past(now: Any, then: Any) -> bool:
    """Whether ``then`` is what the same series were before, or since when they are there at all."""
    born = any(name.endswith("_created") for name in _names(then))
    return born or bool(_names(now) & _names(then) and _looks_back(then))


def _looks_back(tree: Any) -> bool:
    ranges = any(kind(node) == "MatrixSelector" for node in walk(tree))
    return ranges or any(kind(node) == "VectorSelector" and node.offset for node in walk(tree))


def _short_rates(tree: Any) -> Iterator[str]:
    """promql/rate: fewer than four scrapes are no rate."""
    for name, call in calls(tree):
        found = range_of(call)
        if name in _RATES and found is not None and found.range < 4 * SCRAPE:
            yield f"{name} over {found.range}"


def _gauges_as_counters(tree: Any) -> Iterator[str]:
    """promql/rate: of a gauge there is none; and promql/counter: deriv is for gauges."""
    for name, call in calls(tree):
        found = range_of(call)
        if found is None:
            continue
        series = found.vector_selector.name
        counter = series.endswith(("_total", "_bucket", "_sum", "_count"))
        if (name in _RATES) != counter and name in {*_RATES, "deriv", "delta"}:
            yield f"{name}({series})"


def _lost_labels(tree: Any) -> Iterator[str]:
    """promql/vector_matching, promql/impossible: what is matched on exists on both sides."""
    for node in walk(tree):
        if kind(node) != "BinaryExpr" or node.modifier is None or node.modifier.matching is None:
            continue
        matching = node.modifier.matching
        if str(matching.type).endswith("Include"):  # on (...), not ignoring (...)
            for side in (node.lhs, node.rhs):
                labels = _labels(side)
                missing = set(matching.labels) - labels
                if labels and missing:
                    yield f"on ({', '.join(missing)}) matches nothing"


def _labels(tree: Any) -> frozenset[str]:
    """The labels a side of a match can have; empty where that is not known."""
    text = tree.prettify()
    aggregated = output_labels(text)
    if aggregated:
        return aggregated
    series = known_series()
    return frozenset().union(*(series.get(name, frozenset()) for name in _names(tree)))


def _unknown_functions(tree: Any) -> Iterator[str]:
    """promql/features, promql/syntax: what 2.42 has without a feature flag."""
    yield from (f"function {name}" for name, _ in calls(tree) if name not in STABLE)


def compares(expr: str) -> bool:
    """alerts/comparison: whether it leaves anything out."""
    tree = promql_parser.parse(expr)
    operators = {str(node.op) for node in walk(tree) if kind(node) == "BinaryExpr"}
    return bool(operators & (_COMPARISONS | {"unless"})) or any(name == "absent" for name, _ in calls(tree))


def looks_back(expr: str) -> timedelta:
    """promql/range_query: how far an expression reads into the past."""
    tree = promql_parser.parse(expr)
    far = timedelta()
    for node in walk(tree):
        if kind(node) == "MatrixSelector":
            far = max(far, node.range + (node.vector_selector.offset or timedelta()))
        elif kind(node) == "VectorSelector":
            far = max(far, node.offset or timedelta())
    return far


def divides(expr: str) -> bool:
    """promql/fragile: a ratio, or a choice of the largest, can flap on a single scrape."""
    tree = promql_parser.parse(expr)
    ratio = any(kind(node) == "BinaryExpr" and str(node.op) == "/" for node in walk(tree))
    return ratio or any(kind(node) == "AggregateExpr" and str(node.op) in {"topk", "bottomk"} for node in walk(tree))
