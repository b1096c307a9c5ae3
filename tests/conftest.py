"""Fixtures of all tests: a directory for ledgers, a scraper for it, and instrumented applications."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.helpers import Books, Children, environment, ledger_directory

environment.clean()

import afterword  # noqa: E402 - the environment is cleaned before anything of ours is imported

# A busy machine is slow to draw examples; that is no fault of what is tested.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

if TYPE_CHECKING:
    from demo_app.collector import Collector

Scrape = Callable[..., float | None]


def pytest_configure(config: pytest.Config) -> None:
    """The oldest Starlette imports a name that anyio has moved since, and leaves streams of its own open."""
    config.addinivalue_line("filterwarnings", "ignore:The anyio.abc.BlockingPortal alias:DeprecationWarning")
    config.addinivalue_line("filterwarnings", "ignore:Unclosed <MemoryObject:ResourceWarning")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A fresh directory for ledgers, in shared memory where there is some."""
    with ledger_directory() as made:
        yield made


@pytest.fixture
def books(directory: Path) -> Books:
    """The books of ``directory``, as a scraper sees them."""
    return Books(directory)


@pytest.fixture
def scrape(books: Books) -> Scrape:
    """``scrape(sample, **labels)``: one number of one scrape, or None."""
    return books.scrape


@pytest.fixture
def instrumented(directory: Path) -> Iterator[Callable[..., Any]]:
    """``instrumented(app, **keywords)``: instruments it with ``directory``; undone at the end of the test."""
    apps: list[Any] = []

    def instrument(app: Any, **keywords: Any) -> Any:
        apps.append(app)
        return afterword.instrument(app, **{"dir": directory, "service": "shop", **keywords})

    yield instrument
    for app in apps:
        afterword.uninstrument(app)


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """Starts real processes in ``tmp_path``; all are ended with the test."""
    started = Children(tmp_path)
    yield started
    started.end()


@pytest.fixture
def collector() -> "Iterator[Collector]":
    """A collector that takes spans over OTLP."""
    from demo_app.collector import Collector

    made = Collector()
    yield made
    made.close()
