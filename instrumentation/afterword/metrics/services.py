"""The families of services, routes and of the bookkeeper itself."""

import platform
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import Metric as Family

from afterword import contract, words
from afterword.books.births import birth_key
from afterword.books.model import ServiceBooks
from afterword.books.scan import Scan
from afterword.contract import Metric
from afterword.metrics.families import Value, dated, plain

_OF_A_SERVICE: Final[tuple[tuple[Metric, Callable[[ServiceBooks], float]], ...]] = (
    (contract.PROCESSES, lambda b: b.processes),
    (contract.STOPPING, lambda b: b.stopping),
    (contract.LOOP_LAG, lambda b: b.lag),
    (contract.POOL_LIMIT, lambda b: b.pool_limit),
    (contract.POOL_BUSY, lambda b: b.pool_busy),
    (contract.POOL_WAITING, lambda b: b.pool_waiting),
)


def services(scan: Scan) -> Iterator[Family]:
    """What is known of each service beyond its tasks."""
    services = sorted(scan.totals.services.items())
    for metric, value in _OF_A_SERVICE:
        yield plain(metric, [((name,), value(books)) for name, books in services])
    yield plain(
        contract.LOOP_BLOCKED,
        [((name, task), seconds) for name, books in services for task, seconds in sorted(books.blocked.items())],
    )
    yield dated(
        contract.PROCESS_EXITS,
        (
            Value((name, cause), books.exits[cause], scan.born.get(birth_key("service", (name,))))
            for name, books in services
            for cause in words.EXIT_CAUSES
        ),
    )
    yield dated(
        contract.INTERNAL_ERRORS,
        (
            Value((name,), books.internal_errors, scan.born.get(birth_key("service", (name,))))
            for name, books in services
        ),
    )
    yield dated(
        contract.OVERFLOW,
        (
            Value((name, bound), n, scan.born.get(birth_key("overflow", (name,), bound)))
            for name, books in services
            for bound, n in sorted(books.overflow.items())
        ),
    )


def routes(scan: Scan) -> Iterator[Family]:
    """The responses of each route that ever scheduled something, or declares that it should."""
    found = [(tuple(key), books) for key, books in sorted(scan.totals.routes.items()) if books.speaks]
    yield plain(
        contract.ROUTE_RESPONSES,
        [
            ((*key, flag), n)
            for key, books in found
            for flag, n in (("true", books.scheduling), ("false", books.without))
        ],
    )
    yield dated(
        contract.ROUTE_SCHEDULED,
        (
            Value((*key, task), n, scan.born.get(birth_key("link", key, task)))
            for key, books in found
            for task, n in sorted(books.scheduled.items())
        ),
    )
    yield plain(
        contract.ROUTE_MISSED,
        [((*key, task), n) for key, books in found for task, n in sorted(books.missed.items())],
    )


def sidecar(scan: Scan, version: str) -> Iterator[Family]:
    """What the bookkeeper says about itself."""
    listing = scan.listing
    yield plain(contract.SIDECAR_SCAN, [((), round(scan.at, 3))])
    yield plain(contract.SIDECAR_SCAN_DURATION, [((), scan.seconds)])
    yield plain(contract.SIDECAR_LEDGERS, [((), scan.ledgers)])
    yield plain(contract.SIDECAR_UNREADABLE, [((reason,), n) for reason, n in sorted(listing.unreadable.items())])
    yield plain(contract.SIDECAR_UNKNOWN, [((), listing.unknown)])
    yield plain(contract.SIDECAR_UNACCOUNTED, [((reason,), n) for reason, n in sorted(listing.unaccounted.items())])
    yield plain(contract.SIDECAR_DIRECTORY, [((), int(listing.problem is None))])
    yield plain(contract.SIDECAR_FOLD_ERRORS, [((), scan.fold_errors)])
    yield plain(contract.SPANS_SENT, [((), scan.spans.sent)])
    yield plain(contract.SPANS_DROPPED, [((reason,), n) for reason, n in sorted(scan.spans.dropped.items())])
    yield plain(contract.SPANS_WAITING, [((), scan.spans.waiting)])
    yield plain(contract.SIDECAR_BUILD, [((version, platform.python_version()), 1)])
