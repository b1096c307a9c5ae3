"""The linters of the field, pint and dashboard-linter, over our rules and dashboards: no exclusions."""

import itertools
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from afterword.alerts.clock import seconds_of
from tests.lint import SCRAPE, compares, complaints, divides, looks_back
from tests.promql_names import output_labels
from tests.test_alerts import RUNBOOKS, groups, recordings, rules
from tests.test_dashboards import TEXTS, drawn, every, filled

#: Prometheus keeps this much unless it is told otherwise.
RETENTION = timedelta(days=15)


def named(rule: dict[str, Any]) -> str:
    """The name of an alert or a recording."""
    return str(rule.get("alert") or rule["record"])


# -- pint


@pytest.mark.parametrize("rule", [*rules(), *recordings()], ids=named)
def test_expressions_of_rules(rule):
    """promql/: syntax, regexp, counter, rate, vector_matching, impossible, features, range_query."""
    assert complaints(rule["expr"]) == []
    assert looks_back(rule["expr"]) <= RETENTION


@pytest.mark.parametrize("rule", rules(), ids=named)
def test_alerts(rule):
    """alerts/: comparison, absent, for, annotation; rule/: label, link, name; promql/: aggregate, fragile."""
    expr, lasts = rule["expr"], seconds_of(rule["for"]) or 0
    assert compares(expr)
    assert "absent(" not in expr or lasts >= 2 * SCRAPE.total_seconds()
    assert not divides(expr) or lasts > 0
    assert lasts <= 3600
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description", "runbook_url", "dashboard_url"} == set(rule["annotations"])
    assert re.fullmatch(r"Afterword([A-Z][a-z]+)+", rule["alert"])
    assert (RUNBOOKS / rule["annotations"]["runbook_url"].rpartition("/")[2]).is_file()
    assert "job" in output_labels(expr)
    assert "$value" in rule["annotations"]["description"]


@pytest.mark.parametrize("rule", recordings(), ids=named)
def test_recordings(rule):
    """rule/name, promql/aggregate: level:metric:operations, and the level is what it is by."""
    level, metric, operations = rule["record"].split(":")
    assert level == "job_service_task_kind"
    assert metric.startswith("afterword_")
    assert operations
    assert output_labels(rule["expr"]) - {"part"} == {"job", "service", "task", "kind"}


def test_groups_and_duplicates():
    """group/interval, rule/duplicate, rule/dependency: what is read was recorded before, in the same group."""
    names = [named(rule) for group in groups() for rule in group["rules"]]
    assert len(set(names)) == len(names)
    expressions = [rule["expr"] for group in groups() for rule in group["rules"]]
    assert len(set(expressions)) == len(expressions)
    for group in groups():
        assert 10 <= (seconds_of(group["interval"]) or 0) <= 300
        recorded: set[str] = set()
        for rule in group["rules"]:
            assert set(re.findall(r"\w+:\w+:\w+", rule["expr"])) <= recorded
            recorded.add(named(rule))


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ('up{job=~"shop"}', "useless regex job=~'shop'"),
        ('up{job=~"^shop.*"}', "useless regex job=~'^shop.*'"),
        ("afterword_tasks_lost_total > 5", "raw counter afterword_tasks_lost_total"),
        ("rate(afterword_tasks_lost_total[30s])", "rate over 0:00:30"),
        ("rate(afterword_tasks_waiting[5m])", "rate(afterword_tasks_waiting)"),
        ("deriv(afterword_tasks_lost_total[5m])", "deriv(afterword_tasks_lost_total)"),
        ("sum by (job) (up) * on (task) sum by (task) (afterword_tasks_waiting)", "on (task) matches nothing"),
        ("present_over_time(up[5m])", "function present_over_time"),
    ],
)
def test_each_rule_of_the_linter_can_fail(expr, complaint):
    """A check that finds nothing in nothing is none."""
    assert complaint in complaints(expr)


def test_what_is_no_comparison_is_seen():
    """alerts/comparison, promql/range_query, promql/fragile."""
    assert not compares("sum by (job) (up)")
    assert looks_back("rate(up[5m] offset 1d)") == timedelta(days=1, minutes=5)
    assert divides("sum (up) / sum (up)")


# -- dashboard-linter


@pytest.mark.parametrize("name", TEXTS)
def test_template_rules(name):
    """template-datasource, -job, -instance, -on-time-change-reload; uneditable."""
    board = json.loads(TEXTS[name])
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    source = variables["datasource"]
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")
    for wanted in ("job", "instance"):
        variable = variables[wanted]
        assert (variable["type"], variable["multi"], variable["includeAll"]) == ("query", True, True)
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["label"]
    assert all(v["refresh"] == 2 for v in variables.values() if v["type"] == "query")
    assert board["editable"] is False


@pytest.mark.parametrize("panel", drawn())
def test_panel_rules(panel):
    """panel-datasource, -title-description, -units, -no-targets; target-job, -instance, -rate-interval, -counter."""
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["title"]
    assert panel["description"]
    assert panel["targets"]
    for target in panel["targets"]:
        expr = target["expr"]
        assert complaints(filled(expr)) == []
        matched = re.findall(r"\{([^{}]*)\}", re.sub(r'"[^"{}]*\{\{[^"]*"', '""', expr))
        assert matched
        assert all('job=~"$job"' in labels and 'instance=~"$instance"' in labels for labels in matched), expr
        for function, window in re.findall(r"\b(rate|irate|increase)\((?:[^\[\]]*)\[([^\]]+)\]", expr):
            assert window == "$__rate_interval", function


def test_titles_are_told_apart():
    """Two panels of one name in one dashboard cannot be talked about."""
    for name in TEXTS:
        titles = [panel["title"] for panel in every(name) if panel.get("title")]
        twice = [title for title, same in itertools.groupby(sorted(titles)) if len(list(same)) > 1]
        assert twice == []
