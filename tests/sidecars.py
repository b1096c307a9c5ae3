"""Real processes for the outside-facing tests: a sidecar, one that only keeps a ledger, and an application."""

import http.client
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from tests.helpers import Books, Child, Children, until

#: Who is nobody in particular, where the tests run as root.
NOBODY = 65534

#: A shop with one task that ends, one that hangs in its thread, and a route of its own at POST /metrics.
SHOP = """
import json, os, threading
from fastapi import BackgroundTasks, FastAPI
import afterword

app = FastAPI(title="shop")

def mail() -> None: ...
def hang() -> None: threading.Event().wait()

@app.get("/mail")
async def send_mail(tasks: BackgroundTasks) -> str:
    tasks.add_task(mail)
    return "sent"

@app.get("/hang")
async def send_hang(tasks: BackgroundTasks) -> str:
    tasks.add_task(hang)
    return "sent"

@app.post("/metrics")
async def own_route() -> str:
    return "own"

@app.get("/pid")
async def pid() -> int:
    return os.getpid()

afterword.instrument(app, **json.loads(os.environ.get("KEYWORDS", "{}")))
"""

_WRITER = """
import sys
from pathlib import Path
from afterword import settings
from afterword.ledger.accounts import Declaration
from afterword.ledger.owner import Owner

keywords = {"dir": sys.argv[1], "slots": int(sys.argv[2])}
owner = Owner(settings.load(keywords, print), "test", "shop")
owner.open()
mail = owner.account("mail", "background", Declaration())

def end():
    run = mail.schedule()
    mail.succeed(run, mail.start(run))

words = {"end": end, "run": lambda: mail.start(mail.schedule()), "wait": mail.schedule,
         "check": lambda: owner._check_file(), "path": lambda: owner.path}
print(owner.unavailable or owner.path, flush=True)
for line in sys.stdin:
    word, times = line.split()
    for _ in range(int(times)):
        answer = words[word]()
    print(answer, flush=True)
"""


class Writer:
    """A process that keeps a ledger of task ``mail`` and does as it is told: end, run, wait, check, path."""

    def __init__(self, directory: Path, slots: int = 64, **popen: Any) -> None:
        command = [sys.executable, "-c", _WRITER, str(directory), str(slots)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
        )
        #: The ledger, or the reason why there is none.
        self.first = self._answer()
        self.path = Path(self.first)

    def do(self, word: str, times: int = 1) -> str:
        """Let it do one thing, and wait until it is done."""
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write(f"{word} {times}\n")
        stdin.flush()
        return self._answer()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.end()

    def leave(self) -> None:
        """End as a program does that has nothing more to do."""
        self.process.communicate(timeout=15)

    def end(self) -> None:
        """Make sure it is gone, and its pipes with it."""
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.communicate(timeout=15)

    def _answer(self) -> str:
        stdout: IO[str] | None = self.process.stdout
        assert stdout is not None
        line = stdout.readline()
        assert line, self.process.communicate()[1]
        return line.strip()


class Sidecar(Books):
    """A real sidecar on a free port, scraped over HTTP; whoever asks first waits until it serves."""

    def __init__(
        self,
        children: Children,
        directory: Path,
        *options: str,
        python: tuple[str, ...] = ("-m", "afterword"),
        **env: str,
    ) -> None:
        listen = () if "--listen" in options else ("--listen", "127.0.0.1:0")
        self.child: Child = children.python(*python, "sidecar", "--dir", str(directory), *listen, *options, **env)

    @property
    def host(self) -> str:
        """The address it says that it serves."""
        return self._address()[0].strip("[]")

    @property
    def port(self) -> int:
        """The port it says that it serves."""
        return int(self._address()[1])

    def _address(self) -> tuple[str, ...]:
        def found() -> "re.Match[str] | None":
            assert self.child.process.poll() is None, self.child.output
            return re.search(r"page and metrics on http://(\S+):(\d+)/", self.child.output)

        match = until(found)
        assert match is not None
        return match.groups()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, text and content type of one request over a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=15)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers["content-type"]
        finally:
            connection.close()

    def text(self, accept: str = "text/plain") -> str:
        """The page itself."""
        status, text, _ = self.get("/metrics", accept=accept)
        assert status == 200, text + self.child.output
        return text


def shop(children: Children, *options: str, **env: str) -> tuple[Child, int]:
    """The shop under uvicorn, and its port."""
    (children.folder / "shop_app.py").write_text(SHOP)
    return children.uvicorn("shop_app:app", *options, **env)
