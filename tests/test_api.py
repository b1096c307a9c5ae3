"""The JSON API of a real sidecar: what is running, stuck and lost, which of them, and since when."""

import contextlib
import http.client
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.helpers import free_port, until
from tests.sidecars import Sidecar, Writer

FAST = "20"

#: A shop that owes: a mail that hangs, a push that fails, a log that need not be, and a worker that can be ended.
SHOP = """
import asyncio, contextlib, os, time
from fastapi import BackgroundTasks, FastAPI
import afterword

stop = asyncio.Event()

async def poll():
    await stop.wait()
    raise RuntimeError("the mailbox is gone")

@contextlib.asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(poll())
    yield
    stop.set()

app = FastAPI(title="shop", lifespan=lifespan)

@afterword.task(deadline=0.5)
def mail():
    answer()

def answer():
    time.sleep(600)

def push():
    raise LookupError

@afterword.task(importance="best_effort")
async def log():
    await asyncio.sleep(600)

@app.get("/order/{n}")
async def order(tasks: BackgroundTasks):
    tasks.add_task(mail)
    tasks.add_task(push)
    return os.getpid()

@app.get("/fail")
async def fail(tasks: BackgroundTasks):
    tasks.add_task(push)
    return os.getpid()

@app.get("/log")
async def view(tasks: BackgroundTasks):
    tasks.add_task(log)
    return os.getpid()

@app.get("/pid")
async def pid():
    return os.getpid()

@app.get("/end")
async def end():
    stop.set()

afterword.instrument(app)
"""


