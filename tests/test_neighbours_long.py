"""Beside every neighbour, on both loops, loaded before us and after: a program sees the same with and without us.

Takes minutes and a package index: the neighbours live in an environment of their own.
"""

import pytest

from tests.helpers import Books
from tests.neighbours.played import Theatre, differences
from tests.private_venv import NotMadeError, PrivateVenv

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

NEIGHBOURS = (
    "nobody",
    "opentelemetry-asyncio",
    "opentelemetry-threading",
    "sentry",
    "ddtrace",
    "instrumentator",
    "all",
)
LOOPS = {"in process": (), "asyncio": ("--loop", "asyncio"), "uvloop": ("--loop", "uvloop")}
PACKAGES = (
    "sentry-sdk", "ddtrace", "prometheus-fastapi-instrumentator", "uvloop", "opentelemetry-sdk",
    # Betas only: the "b0" admits them for these packages and no others.
    "opentelemetry-instrumentation-fastapi>=0.50b0", "opentelemetry-instrumentation-asyncio>=0.50b0",
    "opentelemetry-instrumentation-threading>=0.50b0",
)  # fmt: skip
#: ddtrace exchanges the code within a function. Where that is our `submit`, its own frame has our file's name, which
#: these tests leave out of tracebacks, and no longer the library's.
DDTRACE_LATE = "executor, loop: event 7 was ['refused'"

ENDINGS = {f"afterword_tasks_{ending}_total" for ending in ("finished", "dropped", "lost")}
#: A function of Python's own, handed to a pool: the application's if its own line does that, which a neighbour hides.
BUILTIN = {("int", "succeeded")}
#: ddtrace takes a callable object for a function to be called in a thread, so its coroutine is never awaited.
NOT_SEEN = {"ddtrace": {("AsyncCourier", "succeeded")}}
#: Cancelled before its first step, on a loop whose factory was exchanged a moment ago: what the neighbour's coroutine
#: was given is never awaited, and Python says so too.
CANCELLED_EARLY = {("waits", "never_awaited")}
MORE = {
    "ddtrace": {("__call__", "never_awaited"), *CANCELLED_EARLY},
    "sentry": CANCELLED_EARLY, "opentelemetry-asyncio": CANCELLED_EARLY, "all": CANCELLED_EARLY,
}  # fmt: skip


@pytest.fixture(scope="module")
def theatre(tmp_path_factory):
    """Plays tests.neighbours with an interpreter that has all of them."""
    folder = tmp_path_factory.mktemp("neighbours")
    environment = PrivateVenv(folder / "venv")
    try:
        environment.make(PACKAGES, as_here=("fastapi", "starlette", "anyio", "uvicorn", "prometheus-client"))
        environment.install_afterword(folder)
    except NotMadeError as error:
        pytest.skip(f"no environment with the neighbours could be made: {error}")
    made = Theatre(environment.python, folder)
    yield made
    made.end()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("loaded", ["early", "late"])
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_program_sees_the_same_beside_each_neighbour(theatre, directory, books, neighbour, loaded, loop):
    """Order, results, exceptions, contexts, current spans, and whatever the neighbour exports."""
    options = ("--neighbour", neighbour, "--loaded", loaded, *LOOPS[loop])
    bare, watched = theatre.start(*options), theatre.start(*options, "--afterword", "present", directory=directory)
    found = differences(theatre.seen(bare), theatre.seen(watched))
    if (neighbour, loaded) == ("ddtrace", "late"):
        found = [difference for difference in found if not difference.startswith(DDTRACE_LATE)]
    assert found == []
    assert books.balance() == (0, 0)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("loaded", ["early", "late"])
@pytest.mark.parametrize("neighbour", NEIGHBOURS[1:])
def test_what_is_booked_is_the_same_beside_each_neighbour(theatre, directory, neighbour, loaded, loop):
    """Whose work it is and how it ends shows through whatever the neighbour puts around it."""
    alone, beside = directory / "alone", directory / "beside"
    booked = {}
    for folder, name in ((alone, "nobody"), (beside, neighbour)):
        folder.mkdir(mode=0o700)
        options = ("--neighbour", name, "--loaded", loaded, *LOOPS[loop], "--afterword", "present")
        theatre.seen(theatre.start(*options, directory=folder))
        booked[name] = endings(Books(folder))
    assert booked["nobody"] - booked[neighbour] <= NOT_SEEN.get(neighbour, set()) | BUILTIN
    assert booked[neighbour] - booked["nobody"] <= MORE.get(neighbour, set())


#: What a call of a pool that nobody awaits makes of itself: its request's affair, or a run, as the threads fall out.
EITHER_WAY = {("int", "succeeded")}


def endings(books):
    """Each ending of each task, however often; the program's own client is none."""
    found = {
        (sample.labels["task"].rpartition(".")[2], sample.labels.get("outcome") or sample.labels["reason"])
        for sample in books.samples()
        if sample.name in ENDINGS and sample.value and not sample.labels["task"].endswith("._client")
    }
    return found - EITHER_WAY
