"""When each series was born whose ``_created`` the rules read: which those are, and under which key that is kept."""

from collections.abc import Iterator

from afterword.books.model import TaskKey, Totals


def series_with_birth(totals: Totals) -> Iterator[str]:
    """The keys of all series whose ``_created`` the rules read."""
    for key, books in totals.tasks.items():
        yield birth_key("known", key)
        for reason in books.dropped:
            yield birth_key("dropped", key, reason)
        for reason, phase in books.lost:
            yield birth_key("lost", key, reason, phase)
        for reason in books.cancelled:
            yield birth_key("cancelled", key, reason)
        if books.swallowed:
            yield birth_key("swallowed", key)
    for name, service in totals.services.items():
        yield birth_key("service", (name,))
        for bound in service.overflow:
            yield birth_key("overflow", (name,), bound)
    for route, traffic in totals.routes.items():
        for task in traffic.scheduled:
            yield birth_key("link", route, task)


def known_tasks(born: dict[str, float]) -> set[TaskKey]:
    """The tasks whose birth was noted."""
    keys = (key.split("\x1f") for key in born)
    return {TaskKey(*parts) for what, *parts in keys if what == "known" and len(parts) == 3}


def birth_key(what: str, key: tuple[str, ...], *labels: str) -> str:
    """One series' key in `Carried.born`; ``key`` is its task, its route, or its service alone."""
    return "\x1f".join((what, *key, *labels))