class Api:
    """A sidecar and a shop over one directory."""

    def __init__(self, children, directory, *options, **env):
        self.children, self.directory, self.env = children, directory, {"AFTERWORD_TIME_SCALE": FAST, **env}
        self.sidecar = Sidecar(children, directory, *options, **self.env)
        self.port = 0

    def serve(self):
        """Begin the shop, or begin it again."""
        (self.children.folder / "shop_app.py").write_text(SHOP)
        _, self.port = self.children.uvicorn("shop_app:app", AFTERWORD_DIR=str(self.directory), **self.env)
        return self

    def restart(self):
        """Another sidecar."""
        self.sidecar.child.process.terminate()
        self.sidecar.child.process.wait(10)
        self.sidecar = Sidecar(self.children, self.directory, **self.env)

    def order(self, path="/order/7"):
        """Ask the shop, and do not wait for its background tasks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def kill(self):
        """SIGKILL the shop."""
        os.kill(self.order("/pid"), signal.SIGKILL)

    def ask(self, path, status=200):
        """One answer."""
        found, text, kind = self.sidecar.get(f"/api/{path}")
        assert (found, kind) == (status, "application/json"), text
        return json.loads(text)

    def items(self, path):
        """What a list has."""
        return self.ask(path)["items"]


@pytest.fixture
def api(children, directory):
    """``api(*options, **env)``: a sidecar; ``.serve()`` starts the shop beside it."""
    return lambda *options, **env: Api(children, directory, *options, **env)


@pytest.fixture
def writer(directory):
    """``writer()``: a process that keeps a ledger; all are ended with the test."""
    made = []

    def start(**keywords):
        made.append(Writer(directory, **keywords))
        return made[-1]

    yield start
    for one in made:
        one.end()


def test_an_overdue_run_has_its_age_its_deadline_its_route_and_its_stack(api):
    """Which run, where is it stuck, since when: without Prometheus."""
    one = api().serve()
    one.order()
    (run,) = until(lambda: [run for run in one.items("runs?state=overdue") if run["stack"]])
    assert (run["task"], run["route"], run["limit"]) == ("shop_app.mail", "GET /order/{n}", 0.5)
    assert run["age"] > 0.5
    assert [line.rpartition(" in ")[2] for line in run["stack"]] == ["mail", "answer"]
    detail = one.ask(f"runs/{run['id']}")
    assert detail["run"]["id"] == run["id"]
    assert [step["what"] for step in detail["timeline"]] == ["scheduled", "started", "due", "now"]
    assert detail["alert"] == "AfterwordTaskOverdue"
    assert detail["runbook"].startswith("# AfterwordTaskOverdue")


def test_a_killed_worker_turns_open_runs_into_lost_ones_and_a_restart_forgets_none(api):
    """The same ids, with time, process, reason; also by another sidecar."""
    one = api().serve()
    one.order()
    one.order()
    open_ = until(lambda: len(found := one.items("runs?task=shop_app.mail")) == 2 and {run["id"] for run in found})
    one.kill()
    mails = "endings?ending=lost&task=shop_app.mail"
    until(lambda: len(one.items(mails)) == 2)
    lost = one.items(mails)
    assert {run["id"] for run in lost} == open_
    assert {(run["reason"], run["phase"], run["route"]) for run in lost} == {("killed", "running", "GET /order/{n}")}
    until(lambda: one.items("runs?task=shop_app.mail") == [])
    one.restart()
    assert one.items("endings?ending=lost&task=shop_app.mail") == lost
    detail = one.ask(f"runs/{lost[0]['id']}")
    assert (detail["run"], detail["ending"], detail["alert"]) == (None, lost[0], "AfterwordTaskLost")
    assert [step["what"] for step in detail["timeline"]] == ["scheduled", "started", "ended"]


def test_books_are_balanced_and_say_so(api):
    """The law with the numbers put in."""
    one = api().serve()
    one.order()
    one.order("/fail")

    def told():
        found = {task["task"]: task for task in one.items("tasks")}
        return found if found["shop_app.push"]["books"]["failed"] else None

    tasks = until(told)
    push, mail = tasks["shop_app.push"]["books"], tasks["shop_app.mail"]["books"]
    assert (push["scheduled"], push["waiting"], push["failed"], push["errors"]) == (2, 1, 1, {"LookupError": 1})
    assert (mail["scheduled"], mail["running"]) == (1, 1)
    assert push["equation"] == (
        "scheduled 2 = waiting 1 + started 1 + dropped 0 + lost waiting 0\n"
        "started 1 = running 0 + succeeded 0 + failed 1 + cancelled 0 + lost running 0"
    )
    assert all(task["books"]["balanced"] for task in tasks.values())


def test_a_probe_is_red_while_work_that_must_run_was_lost(api):
    """For a window: then it is history. What need not run makes nobody red."""
    one = api().serve()
    one.order("/log")
    until(lambda: one.items("runs?task=shop_app.log"))
    assert one.ask("services/shop/health")["health"] == "ok"
    one.kill()
    until(lambda: one.items("endings?ending=lost&task=shop_app.log"))
    until(lambda: one.sidecar.get("/api/services/shop/health")[0] == 503)
    told = one.ask("services/shop/health", 503)["reasons"]
    assert "worker shop_app.poll died with its process and runs in no other" in {reason["sentence"] for reason in told}
    one.serve()
    until(lambda: one.sidecar.get("/api/services/shop/health")[0] == 200)
    assert one.ask("services/shop/health")["health"] == "degraded"
    one.order()
    until(lambda: one.items("runs?task=shop_app.mail"))
    one.kill()
    one.serve()
    until(lambda: any("shop_app.mail was lost" in reason["sentence"] for reason in one.ask("status")["reasons"]))
    assert one.ask("services/shop/health?window=600", 503)["health"] == "bad"
    until(lambda: one.sidecar.get("/api/services/shop/health?window=1")[0] == 200, 15)


def test_a_probe_is_red_when_a_worker_that_must_run_is_gone(api):
    """Its process serves on."""
    one = api().serve()
    (worker,) = until(lambda: [found for found in one.items("workers") if found["running"]])
    assert (worker["task"], worker["running"], worker["health"]) == ("shop_app.poll", 1, "ok")
    one.order("/end")
    until(lambda: one.sidecar.get("/api/services/shop/health")[0] == 503)
    (worker,) = until(lambda: [found for found in one.items("workers") if found["ended"]])
    assert (worker["ended"], worker["running"], worker["health"]) == (1, 0, "bad")


def test_processes_tell_their_state(api):
    """Pid, what they have open, their pool."""
    one = api().serve()
    pid = one.order()
    (process,) = until(lambda: [found for found in one.items("processes") if found["running"] == 2])
    assert (process["pid"], process["waiting"], process["state"]) == (pid, 1, "running")
    until(lambda: one.items("processes")[0]["pool_busy"] == 1)


def test_open_runs_come_in_pages_those_with_the_least_time_first(api, writer):
    """None is left out and none comes twice."""
    one, process = api(), writer()
    process.do("wait", 30)
    process.do("run", 12)
    page = one.ask("runs?limit=10")
    seen = page["items"]
    while page["next"] is not None:
        page = one.ask(f"runs?limit=10&offset={page['next']}")
        seen += page["items"]
    assert len({run["id"] for run in seen}) == len(seen) == page["total"] == 42
    left = [run["limit"] - run["age"] for run in seen]
    assert left == sorted(left)
    assert one.ask("runs?state=running&limit=1")["total"] == 12
    assert one.ask("runs?state=waiting&state=running&limit=1")["total"] == 42
    ages = [run["age"] for run in one.items("runs?sort=age")]
    assert ages == sorted(ages, reverse=True)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("runs?state=gone", "state is 'gone'; allowed: waiting, running, late or overdue"),
        ("runs?state=late&state=gone", "state is 'gone'; allowed: waiting, running, late or overdue"),
        ("runs?" + 9 * "state=late&", "state is there 9 times; allowed: 8 times"),
        ("tasks?kind=cron", "kind is 'cron'; allowed: background, response, asyncio, worker or thread"),
        ("endings?ending=dead", "ending is 'dead'; allowed: lost, dropped, failed, cancelled or swallowed"),
        ("runs?limit=0", "limit is '0'; allowed: a whole number from 1 to 1000"),
        ("runs?limit=1.5", "limit is '1.5'; allowed: a whole number from 1 to 1000"),
        ("runs?limit=many", "limit is 'many'; allowed: a whole number from 1 to 1000"),
        ("tasks?offset=-1", "offset is '-1'; allowed: a whole number from 0 to 1000000000"),
        ("endings?before=0", "before is '0'; allowed: a whole number from 1 to 9223372036854775807"),
        ("runs?since=NaN", "since is 'NaN'; allowed: Unix seconds"),
        ("runs?since=abc", "since is 'abc'; allowed: Unix seconds"),
        ("endings?until=-1", "until is '-1'; allowed: Unix seconds"),
        ("services/shop/health?window=0", "window is '0'; allowed: seconds, more than 0 and at most 86400"),
        (f"tasks?search={501 * 'x'}", f"search is '{37 * 'x'}...{38 * 'x'}'; allowed: at most 500 characters"),
        (f"runs/{101 * 'x'}", f"run is '{37 * 'x'}...{38 * 'x'}'; allowed: at most 100 characters"),
        ("series?tsk=x", "tsk is no parameter; allowed: kind, service, task"),
        ("workers?limit=5&limt=5", "limt is no parameter; allowed: limit, offset, service"),
        ("status?x=1", "x is no parameter; allowed: none"),
        ("runs/nobody?x=1", "x is no parameter; allowed: none"),
        ("runbooks/AfterwordTaskLost?x=1", "x is no parameter; allowed: none"),
        ("events?x=1", "x is no parameter; allowed: none"),
    ],
)
def test_a_wrong_question_is_told_what_is_allowed(api, question, sentence):
    """422, in one sentence."""
    (found,) = api().ask(question, 422)["detail"]
    assert found["msg"] == sentence


def test_the_example_of_a_wrong_question_is_what_is_answered(api):
    """docs/page.md shows one."""
    text = (Path(__file__).parents[1] / "docs" / "page.md").read_text(encoding="utf-8")
    ((question, answer),) = re.findall(r"(?m)^    \$ curl -s 'http://127.0.0.1:9796/api/(.*)'\n    (.*)$", text)
    assert api().ask(question, 422) == json.loads(answer)


@pytest.mark.parametrize(
    "path",
    ["status", "tasks", "tasks?limit=0", "runs/nobody", "services/nobody/health", "series", "nothing", "openapi.json"],
)
def test_a_monitor_may_ask_with_head(api, path):
    """Status and headers as of GET, and no body."""

    def asked(connection, method):
        connection.request(method, f"/api/{path}")
        answer = connection.getresponse()
        varying = ("date", "content-length")  # a look takes some time, and says so
        told = {name: name in varying or value for name, value in answer.getheaders()}
        return answer.status, told, answer.read()

    port = api().sidecar.port
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as one:
        head, get = asked(one, "HEAD"), asked(one, "GET")  # over one connection: a body would be read as an answer
    assert head == (*get[:2], b"")
    assert get[2]


def test_what_is_not_known_is_told_with_what_is(api, writer):
    """404, in one sentence."""
    one = api()
    assert one.ask("services/shop/health", 404)["detail"] == "no service 'shop' has kept books here; known: none"
    writer().do("end")
    known = "no service 'shp' has kept books here; known: shop"
    until(lambda: one.ask("services/shp/health", 404)["detail"] == known)
    assert "only bad endings are" in one.ask("runs/nobody", 404)["detail"]
    assert one.ask("runbooks/AfterwordNothing", 404)["detail"] == "there is no runbook for 'AfterwordNothing'"
    assert one.ask("runbooks/AfterwordTaskLost")["text"].startswith("# AfterwordTaskLost")


def test_an_empty_directory_is_blind_not_well(api):
    """Nothing to look at is no good news."""
    status = api().ask("status")
    assert (status["verdict"], status["services"]) == ("blind", [])
    assert status["sentence"].startswith("No ledger yet")


def test_the_last_minutes_can_be_drawn(api, writer):
    """Equal steps, sums over what matches; here a step is a quarter of a second."""
    one, process = api(), writer()
    process.do("run", 3)
    until(lambda: len(one.ask("series?task=mail")["at"]) > 3)
    series = one.ask("series?task=mail")
    assert series["running"][-1] == series["scheduled"][-1] == 3
    assert len({len(series[row]) for row in ("at", "waiting", "running", "scheduled", "succeeded", "bad")}) == 1
    assert one.ask("series?task=other")["running"][-1] == 0


class Stream:
    """One open /api/events, read event by event."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        self.connection.request("GET", "/api/events")
        self.answer = self.connection.getresponse()

    def next(self):
        """The next status."""
        while line := self.answer.readline():
            if line.startswith(b"data: "):
                return json.loads(line.removeprefix(b"data: "))
        raise EOFError

    def close(self):
        """Listen no more."""
        self.answer.close()
        self.connection.close()


