"""Where a real sidecar listens: the page for who has the token or sits here, the metrics for who may scrape."""

import http.client
import re
import signal
import socket
import time
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers import Children, until
from tests.sidecars import Sidecar, Writer

SECRET = b"a-long-enough-secret"
TOKEN = SECRET.decode()
AUTHORIZATION = b"authorization: Basic " + b64encode(b"any:" + SECRET)


@pytest.fixture
def guarded(children: Children, directory: Path) -> Sidecar:
    """A sidecar whose page other machines can reach, with a second listener for the metrics."""
    return Sidecar(
        children, directory, "--listen", "0.0.0.0:0", "--metrics-listen", "127.0.0.1:0", AFTERWORD_TOKEN=TOKEN
    )


def metrics_port(sidecar: Sidecar) -> int:
    """Where it says that the metrics are as well."""
    found = until(lambda: re.findall(r" metrics on http://\S+:(\d+)/metrics\b.*\n", sidecar.child.output))
    return int(found[0])


def raw(port: int, *lines: bytes) -> tuple[int, str]:
    """The status and all of the answer to a request of exactly these lines."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(b"\r\n".join((*lines, b"connection: close", b"", b"")))
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")
    return int(answer.split(" ", 2)[1]), answer


# -- two listeners


def test_the_page_asks_for_the_token_and_the_metrics_beside_it_do_not(guarded):
    """One process, one set of books; whoever scrapes sees nothing of the page."""
    scraped = metrics_port(guarded)
    host = b"host: sidecar.shop.svc:9797"
    assert raw(scraped, b"GET /metrics HTTP/1.1", host)[0] == 200
    assert raw(scraped, b"GET /readyz HTTP/1.1", host)[0] == 200
    for path in (b"/", b"/api/status", b"/static/page.js", b"/metrics/"):
        assert raw(scraped, b"GET " + path + b" HTTP/1.1", host, AUTHORIZATION)[0] == 404
    assert raw(guarded.port, b"GET /metrics HTTP/1.1", b"host: 127.0.0.1")[0] == 401
    status, answer = raw(guarded.port, b"GET /metrics HTTP/1.1", b"host: 127.0.0.1", AUTHORIZATION)
    assert (status, "afterword_sidecar_build_info" in answer) == (200, True)
    assert raw(guarded.port, b"GET /healthz HTTP/1.1", host)[0] == 200


def test_deaths_are_seen_at_once_with_two_listeners(children, directory):
    """What watches the directory runs, and both listeners tell the same books."""
    sidecar = Sidecar(children, directory, "--metrics-listen", "127.0.0.1:0")
    scraped = metrics_port(sidecar)
    process = Writer(directory)
    process.do("run", 2)
    process.kill()
    until(lambda: not process.path.exists(), 5)
    lost = re.compile(r"(?m)^afterword_tasks_lost_total\{.* 2\.0$")
    assert lost.search(raw(scraped, b"GET /metrics HTTP/1.1", b"host: x")[1])


def test_it_says_where_both_are_and_what_others_can_reach(children, directory):
    """The token is told nowhere: not in the log, not in the list of processes."""
    options = ("--listen", "0.0.0.0:0", "--metrics-listen", "0.0.0.0:0")
    sidecar = Sidecar(children, directory, *options, AFTERWORD_TOKEN=TOKEN)
    assert raw(sidecar.port, b"GET / HTTP/1.1", b"host: 127.0.0.1", b"authorization: Bearer x")[0] == 401
    page, metrics, name = sidecar.port, metrics_port(sidecar), socket.gethostname()
    assert sidecar.child.output.splitlines() == [
        "afterword sidecar: " + line
        for line in (
            f"watching {directory}, page and metrics on http://0.0.0.0:{page}/ (from elsewhere: http://{name}:{page}/)",
            "other machines can reach the page; without TLS before it they can read the token on its way",
            f"metrics on http://0.0.0.0:{metrics}/metrics (from elsewhere: http://{name}:{metrics}/metrics)",
            "other machines can reach the metrics: counts, task names and exception classes, no more",
        )
    ]
    assert SECRET not in Path(f"/proc/{sidecar.child.pid}/cmdline").read_bytes()


def test_the_address_for_elsewhere_is_one_that_is_answered(guarded, children, directory):
    """By the name of the machine; where the page is on loopback nobody asks by it, and no other name is let in."""
    host = f"host: {socket.gethostname()}".encode()
    assert raw(guarded.port, b"GET /metrics HTTP/1.1", host, AUTHORIZATION)[0] == 200
    assert raw(guarded.port, b"GET /metrics HTTP/1.1", host)[0] == 401
    assert raw(guarded.port, b"GET /metrics HTTP/1.1", host + b".evil.com", AUTHORIZATION)[0] == 403
    at_home = Sidecar(children, directory)
    assert raw(at_home.port, b"GET /metrics HTTP/1.1", host + b"-1")[0] == 403
    assert "elsewhere" not in at_home.child.output


def test_a_directory_that_it_made_is_told(children, directory):
    """A wrong --dir starts as well as the right one: whoever reads the line sees that nobody writes there."""
    made = directory / "other"
    first = Sidecar(children, made)
    assert first.get("/readyz")[0] == 200
    note = " (made just now; no application writes there yet: AFTERWORD_DIR must be the same)"
    assert f"watching {made}{note}, page and metrics on http://127.0.0.1:{first.port}/\n" in first.child.output
    second = Sidecar(children, made)
    assert f"watching {made}, page and metrics on http://127.0.0.1:{second.port}/\n" in second.child.output


def test_names_of_a_proxy_come_from_a_variable(children, directory):
    """Without it the page answers to this machine's own names alone."""
    request = (b"GET /metrics HTTP/1.1", b"host: tasks.example.com")
    allowed = Sidecar(children, directory, AFTERWORD_ALLOWED_HOSTS="tasks.example.com, tasks")
    assert raw(allowed.port, *request)[0] == 200
    status, answer = raw(Sidecar(children, directory).port, *request)
    assert status == 403
    assert "set AFTERWORD_ALLOWED_HOSTS=tasks.example.com" in answer


