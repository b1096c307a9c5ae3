"""Processes that the demo starts, and ends again whatever happens; waiting on conditions with a limit."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")
_POLL = 0.1  # seconds


class NotInTimeError(Exception):
    """A condition that should have come true within its limit did not."""


class MissingProgramError(Exception):
    """A program that has to be installed is not."""


class Child:
    """A process in a group of its own, so that it and its workers can be ended together."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name, self.log = name, log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process itself; also the number of its group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process itself lives. Only looks: not waited for, it keeps the group's number ours."""
        if self._process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    @property
    def ended_alone(self) -> bool:
        """Whether it ended, and not because we ended it."""
        return self._process.returncode is None and not self.running

    def signal(self, number: signal.Signals) -> None:
        """Signal the process itself, as an orchestrator does."""
        if self.running:
            os.kill(self.pid, number)

    def kill_worker(self, pid: int) -> None:
        """SIGKILL one process of the group, and no other process."""
        if os.getpgid(pid) != self.pid:
            raise ProcessLookupError(f"{pid} is no worker of {self.name}")
        os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL the whole group: the process and every worker it started."""
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(10)

    def stop(self, patience: float = 5.0) -> None:
        """SIGTERM, then SIGKILL for whatever of the group is left after ``patience`` seconds."""
        self.signal(signal.SIGTERM)
        until = time.monotonic() + patience
        while self.running and time.monotonic() < until:
            time.sleep(_POLL)
        self.kill()


def wait_until(condition: Callable[[], Value], limit: float, what: str) -> Value:
    """The first true value of ``condition``; :class:`NotInTimeError` after ``limit`` seconds."""
    until = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise NotInTimeError(f"{what}: not within {limit:g} s")
        time.sleep(_POLL)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_program(*names: str) -> str | None:
    """The first of ``names`` that is installed."""
    return next((path for name in names if (path := shutil.which(name))), None)
