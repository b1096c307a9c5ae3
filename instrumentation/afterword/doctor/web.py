"""One short request: bounded, past any proxy, never redirected, and with a secret only for who asks for one."""

import base64
import contextlib
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import Any, Final

from afterword.doctor.bounded import TookTooLongError, within

#: Seconds for one answer, from the look-up of the name to its last byte.
PATIENCE: Final = 2.0
_MOST: Final = 32 * 1024 * 1024
_UNAUTHORIZED: Final = 401


class NoAnswerError(Exception):
    """Nobody answers there; the text is why, in a few words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    text: str
    headers: Message

    def json(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None


class Site:
    """A server by the address of its root. ``token`` is sent to whoever answers 401 without it."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urllib.parse.urlsplit(url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        #: The address without the user and the password that may stand in it.
        self.url = bare.geturl().rstrip("/")
        self.host, self.port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._token = token
        self._basic = ""
        if parts.username is not None:
            pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
        #: Whether a request was refused for want of a token, with the one we have or without.
        self.wants_token = False

    def get(self, path: str, **query: str) -> Answer:
        """One GET below the root.

        Raises:
            NoAnswerError: nobody listens, or no answer of HTTP came in time.
        """
        url = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        answer = _get(url, self._basic)
        if answer.status == _UNAUTHORIZED and not self._basic:
            self.wants_token = True
            if self._token is not None:
                answer = _get(url, f"Bearer {self._token}")
        return answer


def _get(url: str, authorization: str) -> Answer:
    request = urllib.request.Request(url, headers={"user-agent": "afterword-doctor"})  # noqa: S310 - http(s), checked
    if authorization:
        request.add_unredirected_header("authorization", authorization)
    try:
        return within(PATIENCE, lambda: _ask(request))
    except TookTooLongError as error:
        raise NoAnswerError(str(error)) from error
    except (OSError, ValueError, ssl.SSLError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):  # the socket's own timeout came first
            raise NoAnswerError(f"no answer within {PATIENCE:g} s") from error
        raise NoAnswerError(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__) from error
    except Exception as error:
        raise NoAnswerError(f"no HTTP is spoken there ({type(error).__name__})") from error


def _ask(request: urllib.request.Request) -> Answer:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _StayHere())
    try:
        response = opener.open(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        response = error
    with contextlib.closing(response):
        return Answer(response.status, response.read(_MOST).decode("utf-8", "replace"), response.headers)


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: what is asked of one server is not asked of another."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""
