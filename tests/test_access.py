"""Who may see the sidecar's page: what is asked for, as whom, with which token, and what a browser is told."""

import asyncio
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword.settings import Address
from afterword.sidecar.access import guarded, metrics_only
from tests.helpers import asgi

SECRET = b"a-long-enough-secret"
TOKEN = SECRET.decode()
LOOPBACK = Address("127.0.0.1", 9796)
PROBES = ("/healthz", "/readyz")
Headers = list[tuple[bytes, bytes]]


async def page(_: Any, __: Any, send: Any) -> None:
    """An application that shows everybody everything, and allows every other origin to read it."""
    headers = [(b"content-security-policy", b"default-src *"), (b"cache-control", b"max-age=60")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"seen"})


def door(app: Any = page, *, listen: Address = LOOPBACK, token: str | None = None, hosts: tuple[str, ...] = ()) -> Any:
    """The page behind its door."""
    return guarded(app, listen=listen, token=token, allowed_hosts=hosts)


def scrapers(app: Any = page) -> Any:
    """The page as scrapers are let in."""
    return metrics_only(app)


def ask(app: Any, headers: Headers, path: str = "/api/status", method: str = "GET") -> tuple[int, Headers, bytes]:
    """Status, headers and body of one request whose headers are exactly these."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app({**asgi.scope(path), "method": method, "headers": headers}, asgi.receive, send))
    return sent[0]["status"], sent[0]["headers"], b"".join(message.get("body", b"") for message in sent)


def as_host(*values: str, **keywords: Any) -> int:
    """The status of a request with these Host headers."""
    return ask(door(**keywords), [(b"host", value.encode("latin-1")) for value in values])[0]


def with_token(*values: bytes) -> int:
    """The status of a request with these Authorization headers."""
    return ask(door(token=TOKEN), [(b"host", b"localhost"), *((b"authorization", value) for value in values)])[0]


def basic(password: bytes, user: bytes = b"any") -> bytes:
    """An Authorization header as a browser writes it."""
    return b"Basic " + b64encode(user + b":" + password)


# -- names


@pytest.mark.parametrize("port", ["", ":9796", ":80", ":65535"])
@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.255.0.9", "[::1]", "[0:0:0:0:0:0:0:1]"])
def test_this_machine_may_be_asked_by_its_own_names(host, port):
    """The port is whatever a tunnel or a container publishes it as."""
    assert as_host(host + port) == 200


HOSTILE = [
    "evil.com", "evil.com:9796", "127.0.0.1.evil.com", "localhost.evil.com", "evil.localhost", "localhost.",
    "127.0.0.1.nip.io", "2130706433", "0x7f.1", "127.1", "0.0.0.0", "192.168.0.7", "[fe80::1]", "a..b",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTILE)
def test_another_name_is_refused_with_what_to_set(host):
    """A page elsewhere that points its name at 127.0.0.1 reads nothing."""
    status, _, body = ask(door(), [(b"host", host.encode())])
    assert status == 403
    named = host.partition(":")[0] if "[" not in host else host
    assert json.loads(body)["detail"].endswith(f"AFTERWORD_ALLOWED_HOSTS={named}")


@pytest.mark.parametrize(
    "hosts",
    [
        (), ("localhost", "localhost"), ("localhost", "evil.com"), ("",), (" ",), (":9796",), ("localhost:",),
        ("localhost:http",), ("localhost:123456",), ("user@localhost",), ("localhost@evil.com",),
        ("localhost,evil.com",),
        ("localhost evil.com",), ("http://localhost",), ("localhost/",), ("localhost\\evil.com",), ("::1",), ("[::1",),
        ("[::1]evil.com",), ("[::1%25lo]",), ("löcalhost",), ("localhost\x00",), ("a" * 60_000,),
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(hosts):
    """None, two, or one that no browser sends: 400, whatever stands in it, and nothing of it is repeated."""
    status, _, body = ask(door(), [(b"host", host.encode("latin-1")) for host in hosts])
    assert (status, json.loads(body)["detail"][:35]) == (400, "a request needs one Host header, an")


def test_names_that_are_set_and_the_one_it_listens_on_are_its_own():
    """A reverse proxy's, a container's; not what begins or ends like one."""
    assert as_host("Tasks.Example.com", hosts=("tasks.example.com",)) == 200
    assert as_host("[2001:DB8:0::1]:80", hosts=("[2001:db8::1]",)) == 200
    assert as_host("shop-1:9796", listen=Address("shop-1", 9796)) == 200
    for host in ("example.com", "x.tasks.example.com", "tasks.example.com.evil.com", "tasks-example.com"):
        assert as_host(host, hosts=("tasks.example.com",)) == 403


def test_with_a_token_every_number_is_a_name_and_still_no_foreign_name():
    """Numbers cannot be pointed elsewhere; the token is asked for all the same."""
    shown = (b"authorization", b"Bearer " + SECRET)
    for host in ("192.168.0.7:9796", "[2001:db8::1]", "0.0.0.0:1"):
        assert ask(door(token=TOKEN), [(b"host", host.encode()), shown])[0] == 200
        assert ask(door(token=TOKEN), [(b"host", host.encode())])[0] == 401
    assert ask(door(token=TOKEN), [(b"host", b"evil.com"), shown])[0] == 403


# -- the token


@pytest.mark.parametrize("user", [b"", b"any", b"\xff\xfe"])
@pytest.mark.parametrize("scheme", [b"Basic ", b"basic ", b"BASIC   "])
def test_the_token_is_the_password_of_any_user(scheme, user):
    """So a browser asks for it by itself."""
    assert with_token(scheme + basic(SECRET, user).removeprefix(b"Basic ")) == 200


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
def test_the_token_is_a_bearer_token(scheme):
    """As programs and Prometheus send one."""
    assert with_token(scheme + SECRET) == 200


WRONG = [
    b"\xc3\xa5",
    SECRET[:-1],
    SECRET + b"x",
    SECRET[1:],
    SECRET.upper(),
    b"",
    b" ",
    SECRET + b"\xff",
    "å".encode(),
    SECRET * 3000,
]


@pytest.mark.parametrize(
    "values",
    [
        (), *((b"Bearer " + wrong,) for wrong in WRONG), *((basic(wrong),) for wrong in WRONG),
        (SECRET,), (b"Bearer",), (b"Basic",), (b"Basic ",), (b"Bearer:" + SECRET,), (b"Digest " + SECRET,),
        (b"Basic " + SECRET,), (b"Basic " + b64encode(SECRET),), (b"Basic " + b64encode(SECRET + b":any"),),
        (b"Basic " + b64encode(b"x:" + SECRET).rstrip(b"="),), (b"Basic !" + b64encode(b"x:" + SECRET),),
        (b"Basic \xff\xfe",), (b"Basic =",),
        (b"Bearer " + SECRET, b"Bearer " + SECRET), (b"Bearer wrong", b"Bearer " + SECRET), (b"", b"Bearer " + SECRET),
    ],
)  # fmt: skip
def test_anything_but_the_one_token_is_refused(values):
    """Parts of it, more than it, twice, in another scheme, or what cannot be read."""
    assert with_token(*values) == 401


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/status"])
def test_a_wrong_token_is_told_from_none(path):
    """Whoever gave one need not look for where to give it; for all that asks for one."""

    def told(*authorization: bytes) -> object:
        shown = [(b"authorization", value) for value in authorization]
        return json.loads(ask(door(token=TOKEN), [(b"host", b"localhost"), *shown], path)[2])["detail"]

    needed = "the sidecar's token is needed, as a Bearer token or as the password of any user"
    assert told(b"Bearer another") == told(basic(b"another")) == "that is not the sidecar's token"
    assert told() == told(b"Bearer") == told(b"Digest x") == told(basic(b"")) == needed


def test_a_refusal_makes_a_browser_ask():
    """Both schemes are named, and one sentence says what is needed."""
    _, headers, body = ask(door(token=TOKEN), [(b"host", b"localhost")])
    assert [value for name, value in headers if name == b"www-authenticate"] == [
        b'Basic realm="afterword", charset="UTF-8"', b"Bearer",
    ]  # fmt: skip
    assert list(json.loads(body)) == ["detail"]


def test_an_empty_token_opens_nothing():
    """Settings allow none; should one get here all the same, no request can show it."""
    for value in (b"", b"Bearer", b"Bearer ", b"Basic ", basic(b"")):
        assert ask(door(token=""), [(b"host", b"localhost"), (b"authorization", value)])[0] == 401


def test_probes_need_neither_a_name_nor_a_token():
    """An orchestrator asks by whatever address; nothing else is spelled like a probe."""
    for path in PROBES:
        assert ask(door(token=TOKEN), [(b"host", b"10.0.0.7")], path)[0] == ask(door(), [], path)[0] == 200
    for path in ("/HEALTHZ", "/healthz/", "//healthz", "/healthz/../api/status", "/healthz;", "/readyz\x00", "healthz"):
        assert ask(door(token=TOKEN), [(b"host", b"localhost")], path)[0] in (400, 401)


# -- what a browser may do


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"])
def test_nothing_but_get_and_head_is_answered(method):
    """Also at the probes, and before anything else is looked at; a preflight learns of no origin that may read."""
    for path in ("/api/status", *PROBES):
        status, headers, _ = ask(door(), [(b"host", b"localhost"), (b"origin", b"http://evil.com")], path, method)
        assert (status, dict(headers)[b"allow"]) == (405, b"GET, HEAD")
        assert not [name for name, _ in headers if name.startswith(b"access-control")]


@pytest.mark.parametrize(
    ("path", "host", "method", "status"),
    [
        ("/", b"localhost", "GET", 200), ("/healthz", b"x", "HEAD", 200), ("/", b"localhost", "POST", 405),
        ("/", b"evil.com", "GET", 403), ("/", b"", "GET", 400), ("http://x/", b"localhost", "GET", 400),
    ],
)  # fmt: skip
def test_every_answer_has_the_headers_once(path, host, method, status):
    """The application's own give way; scripts and styles come from here alone, nothing frames the page."""
    found, headers, _ = ask(door(), [(b"host", host)], path, method)
    names = [name for name, _ in headers]
    assert (found, len(names)) == (status, len(set(names)))
    told = {name.decode(): value.decode() for name, value in headers}
    policy = dict(rule.split(" ", 1) for rule in told["content-security-policy"].split("; "))
    assert {rule for rule, source in policy.items() if source == "'none'"} == {
        "default-src", "base-uri", "form-action", "frame-ancestors",
    }  # fmt: skip
    assert {policy[rule] for rule in ("script-src", "style-src", "connect-src", "font-src")} == {"'self'"}
    assert (told["x-content-type-options"], told["referrer-policy"]) == ("nosniff", "no-referrer")
    assert told["cross-origin-resource-policy"] == told["cross-origin-opener-policy"] == "same-origin"
    assert told["cache-control"] == "no-store"
    assert "camera=()" in told["permissions-policy"]


