"""CPU a request costs its server, with one task and with none: real uvicorn processes, bursts taking turns.

Microseconds of CPU time of the server process per request answered. wrk makes the load where there is
one, else a client of our own in another process.
"""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.interleave import (
    NotMeasuredError,
    Samples,
    cpu_ns,
    end,
    environment,
    interleave,
    launch,
    medians,
    scratch,
    spread,
)

STACKS = ("bare", "afterword", "fix7", "fix7_multiprocess")
_CONNECTIONS, _SECONDS = 16, 1


def measure(quick: bool) -> list[Figure]:
    rounds = 4 if quick else 15
    with contextlib.ExitStack() as stack:
        top = stack.enter_context(scratch())
        servers = {name: stack.enter_context(_server(name, top / name)) for name in STACKS}
        none = _bursts(servers, "/0", rounds, ("bare", "afterword"))
        one = _bursts(servers, "/1", rounds, STACKS)
    return [_share(one, "1 task", 4.0), _against_fix7(one), _share(none, "no task", None)]


def _share(samples: Samples, what: str, target: float | None) -> Figure:
    us = medians(samples)
    added = us["afterword"] - us["bare"]
    detail = f"{added:+.2f} us on {us['bare']:.1f} us {spread(samples['afterword'], samples['bare'])}"
    return Figure(f"CPU added to a request, {what}", 100 * added / us["bare"], "%", target, None, detail)


def _against_fix7(samples: Samples) -> Figure:
    us = medians(samples)
    ours, theirs, most = (us[name] - us["bare"] for name in ("afterword", "fix7", "fix7_multiprocess"))
    detail = f"Fix 7 adds {theirs:.2f} us, in multiprocess mode {most:.2f} us"
    return Figure("CPU added to a request, 1 task / Fix 7", ours / theirs, "x", 0.25, None, detail)


def _bursts(servers: dict[str, tuple[int, int]], path: str, rounds: int, names: tuple[str, ...]) -> Samples:
    def turn(name: str) -> Callable[[], float]:
        return lambda: _burst(*servers[name], path)

    return interleave({name: turn(name) for name in names}, rounds)


def _burst(pid: int, port: int, path: str) -> float:
    """Microseconds of the server's CPU per request of one burst."""
    before = cpu_ns(pid)
    answered = _load(f"http://127.0.0.1:{port}{path}")
    return (cpu_ns(pid) - before) / answered / 1000


def _load(url: str) -> int:
    """How many requests were answered in one burst."""
    wrk = shutil.which("wrk")
    own = [sys.executable, "-m", "benchmarks.client", url, str(_CONNECTIONS), str(_SECONDS)]
    command = [wrk, "-t1", f"-c{_CONNECTIONS}", f"-d{_SECONDS}s", url] if wrk else own
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(), timeout=60).stdout
    answered = re.search(r"(\d+) requests in", told)
    if answered is None or "Non-2xx" in told:
        raise NotMeasuredError(f"{url}: {told.strip() or 'the load generator told nothing'}")
    return int(answered[1])


@contextlib.contextmanager
def _server(stack: str, directory: Path) -> Iterator[tuple[int, int]]:
    """A server's pid and port."""
    directory.mkdir(mode=0o700)
    port = free_port()
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(directory)} if stack == "fix7_multiprocess" else {}
    process = launch("benchmarks.server", stack, str(directory), str(port), **variables)
    try:
        wait_for(f"http://127.0.0.1:{port}/0", process)
        yield process.pid, port
    finally:
        end(process)


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: "subprocess.Popen[str]") -> None:
    """Return when it answers; a process that ended, or 20 seconds, are an error."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own
            answer.read()
            return
        time.sleep(0.05)
    told = process.stderr.read() if process.poll() is not None and process.stderr else "no answer in 20 s"
    raise NotMeasuredError(f"{url}: {told.strip()}")