# -- requests that no library sends


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"GET /metrics HTTP/1.0",), 400), ((b"GET /healthz HTTP/1.0",), 200), ((b"GET /metrics HTTP/1.1",), 400),
        ((b"GET /metrics HTTP/1.1", b"host: localhost", b"host: evil.com"), 400),
        ((b"GET /metrics HTTP/1.0", b"host: localhost", b"host: evil.com"), 400),
        ((b"GET http://localhost/metrics HTTP/1.1", b"host: localhost"), 400),
        ((b"GET http://evil.com/healthz HTTP/1.1", b"host: localhost"), 400),
        ((b"GET /metrics HTTP/1.1", b"host: localhost@evil.com"), 400),
        ((b"GET /metrics HTTP/1.1", b"host: evil.com", b"x-forwarded-host: localhost"), 403),
        ((b"GET /metrics HTTP/1.1", b"host: evil.com", b"forwarded: for=127.0.0.1;host=localhost"), 403),
        ((b"OPTIONS * HTTP/1.1", b"host: localhost"), 405), ((b"TRACE /metrics HTTP/1.1", b"host: localhost"), 405),
        ((b"CONNECT localhost:22 HTTP/1.1", b"host: localhost"), 405),
        ((b"GET /metrics%00 HTTP/1.1", b"host: localhost"), 400),
        ((b"GET /metrics HTTP/1.1", b"host: " + b"a" * 100_000), 400),
    ],
)  # fmt: skip
def test_requests_that_no_browser_sends_open_nothing(children, directory, lines, status):
    """As a socket sends them, so that nothing tidies them up before."""
    sidecar = Sidecar(children, directory)
    assert raw(sidecar.port, *lines)[0] == status
    assert "Traceback" not in sidecar.child.output


