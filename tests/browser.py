"""A real Chromium for the tests of the live page, the shops they watch, and what a page complained about."""

import contextlib
import importlib
import json
import os
import signal
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from demo_app.page_pictures import chromium
from demo_app.processes import MissingProgramError
from tests.helpers import REQUIRE_REAL, Child, Children, free_port, until
from tests.sidecars import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

#: A shop that owes: a mail that hangs, a push that fails, two hundred tasks, and names that would be markup.
SHOP = """
import os, time
from fastapi import BackgroundTasks, FastAPI
import afterword

app = FastAPI(title="shop")

@afterword.task(deadline=0.5, owner="the mail team")
def mail():
    answer()

def answer():
    time.sleep(600)

def push():
    raise LookupError

def planted(name):
    @afterword.task(name=name[:120], owner=name[:40])
    def task():
        raise type("Odd", (Exception,), {"__qualname__": name})
    return task

def done(): ...

def hanging(n):
    @afterword.task(name=f"crowd.task_{n:03}")
    def task():
        time.sleep(600)
    return task

CROWD = [hanging(n) for n in range(200)]

@app.get("/mail/{n}")
async def order(tasks: BackgroundTasks):
    tasks.add_task(mail)

@app.get("/push")
async def event(tasks: BackgroundTasks):
    tasks.add_task(push)

@app.get("/crowd")
async def crowd(tasks: BackgroundTasks, times: int):
    for n in range(times):
        tasks.add_task(CROWD[n % len(CROWD)])

NAME = os.environ.get("PLANTED", "")

@app.get(f"/fails/{NAME}")
async def fails(tasks: BackgroundTasks):
    tasks.add_task(planted(NAME))

@app.get(f"/ends/{NAME}")
async def ends(tasks: BackgroundTasks):
    tasks.add_task(done)

@app.get("/pid")
async def pid():
    return os.getpid()

afterword.instrument(app)
"""

#: The contrast of each text that is seen with what is behind it, the lowest first.
CONTRASTS = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  function mixed(colours) {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    const [red, green, blue] = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((byte) => {
      const part = byte / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  function behind(node) {
    const found = [];
    for (let at = node; at; at = at.parentElement) found.unshift(getComputedStyle(at).backgroundColor);
    return found;
  }
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const texts = [...node.childNodes].filter((child) => child.nodeType === 3);
    const text = texts.map((child) => child.data).join("").trim();
    if (!text || !node.checkVisibility() || node.closest(".visually-hidden, .skip, noscript, option")) continue;
    const ground = behind(node);
    const [low, high] = [mixed(ground), mixed([...ground, getComputedStyle(node).color])].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), text.slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""

_WATCHES = """
addEventListener("securitypolicyviolation", (event) => console.error("CSP", event.violatedDirective, event.blockedURI));
"""


@contextlib.contextmanager
def browser() -> "Iterator[Browser]":
    """A Chromium; without one the tests are skipped, or fail where real components are required."""
    with contextlib.ExitStack() as cleanup:
        try:
            found = cleanup.enter_context(chromium())
        except MissingProgramError as error:
            if REQUIRE_REAL:
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield found


def axe() -> Any:
    """What looks for those whom a page shuts out; missing it is treated as a missing browser is."""
    try:
        return importlib.import_module("axe_playwright_python.sync_playwright").Axe()
    except ImportError:
        complaint = "axe-core looks for those whom the page shuts out and is missing: pip install axe-playwright-python"
        if REQUIRE_REAL:
            pytest.fail(complaint)
        pytest.skip(complaint)


class Tab:
    """One page in a context of its own: what it shows, what it asked for, what it complained about."""

    def __init__(self, context: "BrowserContext", origin: str) -> None:
        self.context, self.origin = context, origin
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.add_init_script(_WATCHES)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    @property
    def faults(self) -> list[str]:
        """Its complaints, without those of the browser about answers that did not come or were refusals."""
        return [text for text in self.complaints if not text.startswith("Failed to load resource")]

    def open(self, address: str = "#/") -> "Page":
        """Load a view anew, and wait for what it has to say."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.origin}/{address}")
        self.page.wait_for_selector("main h1")
        return self.page

    def verdict(self, word: str) -> None:
        """Wait until the verdict is this one."""
        self.page.wait_for_function("word => document.querySelector('.verdict strong')?.textContent === word", arg=word)

    def close(self) -> None:
        """No fault may have been heard."""
        self.context.close()
        assert self.faults == []


class Watched:
    """A sidecar over a directory, and a shop beside it when it is wanted."""

    def __init__(self, children: Children, directory: Path, **env: Any) -> None:
        self.children, self.directory, self.env = children, directory, env
        self.listen = f"127.0.0.1:{free_port()}"
        self.origin = f"http://{self.listen}"
        self.sidecar = self.watch()
        self.shop: tuple[Child, int] | None = None

    def watch(self) -> Sidecar:
        """A sidecar at the same address as the one before; returns when it serves."""
        self.sidecar = Sidecar(self.children, self.directory, "--listen", self.listen, **self.env)
        assert self.sidecar.port
        return self.sidecar

    def serve(self, **env: str) -> "Watched":
        """Begin the shop."""
        (self.children.folder / "shop_app.py").write_text(SHOP)
        env = {"AFTERWORD_DIR": str(self.directory), "AFTERWORD_SERVICE": "shop", **self.env, **env}
        self.shop = self.children.uvicorn("shop_app:app", **env)
        return self

    def visit(self, path: str) -> Any:
        """Ask the shop, without waiting for its background tasks."""
        assert self.shop is not None
        with httpx.stream("GET", f"http://127.0.0.1:{self.shop[1]}{path}", timeout=15, trust_env=False) as answer:
            assert answer.is_success, path
            return json.loads(next(answer.iter_bytes()))

    def kill(self) -> None:
        """SIGKILL the shop."""
        os.kill(self.visit("/pid"), signal.SIGKILL)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """What a list of the API has."""
        _, text, _ = self.sidecar.get(f"/api/{path}?{urllib.parse.urlencode(query)}")
        return json.loads(text)["items"]

    def overdue(self) -> dict[str, Any]:
        """A run that is overdue, once it is known where it is stuck."""
        self.visit("/mail/7")
        return until(lambda: [run for run in self.items("runs", state="overdue") if run["stack"]], 20)[0]
