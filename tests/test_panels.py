"""Every panel of every dashboard draws something from the demo's real Prometheus while work goes wrong."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo_app import acts
from demo_app.stack import Stack, running_stack
from tests.helpers import until
from tests.helpers.real import binary
from tests.test_dashboards import every, filled

COMMITTED = Path(__file__).parents[1] / "dashboards"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The demo after refused mails and a killed worker, with runs that hang and others that wait behind them."""
    binary("prometheus")
    with running_stack(lambda _: None) as running:
        running.shop.visit("/order", times=5)
        running.shop.visit("/register", times=5)
        acts.mail_refused(running)
        running.wait_until_settled()
        running.world.switch("mail", "ok")
        acts.worker_killed(running)
        running.world.switch("mail", "hang")
        running.shop.visit("/order", times=2)
        yield running


def panels() -> list[Any]:
    """Every panel with a query, as parameters of a test."""
    return [
        pytest.param(panel, id=f"{path.name}:{panel['title']}")
        for path in sorted(COMMITTED.glob("*.json"))
        for panel in every(path.name)
        if panel.get("targets")
    ]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("panel", panels())
def test_every_query_of_a_panel_returns_data(stack, panel):
    """A panel that is empty in the middle of an incident is a panel that lies."""
    for target in panel["targets"]:
        expr = filled(target["expr"]).replace('job=~"afterword"', 'job=~".+"')
        assert until(partial(stack.prometheus.query, expr), 20), json.dumps(target)
