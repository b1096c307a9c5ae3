"""The generated dashboards: current, readable, and never asking for what the contract does not have."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as sdk
from grafana_foundation_sdk.models import units

from afterword import contract as c
from afterword import words
from afterword.alerts import render, thresholds
from afterword.alerts.links import OVERVIEW_UID, TASK_UID
from afterword.alerts.promql import UP
from afterword.dashboards import build, queries, write
from tests.alert_cases import ALERTS, KILLED, OLD, of
from tests.promql_names import known_series, unknown
from tests.promtool import promtool
from tests.test_alerts import rules

COMMITTED = Path(__file__).parents[1] / "dashboards"
TEXTS = build()
MACROS = {
    "$__interval_ms": "60000",
    "$__interval": "1m",
    "$__rate_interval": "1m",
    "$__range_s": "3600",
    "$__range": "1h",
    "$job": "afterword",
    "$instance": ".+",
    "$service": ".+",
    "$task": ".+",
}
OWN_UNITS = {"suffix:/min", "suffix: gone"}
VALID_UNITS = OWN_UNITS | {value for name, value in vars(units).items() if isinstance(value, str) and name[0].isupper()}


def filled(expr: str) -> str:
    """A query as Grafana would send it."""
    for macro, value in MACROS.items():
        expr = expr.replace(macro, value)
    return expr


def every(name: str) -> list[dict[str, Any]]:
    """All panels of a dashboard, rows included."""
    return list(json.loads(TEXTS[name])["panels"])


def drawn() -> list[Any]:
    """Every panel that shows data, as parameters of a test."""
    return [
        pytest.param(panel, id=f"{name}:{panel['title']}")
        for name in TEXTS
        for panel in every(name)
        if panel["type"] not in {"row", "text"}
    ]


def found(node: Any, key: str) -> Iterator[Any]:
    """The values of ``key`` at any depth."""
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for value in node.values():
            yield from found(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from found(value, key)


def proves(tmp_path: Path, series: dict[str, str], *claims: tuple[str, str, float | None]) -> None:
    """The real engine answers each (query, moment) with the number, or with nothing."""
    samples = [
        {
            "expr": filled(expr),
            "eval_time": moment,
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for expr, moment, value in claims
    ]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": samples,
    }
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]}, width=1000), encoding="utf-8")
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", TEXTS)
def test_committed_dashboards_are_the_generated_ones(name: str) -> None:
    """The file that users import is what the code says today."""
    assert (COMMITTED / name).read_text(encoding="utf-8") == TEXTS[name]


def test_no_dashboard_is_an_orphan() -> None:
    """No file is left of a dashboard that is gone."""
    assert {path.name for path in COMMITTED.glob("*.json")} == set(TEXTS)


def test_writing_creates_the_directory(tmp_path: Path) -> None:
    """What is written is what is built, and its paths are returned."""
    files = write(tmp_path / "new" / "place")
    assert {path.name: path.read_text(encoding="utf-8") for path in files} == TEXTS


def test_a_missing_extra_is_one_sentence() -> None:
    """Without the SDK the package imports, and building says what to type."""
    script = (
        "import sys; sys.modules['grafana_foundation_sdk'] = None\n"
        "import afterword.dashboards\n"
        "try: afterword.dashboards.build()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "Building dashboards needs one more package: pip install 'afterword[dashboards]'\n"


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_misspelt(name: str) -> None:
    """The SDK drops keys it does not know, so a file that survives it unchanged has none."""
    register_default_plugins()
    board: Any = sdk.Dashboard.from_json(json.loads(TEXTS[name]))
    for shown in [*board.links, *board.annotations.list_val]:
        shown.placement = None  # the SDK fills in what we left out on purpose
    assert JSONEncoder(sort_keys=True, indent=2).encode(board) + "\n" == TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_it_can_be_imported_and_provisioned(name: str) -> None:
    """A stable uid, a chosen data source, and nothing that only one way of loading understands."""
    board = json.loads(TEXTS[name])
    assert name == f"{board['uid']}.json"
    assert not {"__inputs", "__requires", "id", "version"} & set(board)
    assert (board["editable"], board["refresh"]) == (False, "30s")
    assert board["schemaVersion"] >= 42
    sources = {source["uid"] for source in found(board, "datasource")}
    assert sources == {"${datasource}"}
    assert board["templating"]["list"][0]["name"] == "datasource"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_links_a_dashboard_with_variables_that_it_has(rule: dict[str, Any]) -> None:
    """An alert that sends somebody to a dashboard sends them to one that exists, filtered to what fired."""
    match = re.fullmatch(r"/d/([\w-]+)\?(.+)", rule["annotations"]["dashboard_url"])
    assert match
    board = json.loads(TEXTS[f"{match[1]}.json"])
    chosen = {part.partition("=")[0].removeprefix("var-") for part in match[2].split("&")}
    assert {"job"} <= chosen <= {variable["name"] for variable in board["templating"]["list"]}
    assert rule["alert"] in TEXTS[f"{match[1]}.json"] or match[1] == TASK_UID


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_annotations_are_shown(name: str) -> None:
    """The SDK would hide them in a menu."""
    assert list(found(json.loads(TEXTS[name]), "placement")) == [
        legend["placement"] for legend in found(json.loads(TEXTS[name]), "legend") if "placement" in legend
    ]


@pytest.mark.parametrize("name", TEXTS)
def test_every_panel_has_its_own_number_and_place(name: str) -> None:
    """Ids are unique and not 0, nothing overlaps, nothing hangs over column 24, and lines are full."""
    panels = every(name)
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)
    assert min(ids) > 0
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


@pytest.mark.parametrize("name", TEXTS)
def test_every_row_says_what_it_tells_and_where_to_go(name: str) -> None:
    """A question as its title, then two lines; every link goes to a dashboard that exists, with what is chosen."""
    panels = every(name)
    for row, text in ((row, panels[n + 1]) for n, row in enumerate(panels) if row["type"] == "row"):
        assert "?" in row["title"]
        assert (text["type"], text["gridPos"]["w"], text["id"]) == ("text", 24, 10 * row["id"])
        assert len(re.sub(r"\(/d/[^)]+\)", "", text["options"]["content"])) < 330
    for uid, query in re.findall(r"/d/([\w-]+)\?([^\")\s]*)", TEXTS[name]):
        assert f"{uid}.json" in TEXTS
        chosen = {part.split("=")[0] for part in query.split("&")}
        kept = {"${datasource:queryparam}", "${job:queryparam}", "${__url_time_range}"}
        assert kept <= chosen
        assert all({f"${{{name}:queryparam}}", f"var-{name}"} & chosen for name in ("service", "task"))


@pytest.mark.parametrize("panel", drawn())
def test_every_panel_explains_itself(panel: dict[str, Any]) -> None:
    """A title, a description that ends like a sentence, a unit that exists, and only alerts that exist."""
    assert panel["title"]
    assert re.search(r"\.$", panel["description"])
    assert set(re.findall(r"Afterword\w+", panel["description"])) <= set(ALERTS)
    used = [unit for unit in found(panel["fieldConfig"], "unit") if isinstance(unit, str)]
    used += [p["value"] for p in found(panel, "properties") for p in p if p["id"] == "unit"]
    assert used
    assert set(used) <= VALID_UNITS


@pytest.mark.parametrize("panel", drawn())
def test_nothing_is_left_to_misleading_defaults(panel: dict[str, Any]) -> None:
    """Legends are shown, tooltips list all series, single values are the last ones, and no data has a word."""
    options = panel["options"]
    if panel["type"] in {"timeseries", "state-timeline"}:
        assert options["legend"]["showLegend"] is True
        assert (options["tooltip"]["mode"], options["tooltip"]["sort"]) == ("multi", "desc")
        assert panel["interval"] == "15s"
    if panel["type"] == "stat":
        assert options["reduceOptions"]["calcs"] == ["lastNotNull"]
        assert any(mapping["type"] == "special" for mapping in panel["fieldConfig"]["defaults"]["mappings"])
    if panel["type"] != "table":
        assert panel["fieldConfig"]["defaults"]["noValue"] == "no data"


@pytest.mark.parametrize("panel", drawn())
def test_panels_read_only_the_contract(panel: dict[str, Any]) -> None:
    """Every query parses, and every series and label in it is one that the sidecar exports."""
    assert panel["targets"]
    for target in panel["targets"]:
        assert "$" not in filled(target["expr"])
        assert unknown(filled(target["expr"])) == []
        assert "job" in target["expr"]


@pytest.mark.parametrize("name", TEXTS)
def test_variables_and_annotations_read_only_the_contract(name: str) -> None:
    """A variable lists a label that its series has; an annotation asks what can be answered."""
    board = json.loads(TEXTS[name])
    asked = [variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    assert len(asked) == 4
    for query in asked:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert match
        series, label = match.groups()
        assert unknown(filled(series)) == []
        assert label in known_series()[series.split("{")[0]]
    for annotation in board["annotations"]["list"]:
        assert unknown(filled(annotation["expr"])) == []


def test_every_metric_is_shown_or_watched() -> None:
    """What nobody looks at and no rule reads need not be exported."""
    shown = "".join(TEXTS.values()) + render()
    unused = {metric.name for metric in c.METRICS if not any(re.search(rf"\b{s}\b", shown) for s in metric.series)}
    assert unused == set()


def test_the_numbers_are_those_of_the_alerts() -> None:
    """Windows are the same objects, so a change of the alert moves the panel."""
    text = TEXTS[f"{OVERVIEW_UID}.json"]
    assert f"[{queries.WINDOW}]" in text
    assert f"\u003e {thresholds.SCAN_STALE:g}" in json.loads(json.dumps(text))
    assert queries.WINDOW == "15m"


def test_the_verdict_is_exact(tmp_path: Path) -> None:
    """20 lost are 20, also when their target is gone; none is 0; and nothing known is nothing, not 0."""
    lost = queries.or_zero(f"sum({queries.happened(c.LOST)})", c.SCHEDULED)
    known = {of(c.SCHEDULED): "100x300"}
    born = {of(c.LOST, KILLED): "_x8 20x40 stale", of(c.LOST.created, KILLED): "_x8 110x40 stale"}
    old = {of(c.LOST, KILLED): "7x400", of(c.LOST.created, KILLED): OLD}
    proves(tmp_path, {**known, **born}, (lost, "1m", 0), (lost, "5m", 20), (lost, "40m", 20))
    proves(tmp_path, {**known, **old}, (lost, "5m", 0), (lost, "75m", 0))
    proves(tmp_path, {of(UP): "1x400"}, (lost, "5m", None))


def test_a_worker_that_ended_with_its_process_is_no_loss(tmp_path: Path) -> None:
    """It is meant to; one that the garbage collector took is not. The panels and the alert say the same."""
    worker = {**KILLED, "kind": words.WORKER}
    collected = {**worker, "reason": words.LOST_COLLECTED}
    series = {
        of(c.SCHEDULED): "100x300",
        **{of(name, worker): values for name, values in ((c.LOST, "_x8 4x40"), (c.LOST.created, "_x8 110x40"))},
        **{of(name, collected): values for name, values in ((c.LOST, "_x8 2x40"), (c.LOST.created, "_x8 110x40"))},
    }
    shapes = (queries.happened(c.LOST), queries.recently(c.LOST))
    proves(tmp_path, series, *((f"sum({shape})", "5m", 2) for shape in shapes))
    proves(tmp_path, series, (f"sum({queries.per_step(c.LOST)})", "2m", 2))


def test_bars_count_each_event_once(tmp_path: Path) -> None:
    """The steps of a graph add up: the birth in one bar, the next loss in another, zeros between."""
    lost = queries.or_zero(f"sum({queries.per_step(c.LOST)})", c.SCHEDULED)
    series = {
        of(c.SCHEDULED): "100x300",
        of(c.LOST, KILLED): "_x9 20x20 23x200",
        of(c.LOST.created, KILLED): "_x9 118x300",
    }
    expected = [0, 0, 20, 0, 0, 0, 0, 3, 0, 0]
    proves(tmp_path, series, *((lost, f"{minute}m", value) for minute, value in enumerate(expected, 1)))


def test_new_exception_classes_are_counted(tmp_path: Path) -> None:
    """A class without a birth counts when its target was scraped before, and not on first sight of the target."""
    errors = queries.or_none(f"sum ({queries.per_step_unborn(c.ERRORS)})", "x").split(" or on () ")[0]
    seen = {of(UP): "1x100", of(c.ERRORS, exception="KeyError"): "_x9 4x10 6x100"}
    proves(tmp_path, seen, (errors, "2m", None), (errors, "3m", 4), (errors, "4m", None), (errors, "5m", 2))
    fresh = {of(UP): "_x9 1x100", of(c.ERRORS, exception="KeyError"): "_x9 4x100"}
    proves(tmp_path, fresh, (errors, "3m", None))


def test_the_worst_state_wins(tmp_path: Path) -> None:
    """Losing work outranks overdue, overdue outranks failing, and a known task without trouble is fine."""
    state = f"max({queries.state()})"
    fine = {of(c.SCHEDULED): "0+1x400", of(c.FINISHED, {"outcome": words.FAILED}): "0x400"}
    overdue = {of(c.OVERDUE): "0x20 2x400"}
    failing = {of(c.FINISHED, {"outcome": words.FAILED}): "0x10 5x400"}
    losing = {of(c.LOST, KILLED): "_x30 1x300", of(c.LOST.created, KILLED): "_x30 445x300"}
    proves(tmp_path, fine, (state, "4m", queries.FINE))
    proves(
        tmp_path,
        {**fine, **failing, **overdue, **losing},
        (state, "4m", queries.FAILING),
        (state, "6m", queries.OVERDUE),
        (state, "8m", queries.LOSING),
    )
    proves(tmp_path, {of(UP): "1x400"}, (state, "4m", None))


def test_blindness_is_seen(tmp_path: Path) -> None:
    """A target that does not answer and one that no longer reads are both blind; no target at all is no data."""
    other = "host-b:9796"
    series = {
        of(UP): "1x20 0x100",
        of(UP, instance=other): "1x200",
        of(c.SIDECAR_SCAN): "0+15x20 stale",
        of(c.SIDECAR_SCAN, instance=other): "0+15x40 600x100",
    }
    blind = queries.blind_targets()
    proves(tmp_path, series, (blind, "4m", 0), (blind, "6m", 1), (blind, "20m", 2))
    proves(tmp_path, {of(UP, job="node"): "0x100"}, (blind, "4m", None))
