"""The whole arrangement on this machine: outside world, shop, sidecar, Prometheus and Alertmanager.

with running_stack() as stack:
stack.shop.visit("/register", times=3)
stack.prometheus.query("afterword_tasks_running")
"""

import inspect
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn

from demo_app import configs, readings
from demo_app.collector import Collector
from demo_app.configs import SERVICE, TIME_SCALE
from demo_app.customers import Customers
from demo_app.processes import Child, MissingProgramError, NotInTimeError, find_program, free_port, wait_until
from demo_app.readings import Books, Prometheus, World

WORKERS = 2
#: Seconds a worker may take to finish its work when it is asked to stop.
GRACE = 1
_START_LIMIT = 30
_HEALTH_LIMIT = 10


class Stack:
    """The running arrangement. Made by :func:`running_stack`."""

    prometheus: Prometheus
    alertmanager_url: str | None = None

    def __init__(
        self, directory: Path, ledgers: Path, cleanup: ExitStack, say: Callable[[str], None], traces: str | None = None
    ) -> None:
        self.directory, self._ledgers, self._cleanup, self._say = directory, ledgers, cleanup, say
        self.keep_logs = False
        self._children: list[Child] = []
        cleanup.callback(self._clean_up)
        self._socket = cleanup.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        self._smtp, self._http, self._sidecar_port = free_port(), free_port(), free_port()
        self._generation = 0
        self.shop_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.sidecar_url = f"http://127.0.0.1:{self._sidecar_port}"
        self.collector = Collector()
        cleanup.callback(self.collector.close)
        database = directory / "shop.sqlite"
        self._env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
            "NO_PROXY": "127.0.0.1,localhost",
            "AFTERWORD_DIR": str(ledgers),
            "AFTERWORD_SERVICE": SERVICE,
            "AFTERWORD_TIME_SCALE": str(TIME_SCALE),
            "SHOP_SMTP_PORT": str(self._smtp),
            "SHOP_PARTNERS": f"http://127.0.0.1:{self._http}",
            "SHOP_DATABASE": f"sqlite:///{database}",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{traces or self.collector.endpoint}/v1/traces",
        }
        self.world = World(f"http://127.0.0.1:{self._http}", database)
        self.shop = Customers(self.shop_url)
        cleanup.callback(self.shop.close)
        cleanup.callback(readings.close)

    def start(self) -> None:
        """Start everything; returns when every part answers and Prometheus has scraped it."""
        self._say("starting the outside world, the shop, its sidecar and Prometheus")
        self._python(
            "outside", "-m", "demo_app.outside", "--smtp-port", str(self._smtp), "--http-port", str(self._http)
        )
        self._start_alertmanager()
        self.sidecar = self._start_sidecar()
        self._create_tables()
        self._start_prometheus()
        self.app = self.start_app()
        self._say("waiting for the first scrapes")
        wait_until(self._ready, _START_LIMIT, "every part answers and is scraped")

    def books(self) -> Books:
        """What the sidecar answers now."""
        return readings.read_books(f"{self.sidecar_url}/metrics", SERVICE)

    def start_app(self) -> Child:
        """Another generation of the shop on the same listening socket; returns when all its workers keep books."""
        self._generation += 1
        others = self.books().processes if self._generation > 1 else 0
        counters = self.directory / f"article-{self._generation}"
        counters.mkdir()
        command = ["-m", "uvicorn", "demo_app.shop:app", "--fd", str(self._socket.fileno()), "--workers", str(WORKERS)]
        options = ["--no-access-log", "--timeout-graceful-shutdown", str(GRACE), *_patience_with_new_workers()]
        child = Child(
            f"shop {self._generation}",
            [sys.executable, *command, *options],
            self.directory / f"shop-{self._generation}.log",
            env={**self._env, "PROMETHEUS_MULTIPROC_DIR": str(counters)},
            pass_fds=[self._socket.fileno()],
        )
        self._keep(child)
        self.wait_for_processes(others + WORKERS)
        return child

    def restart_sidecar(self) -> None:
        """A new sidecar in the place of one that has ended."""
        self.sidecar = self._start_sidecar()

    def wait_for_processes(self, count: int, limit: float = _START_LIMIT) -> None:
        """Until the books are kept by exactly so many living processes."""
        wait_until(lambda: self._answers(self._sidecar_ready), limit, "the sidecar answers")
        wait_until(lambda: self._answers(lambda: self.books().processes == count), limit, f"{count} workers keep books")

    def wait_until_settled(self, limit: float = 20.0) -> None:
        """Until no run is waiting or running any more."""
        wait_until(lambda: self.books().open == 0, limit, "all work has ended")

    @property
    def addresses(self) -> dict[str, str]:
        """What can be opened in a browser."""
        known = {"shop": f"{self.shop_url}/docs", "sidecar": f"{self.sidecar_url}/metrics"}
        known["Prometheus"] = f"{self.prometheus.url}/alerts"
        if self.alertmanager_url:
            known["Alertmanager"] = self.alertmanager_url
        return known

    @property
    def breaking(self) -> dict[str, str]:
        """Lines to type into another terminal, by what they do."""
        mail = f"curl -X PUT http://127.0.0.1:{self._http}/_world/mail -H 'content-type: application/json' -d"
        return {
            "the mail server hangs (or refuse, or slow)": f'{mail} \'{{"mode": "hang"}}\'',
            "the mail server is well again": f'{mail} \'{{"mode": "ok"}}\'',
            "one worker is killed": f"kill -9 $(curl -s {self.shop_url}/health | grep -o '[0-9]*')",
            "everything of the shop is killed": f"kill -9 -- -{self.app.pid}",
            "the sidecar is killed": f"kill -9 {self.sidecar.pid}",
        }

    def _start_sidecar(self) -> Child:
        listen = f"127.0.0.1:{self._sidecar_port}"
        return self._python("sidecar", "-m", "afterword", "sidecar", "--dir", str(self._ledgers), "--listen", listen)

    def _start_prometheus(self) -> None:
        program = prometheus_program()
        alertmanager = self.alertmanager_url.removeprefix("http://") if self.alertmanager_url else None
        targets = {configs.JOB: f"127.0.0.1:{self._sidecar_port}", "article": self.shop_url.removeprefix("http://")}
        rules = configs.write_rules(self.directory, self._env)
        config = configs.write_prometheus(self.directory, targets, rules, alertmanager)
        address = f"127.0.0.1:{free_port()}"
        storage = self.directory / "prometheus"
        self._child(
            "prometheus",
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={storage}",
            f"--web.listen-address={address}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        )
        self.prometheus = Prometheus(f"http://{address}")

    def _start_alertmanager(self) -> None:
        program = find_program("prometheus-alertmanager", "alertmanager")
        if program is None:
            self._say("Alertmanager is not installed: its part is skipped")
            return
        address = f"127.0.0.1:{free_port()}"
        config = configs.write_alertmanager(self.directory)
        self._child(
            "alertmanager",
            program,
            f"--config.file={config}",
            f"--storage.path={self.directory / 'alertmanager'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
            "--log.level=warn",
        )
        self.alertmanager_url = f"http://{address}"

    def _create_tables(self) -> None:
        env = {**self._env, "AFTERWORD_DISABLED": "1"}
        subprocess.run([sys.executable, "-m", "demo_app.shop"], check=True, env=env, capture_output=True)

    def _python(self, name: str, *arguments: str) -> Child:
        return self._child(name, sys.executable, *arguments)

    def _child(self, name: str, *command: str) -> Child:
        child = Child(name, command, self.directory / f"{name}.log", env=self._env)
        self._keep(child)
        return child

    def _keep(self, child: Child) -> None:
        self._children.append(child)
        self._cleanup.callback(child.kill)

    def _clean_up(self) -> None:
        shutil.rmtree(self._ledgers, ignore_errors=True)
        if not self.keep_logs:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _ready(self) -> bool:
        return self._answers(self._targets_up) and self._answers(self._alertmanager_found)

    def _sidecar_ready(self) -> bool:
        return readings.get(f"{self.sidecar_url}/readyz").is_success

    def _targets_up(self) -> bool:
        return len(self.prometheus.query("up == 1")) == 2

    def _alertmanager_found(self) -> bool:
        if self.alertmanager_url is None:
            return True
        return bool(self.prometheus.get("alertmanagers")["activeAlertmanagers"])

    def _answers(self, question: Callable[[], bool]) -> bool:
        for child in self._children:
            if child.ended_alone:
                raise NotInTimeError(f"{child.name} ended by itself; its last words are in {child.log}")
        try:
            return question()
        except readings.NO_ANSWER:
            return False


def _patience_with_new_workers() -> list[str]:
    """On a loaded machine a worker may need more than uvicorn's 5 s to start.

    Not much more: a worker killed while uvicorn asks for its health keeps the supervisor waiting as long.
    """
    option = "timeout_worker_healthcheck"
    known = option in inspect.signature(uvicorn.Config).parameters
    return [f"--{option.replace('_', '-')}", str(_HEALTH_LIMIT)] if known else []


def prometheus_program() -> str:
    """The path of Prometheus; :class:`MissingProgramError` with the line to type if it is not installed."""
    program = find_program("prometheus")
    if program is None:
        raise MissingProgramError("The demo needs Prometheus, which is not installed: apt-get install prometheus")
    return program


@contextmanager
def running_stack(say: Callable[[str], None] = lambda _: None, traces: str | None = None) -> Iterator[Stack]:
    """Everything up and scraped; everything ended afterwards, and cleaned away unless it failed.

    Traces go to our own collector, or to the one at the URL ``traces``.
    """
    prometheus_program()
    directory = Path(tempfile.mkdtemp(prefix="afterword-demo-"))
    memory = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it, mode 0700
    ledgers = Path(tempfile.mkdtemp(prefix="afterword-demo-", dir=memory if memory.is_dir() else None))
    with _sigterm_raises(), ExitStack() as cleanup:
        stack = Stack(directory, ledgers, cleanup, say, traces)
        try:
            stack.start()
            yield stack
        except Exception as error:
            stack.keep_logs = True
            error.add_note(f"The logs of every process are in {directory}")
            raise


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Being stopped ends the children, too."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: whoever started us decides
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