def test_no_spelling_of_a_path_gets_past_the_token(guarded):
    """What looks like a probe on its way and is another path to the router, or the other way round."""
    for path in (
        b"//api", b"//healthz", b"/healthz/../api/status", b"/healthz%2f..%2fapi/status", b"/healthz/..;/api/status",
        b"/HEALTHZ", b"/healthz/", b"/healthz;x", b"/healthz%3f", b"/%2e/metrics", b"/./metrics", b"/metrics",
        b"/api/status?x=/healthz", b"/readyz%00", b"/readyz%20", b"/static/../metrics", b"/%6detrics",
    ):  # fmt: skip
        assert raw(guarded.port, b"GET " + path + b" HTTP/1.1", b"host: localhost")[0] in (400, 401), path
    assert (
        raw(guarded.port, b"GET /%68ealthz HTTP/1.1", b"host: localhost")[0] == 200
    )  # the same path, also the router's
    assert raw(guarded.port, b"GET /healthz?token=x HTTP/1.1", b"host: localhost")[0] == 200
    for query in (b"token=", b"access_token=", b"authorization=Bearer%20"):
        assert raw(guarded.port, b"GET /metrics?" + query + SECRET + b" HTTP/1.1", b"host: localhost")[0] == 401


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"host", b"authorization", b"authorization", b"cookie", b"x-real-ip"]),
            st.one_of(
                st.binary(max_size=60).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"")),
                st.sampled_from(
                    [b"localhost", b"Basic " + SECRET, b"Bearer " + SECRET[:-1], b"Basic \xff=", b"Bearer"]
                ),
            ),
        ),
        max_size=5,
    )
)
def test_no_bytes_in_a_header_are_an_error_of_the_server_or_open_it(guarded, headers):
    """The server's own parser included."""
    lines = [name + b": " + value for name, value in headers]
    assert raw(guarded.port, b"GET /metrics HTTP/1.1", *lines)[0] in (400, 401, 403)


# -- what does not start


def refused(children: Children, directory: Path, *options: str, **env: str) -> str:
    """What a sidecar says that ends with status 2 instead of serving."""
    child = children.python("-m", "afterword", "sidecar", "--dir", str(directory), *options, **env)
    assert child.wait() == 2
    return child.output


def test_a_port_of_the_metrics_that_is_taken_is_one_sentence(children, directory, guarded):
    """By another process, or by the page itself."""
    taken = f"127.0.0.1:{metrics_port(guarded)}"
    allowed = (
        "Address already in use; allowed: a HOST:PORT of this machine that is free (--metrics-listen HOST:PORT); "
        "perhaps a sidecar already runs there (afterword doctor)"
    )
    by_another = refused(children, directory, "--listen", "127.0.0.1:0", "--metrics-listen", taken)
    assert by_another == f"afterword: metrics_listen is '{taken}': {allowed}\n"
    assert guarded.child.stop() == 0
    both = refused(children, directory, "--listen", taken, "--metrics-listen", taken)
    assert both == f"afterword: metrics_listen is '{taken}': {allowed}\n"


# -- its end


def idle(port: int) -> socket.socket:
    """A scraper that was answered and keeps its connection."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    return connection


def greedy(port: int) -> socket.socket:
    """A scraper that asks for more than all buffers hold and reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.connect(("127.0.0.1", port))
    connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" * 2000)
    assert connection.recv(1)
    return connection


@pytest.mark.parametrize("client", [idle, greedy])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_listeners_end_together(guarded, client, number):
    """Soon, with status 0 and no traceback, and nobody is answered any more."""
    ports = (guarded.port, metrics_port(guarded))
    with client(ports[1]):
        before = time.monotonic()
        guarded.child.signal(number)
        assert guarded.child.wait() == 0
        assert time.monotonic() - before < 3
    assert "Traceback" not in guarded.child.output
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_an_open_stream_of_events_does_not_hold_up_the_end(children, directory):
    """A page that somebody looks at: its stream is cut, the process ends, and the log has no traceback."""
    sidecar = Sidecar(children, directory)
    streams = [http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=15) for _ in range(3)]
    for stream in streams:
        stream.request("GET", "/api/events")
        answer = stream.getresponse()
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        until(lambda: answer.readline().startswith(b"data: "))  # noqa: B023 - it is here before there is an end
    before = time.monotonic()
    assert sidecar.child.stop() == 0
    assert time.monotonic() - before < 3
    assert "Traceback" not in sidecar.child.output
    for stream in streams:
        stream.close()
