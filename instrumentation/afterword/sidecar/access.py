"""Who may see the page, and what a browser may do with it: names, a token, two methods, and headers."""

import base64
import binascii
import hmac
import ipaddress
import re
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterword.settings import Address

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Probes of an orchestrator come with any Host and no token; they learn "ok", "ready", or why the directory is not.
_PROBES: Final = frozenset({"/healthz", "/readyz"})
_FOR_SCRAPERS: Final = _PROBES | {"/metrics"}
_STATIC: Final = "/static/"
_API: Final = "/api/"
#: It never ends, so neither would an answer that has only its headers.
_STREAM: Final = "/api/events"

#: A host, a port behind it or not; whoever sends a user, a path or a bare IPv6 address here is no browser.
_HOST: Final = re.compile(rb"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::[0-9]{1,5})?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def guarded(app: ASGIApp, *, listen: Address, token: str | None, allowed_hosts: tuple[str, ...]) -> ASGIApp:
    """The page's application behind its door: whoever is refused gets one sentence and never reaches it.

    Args:
        app: All of it; its lifespan passes through.
        listen: Where it is served: a name in it is one that a request may ask for.
        token: What everything but the probes asks for, as a Bearer token or as the password of HTTP Basic.
        allowed_hosts: Further names that a request may ask for, as a reverse proxy does.
    """
    hosts = frozenset(map(_parsed, ("localhost", listen.host, *allowed_hosts)))
    secret = None if token is None else token.encode()
    answering = _answering_head(app)

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
        elif scope["type"] == "http":  # a WebSocket gets nothing: there is none
            answer = _refusal(scope, hosts, secret) or answering
            await answer(scope, receive, _with_headers(send, scope["path"]))

    return guard


def metrics_only(app: ASGIApp) -> ASGIApp:
    """The same application for scrapers and probes: /metrics, /healthz and /readyz, and nothing of the page.

    Its lifespan is not passed on: the page's listener runs it.
    """

    async def only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = _no(404, "only /metrics, /healthz and /readyz are served here")
            await (app if scope["path"] in _FOR_SCRAPERS else refusal)(scope, receive, send)

    return only


def is_loopback(host: str) -> bool:
    """Whether an address, with an interface behind a % or not, is reached by this machine alone."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _refusal(scope: Scope, hosts: frozenset[str | _IPAddress], secret: bytes | None) -> Response | None:
    if scope["method"] not in ("GET", "HEAD"):
        return _no(405, "only GET and HEAD are answered: nothing can be changed here", {"allow": "GET, HEAD"})
    path = scope["path"]
    if path in _PROBES:  # as it is, and as the application's router reads it: no spelling of a path gets past the token
        return None
    if not path.startswith("/") or _CONTROL.search(path):
        return _no(400, "what is asked for is no path of this page")
    refusal = _wrong_host(_values(scope, b"host"), hosts, secret)
    refusal = refusal or _wrong_token(_values(scope, b"authorization"), secret)
    if refusal is None and scope["method"] == "HEAD" and path == _STREAM:
        return _no(405, "events have no end, so they are answered to GET alone: ask /api/status", {"allow": "GET"})
    return refusal


def _answering_head(app: ASGIApp) -> ASGIApp:
    """The application, whose API only knows GET, with answers to HEAD: those to GET without their body."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD" and scope["path"].startswith(_API):
            await app({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            await app(scope, receive, send)

    return answering


def _wrong_host(named: list[bytes], hosts: frozenset[str | _IPAddress], secret: bytes | None) -> Response | None:
    """A foreign page can point its own name at this machine (DNS rebinding), and the browser sends that name along.

    403 and not 421: a client may repeat a misdirected request over another connection, and that changes nothing here.
    """
    match = _HOST.fullmatch(named[0].lower()) if len(named) == 1 else None
    if match is None:
        return _no(400, "a request needs one Host header, and in it a host with or without a port")
    host = _parsed(match[1].decode())
    if host in hosts:
        return None
    # A number cannot be pointed elsewhere; without a token another machine's is a proxy that everybody can reach.
    if not isinstance(host, str) and (secret is not None or host.is_loopback):
        return None
    text = match[1].decode()
    return _no(403, f"the page is not served as {text}: if that name is yours, set AFTERWORD_ALLOWED_HOSTS={text}")


def _wrong_token(shown: list[bytes], secret: bytes | None) -> Response | None:
    token = _token_in(shown[0]) if len(shown) == 1 else b""
    if secret is None or (token and hmac.compare_digest(token, secret)):
        return None
    needed = "the sidecar's token is needed, as a Bearer token or as the password of any user"
    refusal = _no(401, "that is not the sidecar's token" if token else needed)
    refusal.headers["www-authenticate"] = 'Basic realm="afterword", charset="UTF-8"'  # a browser asks by itself
    refusal.headers.append("www-authenticate", "Bearer")
    return refusal


def _token_in(authorization: bytes) -> bytes:
    """The token that a header shows; empty if there is none in it."""
    scheme, _, rest = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip(b" ")
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(rest.strip(b" "), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _without_body(send: Send) -> Send:
    async def sending(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return sending


def _with_headers(send: Send, path: str) -> Send:
    """What is sent goes out at once, its beginning with our headers in place of the application's."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if path.startswith(_STATIC):
                headers.setdefault("cache-control", "no-cache")  # kept, and asked about: an update shows at once
            else:
                headers["cache-control"] = "no-store"
        await send(message)

    return sending


def _parsed(host: str) -> str | _IPAddress:
    """An address as one, however it is written; a name in small letters."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower()


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _no(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": sentence}, status, headers)
