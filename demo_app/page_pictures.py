"""``python -m demo_app.page_pictures``: the sidecar's live page as pictures, over the demo's real shop on a bad day.

Needs a Chromium on PATH and ``pip install playwright``; writes page.png, page-dark.png and page-phone.png.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from demo_app import acts, readings
from demo_app.outside import MAIL, STATISTICS
from demo_app.processes import Child, MissingProgramError, NotInTimeError, find_program, wait_until
from demo_app.stack import WORKERS, Stack, running_stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCS: Final = Path(__file__).parents[1] / "docs"
#: The sidecar's own clock: the charts hold ninety seconds, and what was lost stays news for thirty.
TIME_SCALE: Final = 10
_HEALTHY_SECONDS: Final = 45
_OVERDUE_SECONDS: Final = 9
#: Where the overview's picture ends: below its charts, however high the cards above them are.
_END: Final = "() => document.querySelector('.charts')?.closest('section').getBoundingClientRect().bottom"
#: No sandbox: it needs privileges that a container lacks, and only our own page is opened. The rest keeps it at home.
_OPTIONS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium() -> "Iterator[Browser]":
    """A Chromium without a window; :class:`MissingProgramError` with the line to type if there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingProgramError("Playwright drives the browser and is missing: pip install playwright") from error
    program = find_program("chromium", "chromium-browser", "google-chrome")
    if program is None:
        raise MissingProgramError("There is no Chromium to open the page with: apt-get install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: of which device, in which colours."""

    name: str
    width: int
    height: int
    scheme: Literal["dark", "light"]
    device: dict[str, Any]


WIDE: Final = Picture("page", 1440, 1000, "light", {})
DARK: Final = Picture("page-dark", 1440, 1000, "dark", {})
PHONE: Final = Picture("page-phone", 390, 844, "light", {"device_scale_factor": 2, "is_mobile": True})


def main(arguments: Sequence[str] | None = None) -> int:
    """Provoke a bad day and draw it; 0, or 2 with one sentence when it cannot."""
    parser = argparse.ArgumentParser(prog="python -m demo_app.page_pictures", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=DOCS, metavar="DIR", help="default: docs")
    output: Path = parser.parse_args(arguments).output
    output.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as cleanup:
            browser = cleanup.enter_context(chromium())
            stack = cleanup.enter_context(running_stack(print))
            _slower_sidecar(stack, cleanup)
            _bad_day(stack)
            for picture, view in ((WIDE, _overview), (PHONE, _overview), (DARK, _overdue_run)):
                _draw(browser, stack, picture, output, view)
    except (MissingProgramError, NotInTimeError, subprocess.CalledProcessError) as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 2
    return 0


def _slower_sidecar(stack: Stack, cleanup: ExitStack) -> None:
    """In the place of the demo's own, whose minute is a second: nobody could read its charts."""
    directory = readings.get(f"{stack.sidecar_url}/api/status").json()["sidecar"]["directory"]
    stack.sidecar.stop()
    listen = stack.sidecar_url.removeprefix("http://")
    command = [sys.executable, "-m", "afterword", "sidecar", "--dir", directory, "--listen", listen]
    env = {**os.environ, "AFTERWORD_TIME_SCALE": str(TIME_SCALE)}
    stack.sidecar = Child("sidecar", command, stack.directory / "page.log", env=env)
    cleanup.callback(stack.sidecar.kill)
    wait_until(lambda: _is_up(stack), 20, "the sidecar of the page answers")


def _is_up(stack: Stack) -> bool:
    try:
        return readings.get(f"{stack.sidecar_url}/readyz").is_success
    except readings.NO_ANSWER:
        return False


def _bad_day(stack: Stack) -> None:
    """First all is well; then drops and failures, mails that hang, and a worker killed among them."""
    with stack.shop.keep_coming(per_second=8):
        time.sleep(_HEALTHY_SECONDS)
        acts.mail_refused(stack)
        acts.never_taken(stack)
        stack.world.all_well()
        stack.world.switch(STATISTICS, "refuse")
        stack.world.switch(MAIL, "hang")
        time.sleep(_OVERDUE_SECONDS)
        stack.app.kill_worker(stack.shop.who_answers())
        stack.wait_for_processes(WORKERS)
    wait_until(lambda: _stuck(stack), 20, "a run is overdue, and where it is stuck is known")


def _stuck(stack: Stack) -> list[dict[str, Any]]:
    runs = readings.get(f"{stack.sidecar_url}/api/runs", state="overdue").json()["items"]
    return [run for run in runs if run["stack"]]


def _overview(page: "Page", stack: Stack) -> None:
    page.goto(f"{stack.sidecar_url}/")
    page.wait_for_selector("main h1")


def _overdue_run(page: "Page", stack: Stack) -> None:
    page.goto(f"{stack.sidecar_url}/#/run/{_stuck(stack)[-1]['id']}")  # the newest: a ledger holds sixteen stacks
    page.wait_for_selector("ol.calls li")


def _draw(
    browser: "Browser", stack: Stack, picture: Picture, output: Path, view: Callable[["Page", Stack], None]
) -> None:
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme=picture.scheme,
        reduced_motion="reduce",
        **picture.device,
    )
    page = context.new_page()
    view(page, stack)
    page.wait_for_function("() => document.getElementById('link').textContent === 'live'")
    path = output / f"{picture.name}.png"
    if picture is WIDE and (bottom := page.evaluate(_END)) is not None:
        page.set_viewport_size({"width": picture.width, "height": round(bottom) + 16})
    page.screenshot(path=path)
    context.close()
    _smaller(path)
    print(path, path.stat().st_size)


def _smaller(path: Path) -> None:
    """As a palette, where the tool for it is installed."""
    program = shutil.which("pngquant")
    if program is not None:
        subprocess.run([program, "--force", "--skip-if-larger", "--output", path, path], check=False)


if __name__ == "__main__":
    raise SystemExit(main())
