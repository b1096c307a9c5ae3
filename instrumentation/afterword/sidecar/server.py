"""Runs the sidecar under uvicorn; refuses what it cannot serve, in one sentence."""

import asyncio
import contextlib
import ipaddress
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn

from afterword.books.bookkeeper import Bookkeeper
from afterword.ledger.file import LedgerUnavailableError, prepare_directory
from afterword.settings import Address
from afterword.sidecar.app import build
from afterword.sidecar.exporter import CannotExportError, endpoint_of, exporter_for
from afterword.sidecar.span_sender import LOOK, SpanSender

_LOGGER: Final = logging.getLogger("afterword.sidecar")
#: How long a slow scraper may hold up the end, in seconds.
_GRACE: Final = 1


class CannotServeError(Exception):
    """The sidecar does not start; the text is one sentence that says what to type instead."""


def serve(directory: Path, listen: Address, otlp_endpoint: str | None = None, time_scale: float = 1.0) -> None:
    """Serve until SIGTERM or SIGINT ends it, which is a success.

    Args:
        directory: Where applications keep their ledgers; made if missing.
        listen: It serves counts, task names and exception classes, to whoever reaches it.
        otlp_endpoint: Where spans of lost runs are sent to; None: where OpenTelemetry's own variables say.
        time_scale: Divides how often it looks for overdue runs.

    Raises:
        CannotServeError: the address is wrong or taken.
    """
    with contextlib.closing(_listening(listen)) as listener:
        _end_well_on_signals()
        logging.basicConfig(level=logging.INFO, format="afterword sidecar: %(message)s")
        _allow_many_ledgers()
        try:
            prepare_directory(directory)
        except LedgerUnavailableError as error:
            _LOGGER.warning("%s. It serves, and looks again at every scrape.", error)
        _say_where(directory, listener)
        config = uvicorn.Config(
            build(directory, _sender(otlp_endpoint, time_scale)),
            # Not whatever else is installed: a few requests a minute need no fast loop, and uvloop tells an aborted
            # connection with a traceback.
            loop="asyncio",
            http="h11",
            log_level="warning",
            access_log=False,
            server_header=False,
        )
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Hangs up on who has not read its answer in time: uvicorn would wait for ever, or cancel with a traceback."""

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


def _say_where(directory: Path, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    _LOGGER.info("watching %s, serving http://%s/metrics", directory, Address(host, port))
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        _LOGGER.warning("other machines can reach it: it serves counts, task names and exception classes, no more")


def _listening(listen: Address) -> socket.socket:
    """A socket that listens: a connection made after the log line is answered, a port taken is told at once."""
    try:
        found = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CannotServeError(
            f"listen is '{listen}', but {listen.host!r} is no host that can be found; allowed: HOST:PORT"
        ) from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise CannotServeError(
            f"listen is '{listen}': {error.strerror}; allowed: a HOST:PORT of this machine that is free"
        ) from error
    return listener
