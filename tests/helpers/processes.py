"""Real server processes: output goes to a file, and each is ended by its pid whatever happens."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.helpers.waiting import until


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Child:
    """One process started by a test, in a session of its own so that its workers end with it."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str], cwd: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=env, cwd=cwd, start_new_session=True,
            )  # fmt: skip
        self.pid = self.process.pid

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to this process alone."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = 15.0) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(seconds)

    def stop(self, seconds: float = 15.0) -> int:
        """End it as an orchestrator does: SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def end(self) -> None:
        """Make sure that neither it nor a worker of it is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(15)


class Children:
    """Starts processes and ends all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._children: list[Child] = []

    def start(self, *command: str, **env: str) -> Child:
        """Run ``command`` in the test's folder."""
        log = self.folder / f"child-{len(self._children)}.log"
        child = Child(list(command), log, {**os.environ, "PYTHONUNBUFFERED": "1", **env}, self.folder)
        self._children.append(child)
        return child

    def python(self, *arguments: str, **env: str) -> Child:
        """Run this interpreter."""
        return self.start(sys.executable, *arguments, **env)

    def uvicorn(self, app: str, *options: str, **env: str) -> tuple[Child, int]:
        """Serve ``module:app`` of the test's folder; the server and its port, once it answers."""
        port = free_port()
        child = self.python("-m", "uvicorn", app, "--port", str(port), *options, **env)
        self.answering(child, port)
        return child, port

    def answering(self, child: Child, port: int, seconds: float = 20.0) -> None:
        """Wait until ``child`` accepts connections; fails with its output if it ends before."""

        def listening() -> bool:
            assert child.process.poll() is None, child.output
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listening, seconds)

    def end(self) -> None:
        """End whatever is left."""
        for child in self._children:
            child.end()


def request(port: int, path: str, method: str = "GET", **headers: Any) -> int:
    """One request over a connection of its own; its status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
