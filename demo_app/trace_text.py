"""A trace as text: what hangs below what, from when to when, and how it ended."""

from collections.abc import Iterable, Sequence
from typing import Final

from demo_app.collector import Received

_BAR: Final = 30
#: FastAPI's own parts of a request say nothing about what comes after it.
_LEFT_OUT: Final = ("fastapi.",)


def draw(spans: Iterable[Received]) -> list[str]:
    """One line for each span of one trace: indented name, a bar over the trace's whole time, and how it ended."""
    shown = sorted((span for span in spans if not span.name.startswith(_LEFT_OUT)), key=lambda span: span.start)
    if not shown:
        return []
    begin, end = min(span.start for span in shown), max(span.end for span in shown)
    lines = [(f"{'  ' * depth}{span.name.rpartition('.')[2]}", span) for depth, span in _tree(shown)]
    width = max(len(name) for name, _ in lines)
    return [f"{name:<{width}}  {_bar(span, begin, end)}  {_told(span)}".rstrip() for name, span in lines]


def _tree(spans: Sequence[Received], below: str | None = None, depth: int = 0) -> list[tuple[int, Received]]:
    """Depth first; what hangs below a span that is not there is a root."""
    known = {span.span for span in spans}
    found = []
    for span in spans:
        if span.parent == below or (below is None and span.parent not in known):
            found += [(depth, span), *_tree(spans, span.span, depth + 1)]
    return found


def _bar(span: Received, begin: int, end: int) -> str:
    whole = max(end - begin, 1)
    first = min(round((span.start - begin) / whole * _BAR), _BAR - 1)
    last = max(round((span.end - begin) / whole * _BAR), first + 1)
    return "." * first + "#" * (last - first) + "." * (_BAR - last)


def _told(span: Received) -> str:
    seconds = (span.end - span.start) / 1e9
    took = f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
    return f"{took}  {span.error or span.attributes.get('afterword.outcome', '')}".rstrip()


def busiest(spans: Iterable[Received], outcome: str) -> list[Received]:
    """Of the traces with a run of this outcome, the one with the most spans."""
    by_trace: dict[str, list[Received]] = {}
    for span in spans:
        by_trace.setdefault(span.trace, []).append(span)
    with_it = [
        trace for trace in by_trace.values() if any(s.attributes.get("afterword.outcome") == outcome for s in trace)
    ]
    return max(with_it, key=len, default=[])
