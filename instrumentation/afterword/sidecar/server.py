"""Runs the sidecar under uvicorn; refuses what it cannot serve, in one sentence."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from afterword.books.bookkeeper import Bookkeeper
from afterword.ledger.file import LedgerUnavailableError, prepare_directory
from afterword.settings import Address
from afterword.settings.values import DEFAULT_LISTEN
from afterword.sidecar.access import guarded, is_loopback, metrics_only
from afterword.sidecar.app import build
from afterword.sidecar.exporter import CannotExportError, endpoint_of, exporter_for
from afterword.sidecar.span_sender import LOOK, SpanSender

_LOGGER: Final = logging.getLogger("afterword.sidecar")
#: How long a slow scraper may hold up the end, in seconds.
_GRACE: Final = 1


class CannotServeError(Exception):
    """The sidecar does not start; the text is one sentence that says what to type instead."""


def serve(
    directory: Path,
    listen: Address,
    otlp_endpoint: str | None = None,
    time_scale: float = 1.0,
    *,
    metrics_listen: Address | None = None,
    token: str | None = None,
    allowed_hosts: tuple[str, ...] = (),
    trace_url: str | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT ends it, which is a success.

    Args:
        directory: Where applications keep their ledgers; made if missing.
        listen: Where the page, its API and the metrics are; other machines reach it only with a token.
        otlp_endpoint: Where spans of lost runs are sent to; None: where OpenTelemetry's own variables say.
        time_scale: Divides how often it looks for overdue runs, and what `build` says.
        metrics_listen: Where the metrics and the probes are as well, for whoever reaches it; None: nowhere else.
        token: What the page asks for; None: nothing.
        allowed_hosts: Names that the page is served as, beside its own.
        trace_url: Where the page leads to for a trace, with ``{trace_id}`` in it.

    Raises:
        CannotServeError: an address is wrong, taken or open to others without a token.
    """
    with contextlib.ExitStack() as listeners:
        page = listeners.enter_context(_listening("listen", listen))
        if token is None:
            _refuse_strangers(page, listen, metrics_listen)
        metrics = metrics_listen and listeners.enter_context(_listening("metrics_listen", metrics_listen))
        _end_well_on_signals()
        logging.basicConfig(level=logging.INFO, format="afterword sidecar: %(message)s")
        _allow_many_ledgers()
        _say_where(_prepared(directory), page, metrics)
        everywhere = _is_everywhere(_address_of(page).host)
        names = (*allowed_hosts, socket.gethostname()) if everywhere else allowed_hosts
        app = build(directory, _sender(otlp_endpoint, time_scale), time_scale=time_scale, trace_url=trace_url)
        server = _Server(_config(guarded(app, listen=listen, token=token, allowed_hosts=names), "on"))
        if metrics is not None:
            server.also = (_config(metrics_only(app), "off"), metrics)
        server.run(sockets=[page])


def _config(app: ASGIApp, lifespan: Literal["on", "off"]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan=lifespan,
        # Not whatever else is installed: a few requests a minute need no fast loop, and uvloop tells an aborted
        # connection with a traceback.
        loop="asyncio",
        http="h11",
        ws="none",
        proxy_headers=False,  # nobody's word is taken for who asks
        log_level="warning",
        access_log=False,
        server_header=False,
    )


