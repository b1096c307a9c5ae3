"""Runs the sidecar under uvicorn; refuses what it cannot serve safely, in one sentence."""

import contextlib
import logging
import socket
from pathlib import Path

import uvicorn

from afterword.ledger.file import LedgerUnavailable, prepare_directory
from afterword.sidecar.app import build


class CannotServe(Exception):
    """The sidecar does not start; the text is one sentence that says what to type instead."""


def serve(directory: Path, listen: str) -> None:
    """Serve until a signal ends it.

    Args:
        directory: Where applications keep their ledgers; made if missing.
        listen: ``HOST:PORT``. It serves counts, task names and exception classes, to whoever reaches it.

    Raises:
        CannotServe: the address is wrong or taken.
    """
    host, port = parse_address(listen)
    logging.basicConfig(level=logging.INFO, format="afterword sidecar: %(message)s")
    logger = logging.getLogger("afterword.sidecar")
    try:
        prepare_directory(directory)
    except LedgerUnavailable as error:
        logger.warning("%s. It serves, and looks again at every scrape.", error)
    with contextlib.closing(_bound(host, port)) as listener:
        logger.info("watching %s, serving http://%s:%d/metrics", directory, host, listener.getsockname()[1])
        config = uvicorn.Config(build(directory), log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listener])


def parse_address(listen: str) -> tuple[str, int]:
    """``HOST:PORT`` as a host and a port; an empty host is loopback.

    Raises:
        CannotServe: anything else.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise CannotServe(f"--listen is {listen!r}; allowed: HOST:PORT with a port from 0 to 65535")
    return host.strip("[]") or "127.0.0.1", int(port)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise CannotServe(f"--listen {host}:{port}: {host!r} is no address of this machine") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise CannotServe(f"--listen {host}:{port}: {error.strerror}; choose another HOST:PORT") from error
    return listener