@pytest.fixture
def stream():
    """``stream(sidecar)``: closed with the test."""
    made = []

    def listen(sidecar):
        made.append(Stream(sidecar.port))
        return made[-1]

    yield listen
    for one in made:
        one.close()


def test_who_listens_hears_at_once_at_every_change_and_every_few_seconds(api, writer, stream):
    """No page polls."""
    one, process = api(), writer()
    process.do("run", 3)
    heard = stream(one.sidecar)
    assert heard.answer.getheader("content-type").startswith("text/event-stream")
    first = heard.next()
    assert (first["verdict"], first["services"][0]["running"]) == ("ok", 3)
    process.kill()
    began = time.monotonic()
    while heard.next()["verdict"] != "bad":
        assert time.monotonic() - began < 10
    quiet = time.monotonic()
    heard.next()
    heard.next()
    assert time.monotonic() - quiet < 30


def test_a_stream_does_not_hold_up_the_end(api, stream):
    """An open page is no reason to be killed."""
    one = api()
    heard = stream(one.sidecar)
    heard.next()
    one.sidecar.child.process.terminate()
    assert one.sidecar.child.process.wait(5) == 0
    assert "Traceback" not in one.sidecar.child.output


def test_there_are_only_so_many_streams(api, stream):
    """Who comes too late is told to ask instead."""
    one = api()
    for _ in range(64):
        stream(one.sidecar).next()
    refused = stream(one.sidecar)
    assert refused.answer.status == 503
    assert "ask /api/status instead" in refused.answer.read().decode()