class _Server(uvicorn.Server):
    """Hangs up on who has not read its answer in time: uvicorn would wait for ever, or cancel with a traceback."""

    #: A second listener with an application of its own: what accepted a connection decides what it can ask for.
    also: tuple[uvicorn.Config, socket.socket] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """The second listener shares connections and end with the first; the lifespan has run once by then."""
        await super().startup(sockets)
        if self.also is None:
            return
        config, listener = self.also
        config.load()

        def protocol() -> asyncio.Protocol:
            return H11Protocol(config=config, server_state=self.server_state, app_state=self.lifespan.state)

        self.servers.append(await asyncio.get_running_loop().create_server(protocol, sock=listener))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Nothing of ours is lost with an answer: all state is in the directory."""
        asyncio.get_running_loop().call_later(_GRACE, self._hang_up)
        await super().shutdown(sockets)

    def _hang_up(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _sender(otlp_endpoint: str | None, time_scale: float) -> Callable[[Bookkeeper], SpanSender] | None:
    """What sends spans, if somebody is named to take them; one that cannot be used is told, and costs its spans."""
    try:
        named = endpoint_of(otlp_endpoint)
        if named is None:
            return None
        exporter, where = exporter_for(*named), named[1]
    except CannotExportError as error:
        _LOGGER.warning("no spans are sent: %s", error)
        return None
    _LOGGER.info("sending spans of lost and overdue runs to %s", where)
    return lambda bookkeeper: SpanSender(bookkeeper, exporter, where, look=LOOK / time_scale)


def _end_well_on_signals() -> None:
    """Uvicorn ends gracefully, then raises the signal again for the handlers it found: these ones."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def _allow_many_ledgers() -> None:
    """Every living ledger is kept open: take as many descriptors as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _prepared(directory: Path) -> str:
    """The directory as it is told: one that nobody had made before is perhaps not the application's."""
    there = os.path.lexists(directory)
    try:
        prepare_directory(directory)
    except LedgerUnavailableError as error:
        _LOGGER.warning("%s. It serves, and looks again at every scrape.", error)
        return str(directory)
    if there:
        return str(directory)
    return f"{directory} (made just now; no application writes there yet: AFTERWORD_DIR must be the same)"


def _say_where(directory: str, page: socket.socket, metrics: socket.socket | None) -> None:
    address = _address_of(page)
    _LOGGER.info("watching %s, page and metrics on http://%s/%s", directory, address, _from_elsewhere(address, "/"))
    if not is_loopback(address.host):
        _LOGGER.warning("other machines can reach the page; without TLS before it they can read the token on its way")
    if metrics is None:
        return
    address = _address_of(metrics)
    _LOGGER.info("metrics on http://%s/metrics%s", address, _from_elsewhere(address, "/metrics"))
    if not is_loopback(address.host):
        _LOGGER.warning("other machines can reach the metrics: counts, task names and exception classes, no more")


def _from_elsewhere(address: Address, path: str) -> str:
    """What others open, where the address that it listens on is every one of this machine and leads nowhere."""
    if not _is_everywhere(address.host):
        return ""
    return f" (from elsewhere: http://{Address(socket.gethostname(), address.port)}{path})"


def _is_everywhere(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_unspecified


def _address_of(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return Address(host, port)


def _refuse_strangers(page: socket.socket, listen: Address, metrics_listen: Address | None) -> None:
    """The page shows every run by name and time: nobody opens it to others by accident."""
    if is_loopback(_address_of(page).host):
        return
    metrics = metrics_listen or listen
    inside = Address(DEFAULT_LISTEN.host, DEFAULT_LISTEN.port + (metrics.port == DEFAULT_LISTEN.port))
    raise CannotServeError(
        f"listen is '{listen}', where other machines could read the page: set AFTERWORD_TOKEN, "
        f"or show them only the metrics with --listen {inside} --metrics-listen {metrics}"
    )


def _listening(name: str, listen: Address) -> socket.socket:
    """A socket that listens: a connection made after the log line is answered, a port taken is told at once."""
    try:
        found = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CannotServeError(
            f"{name} is '{listen}', but {listen.host!r} is no host that can be found; allowed: HOST:PORT"
        ) from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        perhaps = "; perhaps a sidecar already runs there (afterword doctor)" * (error.errno == errno.EADDRINUSE)
        raise CannotServeError(
            f"{name} is '{listen}': {error.strerror}; "
            f"allowed: a HOST:PORT of this machine that is free (--{name.replace('_', '-')} HOST:PORT){perhaps}"
        ) from error
    return listener
