"""The pytest plugin: the fixture ``afterword_books``, the marker ``afterword``, the ini option ``afterword``.

Loaded in every session where afterword is installed: it imports little, and does nothing until a test asks.
"""

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from afterword.testing.books import Books
from afterword.testing.names import Task
from afterword.testing.watch import UnavailableError, watch

_FIXTURE: Final = "afterword_books"
_MODES: Final = ("off", "strict")
_BOOKS: Final = pytest.StashKey[Books]()
_WATCH: Final = pytest.StashKey[contextlib.ExitStack]()
_SESSION: Final = pytest.StashKey[contextlib.ExitStack]()
_UNCHECKED: Final = pytest.StashKey[str]()


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the marker ``afterword`` of a test says."""

    strict: bool = True
    except_for: Task | Iterable[Task] = ()
    timeout: float | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two ini options, the same in pytest.ini, pyproject.toml and after ``-o``."""
    parser.addini("afterword", "strict: a test fails if a task scheduled in it did not end well (off)", default="off")
    parser.addini("afterword_timeout", "seconds to wait, at most, until tasks have ended (1)", default="1")


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and a sentence about an ini option that cannot be meant."""
    config.addinivalue_line(
        "markers",
        "afterword(strict=True, except_for=(), timeout=None): fail if a task scheduled in the test did not end well, "
        "unless except_for names it; strict=False leaves the test alone.",
    )
    if config.getini("afterword") not in _MODES:
        raise pytest.UsageError(f"afterword is {config.getini('afterword')!r}; allowed: {', '.join(_MODES)}")
    _timeout(config)


@pytest.fixture
def afterword_books(request: pytest.FixtureRequest) -> Books:
    """Whether the tasks this test schedules end well: ``afterword_books.assert_all_ended_well()``.

    An `afterword.testing.Books`, begun before all other fixtures of the test: what a client's lifespan does counts.
    """
    item: pytest.Item = request.node
    if _BOOKS not in item.stash:  # asked for with getfixturevalue()
        _begin_or_skip(item)
    return item.stash[_BOOKS]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin before the first fixture. Where no books can be kept, whoever asked for them is skipped."""
    wish, asked = _wish(item), _FIXTURE in getattr(item, "fixturenames", ())
    if asked or (wish.strict and item.get_closest_marker("afterword") is not None):
        _begin_or_skip(item)
    elif wish.strict:
        try:
            _begin(item)
        except UnavailableError as error:
            item.config.stash[_UNCHECKED] = str(error)


@pytest.hookimpl(hookwrapper=True)  # the new form fails at import where pluggy is old
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    """Fail a test that passed while its tasks did not end well; tell one that failed about them."""
    outcome = yield
    books = item.stash.get(_BOOKS, None)
    if books is None:
        return
    wish = _wish(item)
    if outcome.excinfo is None:
        complaint = books.complaint(wish.except_for, wish.timeout) if wish.strict else None
        if complaint is not None:
            outcome.force_exception(pytest.fail.Exception(complaint, pytrace=False))
    elif _is_failure(outcome.excinfo[0]) and not books.told:
        complaint = books.complaint(wish.except_for, timeout=0)
        if complaint is not None:
            item.add_report_section("call", "afterword", complaint)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """End after the last fixture, whatever became of it."""
    yield
    watching = item.stash.get(_WATCH, None)
    if watching is not None:
        watching.close()
        del item.stash[_WATCH], item.stash[_BOOKS]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Nobody shall believe that tests were checked when they were not."""
    reason = config.stash.get(_UNCHECKED, None)
    if reason is not None:
        terminalreporter.write_line(f"afterword = strict: tasks were not checked. {reason}", yellow=True)


@pytest.hookimpl(trylast=True)  # fixtures of the session have ended; a worker of pytest-xdist may be ended behind it
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Undo what strict mode kept on."""
    watching = session.config.stash.get(_SESSION, None)
    if watching is not None:
        watching.close()


def _begin_or_skip(item: pytest.Item) -> None:
    try:
        _begin(item)
    except UnavailableError as error:
        pytest.skip(str(error))


def _begin(item: pytest.Item) -> None:
    if _is_strict(item.config) and _SESSION not in item.config.stash:
        # Every test is watched: the hooks stay on between them, so a client that lives longer is seen in each.
        session = contextlib.ExitStack()
        session.enter_context(watch())
        item.config.stash[_SESSION] = session
    watching = contextlib.ExitStack()
    item.stash[_BOOKS] = watching.enter_context(watch(timeout=_timeout(item.config)))
    item.stash[_WATCH] = watching


def _wish(item: pytest.Item) -> _Wish:
    marker = item.get_closest_marker("afterword")
    if marker is None:
        return _Wish(strict=_is_strict(item.config))
    try:
        return _Wish(*marker.args, **marker.kwargs)
    except TypeError as error:
        sentence = str(error).replace("_Wish.__init__()", "@pytest.mark.afterword")
        return pytest.fail(sentence, pytrace=False)


def _is_strict(config: pytest.Config) -> bool:
    return bool(config.getini("afterword") == "strict")


def _timeout(config: pytest.Config) -> float:
    value = config.getini("afterword_timeout")
    try:
        return float(value)
    except ValueError:
        raise pytest.UsageError(f"afterword_timeout is {value!r}; allowed: seconds") from None


def _is_failure(exception: type[BaseException]) -> bool:
    return not issubclass(exception, (pytest.skip.Exception, pytest.xfail.Exception, KeyboardInterrupt, SystemExit))