def test_only_the_pages_own_files_are_kept_by_a_browser():
    """As long as the application says, else it asks whether they have changed."""

    async def bare(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    headers = [(b"host", b"localhost")]
    assert dict(ask(door(), headers, "/static/page.js")[1])[b"cache-control"] == b"max-age=60"
    assert dict(ask(door(bare), headers, "/static/page.js")[1])[b"cache-control"] == b"no-cache"


def test_a_stream_goes_out_piece_by_piece():
    """Nothing waits for the end of an answer that has none."""
    sent: list[str] = []

    async def events(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for n in range(3):
            await send({"type": "http.response.body", "body": b"event", "more_body": True})
            assert sent == ["http.response.start", *["http.response.body"] * (n + 1)]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    asyncio.run(door(events)({**asgi.scope(), "headers": [(b"host", b"localhost")]}, asgi.receive, send))
    assert len(sent) == 4


def test_head_is_get_without_its_body():
    """Of the API, which only knows GET: the same status and headers. Of all else the application answers itself."""
    asked: list[str] = []

    async def app(scope: Any, __: Any, send: Any) -> None:
        asked.append(scope["method"])
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"8")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await send({"type": "http.response.body", "body": b"half"})

    headers = [(b"host", b"localhost")]
    got, head = (ask(door(app), headers, "/api/runs/x", method) for method in ("GET", "HEAD"))
    assert head == (*got[:2], b"")
    ask(door(app), headers, "/metrics", "HEAD")
    assert asked == ["GET", "GET", "HEAD"]


def test_events_have_no_end_and_so_no_head():
    """One sentence and the method that is answered; the token is asked for first."""
    status, headers, body = ask(door(), [(b"host", b"localhost")], "/api/events", "HEAD")
    assert (status, dict(headers)[b"allow"]) == (405, b"GET")
    assert "/api/status" in json.loads(body)["detail"]
    assert ask(door(token=TOKEN), [(b"host", b"localhost")], "/api/events", "HEAD")[0] == 401


def test_the_lifespan_runs_once_and_a_websocket_gets_nothing():
    """By the page's door; scrapers' does not pass it on."""
    seen: list[str] = []

    async def app(scope: Any, *_: Any) -> None:
        seen.append(scope["type"])

    for one in (door(app), scrapers(app)):
        for kind in ("lifespan", "websocket"):
            asyncio.run(one(asgi.scope(kind=kind), asgi.receive, asgi.sink))
    assert seen == ["lifespan"]


def test_scrapers_get_three_paths_and_one_sentence():
    """By any name and without a token."""
    for path in ("/metrics", *PROBES):
        assert ask(scrapers(), [], path)[::2] == (200, b"seen")
    for path in ("/", "/api/status", "/static/page.js", "/metrics/", "//metrics", "/METRICS", "/metrics/../api"):
        status, _, body = ask(scrapers(), [], path)
        assert (status, json.loads(body)) == (404, {"detail": "only /metrics, /healthz and /readyz are served here"})


# -- whatever is sent

VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"localhost", b"[::1]:9", b"evil.com", b"Basic", b"Bearer", *WRONG]),
    st.builds(bytes.__add__, st.sampled_from([b"Basic ", b"Bearer ", b"localhost:", b"["]), st.binary(max_size=40)),
    st.builds(basic, st.one_of(st.binary(max_size=40), st.sampled_from(WRONG))),
)
NAMES = st.sampled_from([b"host", b"authorization", b"x-forwarded-host", b"cookie", b"content-length", b"accept"])
PATHS = st.one_of(st.text(max_size=20), st.sampled_from(["/", "/metrics", "/api/status"]))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), PATHS)
def test_no_header_breaks_the_door_or_opens_it(headers, path):
    """Nobody who has not the token sees anything, and nothing that is sent is an error of ours."""
    status, _, body = ask(door(token=TOKEN), headers, path)
    assert status in (400, 401, 403)
    assert b"seen" not in body
