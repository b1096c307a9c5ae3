"""The main job on real input: uvicorn with two workers, one killed in mid-task, a sidecar, Prometheus, an alert."""

import json
import os
import re
import signal
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Children, free_port, until
from tests.helpers.real import binary

APP = """
import os, time
from pathlib import Path
import anyio
import afterword
from fastapi import BackgroundTasks, FastAPI

app = FastAPI(title="shop")
GATE, OUTBOX = Path("gate"), Path("outbox")

def deliver(what):
    with OUTBOX.open("a") as out:
        out.write(what + "\\n")

def send_mail():
    while GATE.exists():
        time.sleep(0.01)
    deliver("mail")

async def push_webhook():
    while GATE.exists():
        await anyio.sleep(0.01)
    deliver("webhook")

@app.post("/order")
async def order(tasks: BackgroundTasks):
    tasks.add_task(send_mail)
    tasks.add_task(push_webhook)
    return {"pid": os.getpid()}

afterword.instrument(app)
"""

PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
- job_name: afterword
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
#: How often the rules are evaluated: as they are shipped, and here. What is lost right after one evaluation, or while a
#: scrape fails, is seen by the next one, and a test need not wait for that as long as a pager may.
SHIPPED, HERE = 'interval: "15s"', 'interval: "1s"'
TASK = re.compile(r"(\w+)\{(.*)\} (\S+)")


def get(port: int, path: str, method: str = "GET") -> str:
    """One request to a local server."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310 - always http, always local
        return str(answer.read().decode())


def is_ready(port: int) -> bool:
    """Whether a Prometheus has read what it has on its disk: until then it answers 503 to everything."""
    try:
        return "Ready" in get(port, "/-/ready")
    except urllib.error.HTTPError:
        return False


class Shop:
    """The application, its sidecar and its Prometheus, all real."""

    def __init__(self, children: Children, directory: Path) -> None:
        self.folder = children.folder
        (self.folder / "app.py").write_text(APP)
        env = {"AFTERWORD_DIR": str(directory)}
        self.sidecar = free_port()
        sidecar = children.python("-m", "afterword", "sidecar", "--listen", f"127.0.0.1:{self.sidecar}", **env)
        children.answering(sidecar, self.sidecar)
        _, self.port = children.uvicorn("app:app", "--workers", "2", **env)
        self.prometheus = self._prometheus(children)

    def _prometheus(self, children: Children) -> int:
        port = free_port()
        children.python("-m", "afterword", "alerts", "-o", "rules.yml").wait()
        rules = self.folder / "rules.yml"
        assert SHIPPED in rules.read_text()
        rules.write_text(rules.read_text().replace(SHIPPED, HERE))
        (self.folder / "prometheus.yml").write_text(PROMETHEUS.format(port=self.sidecar))
        child = children.start(
            binary("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
        )  # fmt: skip
        children.answering(child, port)
        until(lambda: is_ready(port))
        return port

    def order(self) -> int:
        """One order; the pid of the worker that took it."""
        return int(json.loads(get(self.port, "/order", "POST"))["pid"])

    def metric(self, name: str, **labels: str) -> dict[str, int]:
        """A task metric by the task's bare name, zeros left out."""
        found: Counter[str] = Counter()
        for line in get(self.sidecar, "/metrics").splitlines():
            match = TASK.fullmatch(line)
            if match and match[1] == name:
                have = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
                if labels.items() <= have.items() and float(match[3]):
                    found[have["task"].rpartition(".")[2]] += int(float(match[3]))
        return dict(found)

    def delivered(self) -> Counter[str]:
        """What the outside world received."""
        outbox = self.folder / "outbox"
        return Counter(outbox.read_text().split()) if outbox.exists() else Counter()

    def evaluated(self) -> str:
        """When Prometheus last evaluated the rules on how runs end."""
        groups = json.loads(get(self.prometheus, "/api/v1/rules"))["data"]["groups"]
        return next(str(group["lastEvaluation"]) for group in groups if group["name"] == "afterword-endings")

    def scraped(self, series: str) -> list[float]:
        """The values Prometheus has of ``series``."""
        found = json.loads(get(self.prometheus, f"/api/v1/query?query={urllib.parse.quote(series)}"))["data"]["result"]
        return [float(one["value"][1]) for one in found]

    def alerts(self) -> list[dict[str, Any]]:
        """What Prometheus says is firing."""
        data = json.loads(get(self.prometheus, "/api/v1/alerts"))["data"]["alerts"]
        return [alert for alert in data if alert["state"] == "firing"]


@pytest.fixture
def shop(children: Children, directory: Path) -> Shop:
    """Everything up, two workers serving."""
    return Shop(children, directory)


def test_a_killed_worker_loses_exactly_its_open_runs_and_the_alert_names_them(shop):
    """Lost equals what that worker had open; everything else arrives; the alert has task and number."""
    for _ in range(30):
        shop.order()
    until(lambda: shop.delivered() == {"mail": 30, "webhook": 30})
    until(lambda: shop.metric("afterword_tasks_finished_total", outcome="succeeded")
          == {"send_mail": 30, "push_webhook": 30})  # fmt: skip
    until(lambda: shop.scraped('afterword_tasks_scheduled_total{kind="background"}') == [30, 30], 20)
    before = shop.evaluated()
    until(lambda: shop.evaluated() != before, 20)
    assert shop.alerts() == []

    (shop.folder / "gate").touch()
    taken = Counter(shop.order() for _ in range(24))
    until(lambda: shop.metric("afterword_tasks_running") == {"send_mail": 24})
    victim = max(taken, key=lambda pid: taken[pid])
    os.kill(victim, signal.SIGKILL)
    lost = taken[victim]
    until(lambda: shop.metric("afterword_tasks_lost_total", reason="killed", phase="running") == {"send_mail": lost}, 2)
    assert shop.metric("afterword_tasks_lost_total", reason="killed", phase="waiting") == {"push_webhook": lost}
    assert shop.metric("afterword_tasks_running") == ({"send_mail": 24 - lost} if lost < 24 else {})

    (shop.folder / "gate").unlink()
    until(lambda: shop.delivered() == {"mail": 54 - lost, "webhook": 54 - lost})
    succeeded = {"send_mail": 54 - lost, "push_webhook": 54 - lost}
    until(lambda: shop.metric("afterword_tasks_finished_total", outcome="succeeded") == succeeded)
    assert shop.metric("afterword_tasks_scheduled_total") == {"send_mail": 54, "push_webhook": 54}

    # First what Prometheus was told, then what it makes of that: one evaluation, more where a scrape fails between.
    until(lambda: shop.scraped('afterword_tasks_lost_total{task="app.send_mail"}') == [lost], 20)
    fired = until(lambda: [a for a in shop.alerts() if a["labels"].get("task") == "app.send_mail"], 15)
    (alert,) = fired
    assert alert["labels"]["alertname"] == "AfterwordTaskLost"
    assert re.search(rf"\b{lost}\b", alert["annotations"]["description"])
