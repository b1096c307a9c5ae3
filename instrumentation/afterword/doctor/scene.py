"""What the checks look at: the settings, the directory, and the servers, each asked for once."""

import ipaddress
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from afterword import settings as settings_
from afterword.doctor.web import NoAnswerError, Site

if TYPE_CHECKING:
    from afterword.doctor.contents import Contents

DEFAULT_PROMETHEUS: Final = "http://127.0.0.1:9090"


@dataclass
class Scene:
    """Where a person asked to look. ``None`` for an address means that none was named."""

    directory: Path
    settings: settings_.Settings
    #: What is wrong with the settings, a sentence each.
    complaints: list[str] = field(default_factory=list)
    #: What was said on the command line, by the name of a setting.
    keywords: Mapping[str, Any] = field(default_factory=dict)
    sidecar_url: str | None = None
    prometheus_url: str | None = None
    #: The interpreter of the application; None for the one this runs in.
    python: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @cached_property
    def contents(self) -> "Contents":
        """What lies in the directory."""
        from afterword.doctor.contents import look

        return look(self.directory)

    @cached_property
    def sidecar(self) -> Site:
        """The sidecar, whether or not it is there."""
        return Site(self.sidecar_url or address_of(self.settings.listen), self.settings.token)

    @cached_property
    def sidecar_silent(self) -> str | None:
        """Why no sidecar answers; None when something does."""
        return _silent(self.sidecar, "/healthz")

    @cached_property
    def status(self) -> Mapping[str, Any]:
        """What the sidecar says of itself at ``/api/status``; empty where it does not."""
        if self.sidecar_silent is not None:
            return {}
        try:
            found = self.sidecar.get("/api/status").json()
        except NoAnswerError:
            return {}
        own = found.get("sidecar") if isinstance(found, dict) else None
        return own if isinstance(own, dict) else {}

    @cached_property
    def prometheus(self) -> Site:
        """Prometheus, whether or not it is there."""
        return Site(self.prometheus_url or DEFAULT_PROMETHEUS)

    @cached_property
    def prometheus_silent(self) -> str | None:
        """Why no Prometheus answers; None when something does."""
        return _silent(self.prometheus, "/-/ready")

    def default_python(self) -> bool:
        """Whether the environment that is looked at is this process's own."""
        return self.python is None


def gather(keywords: Mapping[str, Any], *, sidecar: str | None, prometheus: str | None, python: str | None) -> Scene:
    """The scene that a command line and the environment describe; wrong settings are findings, not errors."""
    complaints: list[str] = []
    settings = settings_.load(keywords, complaints.append)
    return Scene(
        settings.directory,
        settings,
        complaints,
        keywords,
        sidecar_url=sidecar,
        prometheus_url=prometheus,
        python=python,
    )


def address_of(listen: settings_.Address) -> str:
    """Where something that listens there is reached from this machine."""
    try:
        found = ipaddress.ip_address(listen.host)
        host = ("::1" if found.version == 6 else "127.0.0.1") if found.is_unspecified else listen.host
    except ValueError:
        host = listen.host
    return f"http://{settings_.Address(host, listen.port)}"


def is_here(host: str) -> bool:
    """Whether a host of a URL is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def without_password(url: str) -> str:
    """A URL that can be shown."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url


def _silent(site: Site, path: str) -> str | None:
    try:
        site.get(path)
    except NoAnswerError as error:
        return str(error)
    return None