def test_the_description_names_everything(api):
    """Each question has a sentence, and its answers a shape."""
    described = api().ask("openapi.json")
    assert len(described["paths"]) == 12
    for path, methods in described["paths"].items():
        assert list(methods) == ["get"], path
        assert methods["get"]["description"], path
        assert {"200", "401", "403"} <= methods["get"]["responses"].keys()


def test_a_trace_can_be_opened_where_it_is_said_how(api, writer):
    """AFTERWORD_TRACE_URL; without a trace there is no link."""
    one = api(AFTERWORD_TRACE_URL="http://tempo.example/{trace_id}")
    process = writer()
    process.do("run")
    (run,) = one.items("runs")
    assert one.ask(f"runs/{run['id']}")["trace_url"] == ""


def test_a_port_in_use_is_told_in_one_sentence(children, directory):
    """And what to type."""
    port = free_port()
    first = Sidecar(children, directory, "--listen", f"127.0.0.1:{port}")
    assert first.text()
    second = Sidecar(children, directory, "--listen", f"127.0.0.1:{port}")
    assert second.child.process.wait(15) == 2
    (line,) = second.child.output.splitlines()
    assert line.startswith(f"afterword: listen is '127.0.0.1:{port}': Address already in use; allowed: ")
    assert line.endswith("; perhaps a sidecar already runs there (afterword doctor)")
