"""The live page over 10,000 open runs and 200 tasks: its API, its first verdict, its frames, what a listener costs.

Wall time, because somebody waits for it: the medians are of a machine that does nothing else. Each question is asked
when the last look at the ledgers is too old to be shared, so each pays for a look of its own. CPU as a share of one
core. Needs a Chromium and Playwright.
"""

import contextlib
import http.client
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.figure import Figure
from benchmarks.interleave import NotMeasuredError, cpu_ns, end, interleave, launch, scratch
from benchmarks.sidecar import running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from afterword.ledger.accounts import Account
    from afterword.ledger.owner import Owner

TASKS: Final = 200
OPEN: Final = 10_000
#: Bad endings that are kept, and runs a second that begin and end while everything is measured.
BAD: Final = 200
PER_SECOND: Final = 50
_QUESTIONS: Final = ("status", "tasks", "runs?limit=100", "endings")
#: Longer than a look is shared, in seconds.
_APART: Final = 0.3

_FIRST_VERDICT: Final = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(".verdict strong")?.textContent) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.verdictAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
_FRAMES: Final = """(seconds) => new Promise((resolve) => {
  const frames = [], tasks = [];
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)));
  observer.observe({ type: "longtask" });
  const begun = performance.now();
  let last = begun;
  requestAnimationFrame(function frame() {
    const at = performance.now();
    frames.push(at - last);
    last = at;
    if (at - begun < seconds * 1000) requestAnimationFrame(frame);
    else {
      observer.disconnect();
      resolve({ frames, tasks, elements: document.querySelectorAll("*").length });
    }
  });
})"""


def measure(quick: bool) -> list[Figure]:
    rounds, seconds = (4, 3) if quick else (40, 10)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch())
        keeper = launch("benchmarks.page", str(directory))
        stack.callback(end, keeper)
        assert keeper.stdout is not None
        if keeper.stdout.readline().strip() != "ready":
            raise NotMeasuredError("the application did not start")
        pid, port = stack.enter_context(running(directory))
        browser = stack.enter_context(_chromium())
        return [
            *_answers(port, rounds),
            _first_verdict(browser, port, max(3, rounds // 4)),
            *_live(browser, port, "", seconds),
            *_live(browser, port, "runs", seconds),
            *_listening(browser, pid, port, seconds, 1 if quick else 3),
        ]


@contextlib.contextmanager
def _chromium() -> "Iterator[Browser]":
    from demo_app.page_pictures import chromium
    from demo_app.processes import MissingProgramError

    try:
        opened = chromium()
        browser = opened.__enter__()
    except MissingProgramError as error:
        raise NotMeasuredError(str(error)) from error
    with contextlib.ExitStack() as stack:
        stack.push(opened)
        yield browser


# -- the API


def _answers(port: int, rounds: int) -> list[Figure]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    sizes: dict[str, int] = {}

    def asked(question: str) -> Callable[[], float]:
        def timed() -> float:
            time.sleep(_APART)
            begin = time.perf_counter()
            connection.request("GET", f"/api/{question}")
            answer = connection.getresponse()
            sizes[question] = len(answer.read())
            took = (time.perf_counter() - begin) * 1000
            assert answer.status == 200, question
            return took

        return timed

    with contextlib.closing(connection):
        samples = interleave({question: asked(question) for question in _QUESTIONS}, rounds)
    return [
        Figure(f"/api/{question}", statistics.median(ms), "ms", None, None,
               f"p95 {_p95(ms):.1f} ms; {sizes[question]:,} bytes")
        for question, ms in samples.items()
    ]  # fmt: skip


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


# -- the page


@contextlib.contextmanager
def _page(browser: "Browser", port: int, view: str = "") -> "Iterator[Page]":
    with browser.new_context(viewport={"width": 1440, "height": 1000}) as context:
        page = context.new_page()
        page.add_init_script(_FIRST_VERDICT)
        page.goto(f"http://127.0.0.1:{port}/#/{view}")
        page.wait_for_selector("main h1")
        yield page


def _first_verdict(browser: "Browser", port: int, times: int) -> Figure:
    found, painted = [], []
    for _ in range(times):
        with _page(browser, port) as page:
            page.wait_for_function("() => window.verdictAt")
            found.append(page.evaluate("window.verdictAt"))
            painted.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"))
    detail = f"slowest of {times} {max(found):.0f} ms; first paint of anything {statistics.median(painted):.0f} ms"
    return Figure("an empty cache to the verdict on the page", statistics.median(found), "ms", None, None, detail)


def _live(browser: "Browser", port: int, view: str, seconds: int) -> list[Figure]:
    with _page(browser, port, view) as page:
        page.wait_for_function("() => document.getElementById('link').textContent === 'live'")
        found: dict[str, Any] = page.evaluate(_FRAMES, seconds)
    frames, tasks = found["frames"], found["tasks"]
    long = sum(1 for frame in frames if frame > 50)
    detail = f"p95 {_p95(frames):.1f}, longest {max(frames):.0f} ms; {long} of {len(frames)} above 50 ms"
    busy = f"{len(tasks)} long tasks in {seconds} s" + (f", longest {max(tasks):.0f} ms" if tasks else "")
    name = view or "overview"
    return [
        Figure(f"a frame of the live page, {name}", statistics.median(frames), "ms", None, None, f"{detail}; {busy}"),
        Figure(f"elements of the page, {name}", found["elements"], ""),
    ]


# -- what listening costs


def _listening(browser: "Browser", pid: int, port: int, seconds: int, rounds: int) -> list[Figure]:
    """The sidecar's CPU, by turns with nobody and with one page that listens."""

    def share() -> float:
        before, begun = cpu_ns(pid), time.monotonic()
        time.sleep(seconds)
        return 100 * (cpu_ns(pid) - before) / ((time.monotonic() - begun) * 1e9)

    def one() -> float:
        with _page(browser, port) as page:
            page.wait_for_function("() => document.getElementById('link').textContent === 'live'")
            return share()

    samples = interleave({"none": share, "one": one}, rounds)
    found = {name: statistics.median(values) for name, values in samples.items()}
    return [
        Figure("sidecar CPU, nobody looks", found["none"], "% of a core"),
        Figure("sidecar CPU, one page listens", found["one"], "% of a core"),
    ]


def _keep(directory: Path) -> None:
    """The application: until its input ends, ``PER_SECOND`` more runs begin and end well."""
    from benchmarks.ledgers import accounts, write

    (owner,) = write(directory, 1, TASKS, OPEN)
    books = accounts(owner, TASKS)
    for n in range(BAD):
        _fail(owner, books[n % 20])
    print("ready", flush=True)
    closed = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        closed.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    n = 0
    while not closed.wait(1 / PER_SECOND):
        book = books[n % TASKS]
        run = book.schedule()
        book.succeed(run, book.start(run))
        n += 1


def _fail(owner: "Owner", book: "Account") -> None:
    """A run that fails and is kept, as the hooks keep it."""
    from afterword import words
    from afterword.ledger.bad_endings import BadEnding

    run = book.schedule()
    started = book.start(run)
    now = time.monotonic_ns()
    ended = BadEnding(0, 0, words.FAILED, "LookupError", 0, run, book.words[run + 1], now, now, 0, 0)
    book.fail(run, started, LookupError)
    assert owner.ledger is not None
    owner.ledger.note_ending(book, ended)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
