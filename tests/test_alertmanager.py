"""The Alertmanager example: routes by the real amtool, inhibition by a real Alertmanager."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from afterword.alerts.alertmanager import INHIBITIONS, render
from afterword.alerts.catalogue import CATALOGUE
from afterword.alerts.config import read
from tests.helpers.processes import Children, free_port
from tests.helpers.real import binary
from tests.helpers.waiting import until

EXAMPLE = Path(__file__).parents[1] / "alerts" / "alertmanager.example.yml"
SERVICE = {"job": "afterword", "service": "shop"}
TASK = {**SERVICE, "task": "shop.send_email", "kind": "background"}
#: What each inhibited alert has in common with its cause.
PAIRS = [(cause, effect, i.same) for i in INHIBITIONS for cause in i.causes for effect in i.effects]


def test_the_committed_example_is_the_generated_one():
    """And the real amtool takes it."""
    assert EXAMPLE.read_text(encoding="utf-8") == render()
    done = subprocess.run(
        [binary("amtool"), "check-config", str(EXAMPLE)], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "AfterwordTaskLost", "severity": "critical"}, "pager"),
        ({"alertname": "AfterwordTaskFailed", "severity": "warning"}, "tickets"),
        ({"alertname": "AfterwordTaskSlow", "severity": "info"}, "nobody"),
        ({"alertname": "SomebodyElses", "severity": "critical"}, "tickets"),
    ],
)
def test_routes(labels, receiver):
    """Critical pages, warning opens a ticket, info is never routed alone; what is not ours goes its own way."""
    words = [f"{name}={value}" for name, value in labels.items()]
    command = [binary("amtool"), "config", "routes", "test", f"--config.file={EXAMPLE}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.strip() == receiver, done.stderr


def test_every_name_is_an_alert():
    """A rule with a misspelt name would hold nothing back, in silence."""
    assert {name for i in INHIBITIONS for name in (*i.causes, *i.effects)} <= set(CATALOGUE)
    assert not [i for i in INHIBITIONS if set(i.causes) & set(i.effects)]


def test_what_was_counted_is_never_held_back():
    """Lost, failed, dropped, cancelled, swallowed: each is a fact of its own, whatever else is wrong."""
    endings = {"AfterwordTaskLost", "AfterwordTaskFailed", "AfterwordTaskDropped", "AfterwordTaskCancelled",
               "AfterwordTaskSwallowedError", "AfterwordRouteMissedTask"}  # fmt: skip
    assert not endings & {effect for _, effect, _ in PAIRS}


def test_alerts_that_are_off_are_in_no_rule():
    """A rule of which one side is gone is none."""
    off = {name: {"enabled": False} for name in ("AfterwordTaskLate", "AfterwordSidecarDown")}
    text = render(read(off))
    assert "TaskLate" not in text
    assert "SidecarDown" not in text
    assert len(yaml.safe_load(text)["inhibit_rules"]) == len(INHIBITIONS) - 1


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Alertmanager with the example."""
    folder, port = tmp_path_factory.mktemp("alertmanager"), free_port()
    children = Children(folder)
    child = children.start(
        binary("alertmanager"), f"--config.file={EXAMPLE}", f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.path={folder}", "--cluster.listen-address=",
    )  # fmt: skip
    children.answering(child, port)
    yield f"http://127.0.0.1:{port}/api/v2/alerts"
    children.end()


def tell(address: str, *alerts: Mapping[str, str]) -> None:
    """Let alerts fire."""
    httpx.post(address, json=[{"labels": dict(labels)} for labels in alerts]).raise_for_status()


def states(address: str) -> dict[tuple[str, str], str]:
    """The state of each alert, by its name and instance."""
    alerts: list[dict[str, Any]] = httpx.get(address).json()
    return {(a["labels"]["alertname"], a["labels"].get("case", "")): a["status"]["state"] for a in alerts}


@pytest.mark.parametrize(("cause", "effect", "same"), PAIRS, ids=[f"{c}-{e}" for c, e, _ in PAIRS])
def test_inhibition_in_a_real_alertmanager(alertmanager, cause, effect, same):
    """The effect is held back where the labels are the same, and where one differs or is missing it is not."""
    case = f"{cause}-{effect}"
    shared = {label: f"{label} of {case}" for label in same}
    other = {**shared, same[-1]: "another"}
    bare = {label: value for label, value in shared.items() if label != same[-1]}
    tell(
        alertmanager,
        {"alertname": cause, "severity": "critical", **shared},
        {"alertname": cause, "severity": "critical", **bare, "instance": case},
        {"alertname": effect, "severity": "warning", "case": f"{case} same", **shared},
        {"alertname": effect, "severity": "warning", "case": f"{case} other", **other},
        {"alertname": effect, "severity": "warning", "case": f"{case} bare", **bare, "instance": case},
    )

    def told() -> dict[str, str]:
        found = {case: state for (name, case), state in states(alertmanager).items() if name == effect}
        return {how: found.get(f"{case} {how}", "") for how in ("same", "other", "bare")}

    # It hears of the causes a moment after it has the alerts.
    until(lambda: told()["same"] == "suppressed")
    assert told() == {"same": "suppressed", "other": "active", "bare": "active"}
