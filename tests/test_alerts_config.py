"""What a team says about its alerts in afterword.toml: it reaches the rules and dashboards, and no mistake gets by."""

import asyncio
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import BackgroundTasks, FastAPI

from afterword import cli, contract, settings, words
from afterword.alerts import matchers, render
from afterword.alerts.catalogue import CATALOGUE
from afterword.alerts.clock import seconds_of
from afterword.alerts.config import Choice, Config, ConfigError, read
from afterword.alerts.config_file import line_of
from afterword.alerts.promql import UP
from tests.alert_cases import ALERTS, UPS, of
from tests.helpers.asgi import call
from tests.promql_names import selectors
from tests.promtool import promtool
from tests.test_alerts import recordings, rule_of, rules


@pytest.fixture
def say(tmp_path, monkeypatch):
    """Write an afterword.toml where the command line runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFTERWORD_DIR", str(tmp_path / "ledgers"))

    def write(text: str) -> Path:
        path = tmp_path / "afterword.toml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def generated(*arguments: str) -> str:
    """What ``afterword alerts`` writes."""
    assert cli.main(["alerts", *arguments, "-o", "out.yml"]) == 0
    return Path("out.yml").read_text(encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """The one sentence of a command that refuses."""
    assert cli.main([*command, "-o", "out"]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    return str(sentence)


def test_the_catalogue_knows_every_alert():
    """In the order of the rules file."""
    assert tuple(CATALOGUE) == ALERTS


def test_without_a_word_nothing_changes(say):
    """An empty table is no table."""
    say("[alerts]\n")
    assert generated() == render()


def test_what_is_said_of_an_alert_is_what_it_is(say):
    """Severity, duration and threshold, in words as in numbers."""
    say("""
        [alerts.AfterwordTaskLate]
        severity = "critical"
        for = "5m"
        threshold = 2.5
        [alerts.AfterwordTaskFailed]
        threshold = 3
        [alerts.AfterwordTaskSlow]
        enabled = false
    """)
    text = generated()
    late = rule_of("AfterwordTaskLate", text)
    assert (late["labels"]["severity"], late["for"]) == ("critical", "5m")
    assert "> 2.5 * max by" in late["expr"]
    assert rule_of("AfterwordTaskFailed", text)["expr"].split("\nunless")[0].endswith(") > 3")
    assert [rule["alert"] for rule in rules(text)] == [name for name in ALERTS if name != "AfterwordTaskSlow"]
    assert promtool("check", "rules", "--lint=all", "--lint-fatal", "out.yml").returncode == 0


def test_every_threshold_is_read_by_its_alert():
    """Set to another value, each changes the rule of that name, and no other but what is defined by it."""
    before = {rule["alert"]: rule["expr"] for rule in rules()}
    for name, default in CATALOGUE.items():
        if default.threshold is None:
            continue
        value = default.threshold.value + (1 if default.threshold.whole else 0.5)
        changed = {rule["alert"]: rule["expr"] for rule in rules(render(config=read({name: {"threshold": value}})))}
        different = {alert for alert in before if before[alert] != changed[alert]}
        assert name in different
        assert different - {name} <= {"AfterwordTaskSlow"}  # beyond the deadline it leaves the word to Overdue


def test_dashboards_draw_the_threshold_of_the_alert(say, tmp_path):
    """One file changes the rule and the line on the panel."""
    say("[alerts.AfterwordEventLoopBlocked]\nthreshold = 42\n")
    assert cli.main(["dashboards", "-o", "made"]) == 0
    runtime = (tmp_path / "made" / "afterword-runtime.json").read_text(encoding="utf-8")
    assert "+ 42" in runtime
    assert "Beyond 42s" in runtime
    assert rule_of("AfterwordEventLoopBlocked", generated())["expr"].endswith("> 42")


def test_matchers_reach_every_scraped_series_and_no_recorded_one(say):
    """In expressions and in what annotations ask; a string that looks like a metric stays what it is."""
    say("""
        [alerts]
        selector = 'env="prod",region=~"eu-.*"'
        job = "up|afterword_x"
    """)
    text = generated()
    for rule in [*rules(text), *recordings(text)]:
        asked = re.findall(r"query \(printf `([^`]+)`", " ".join(rule.get("annotations", {}).values()))
        for expr in (rule["expr"], *(re.sub(r"%\[\d\]q", '"x"', query) for query in asked)):
            for name, labels in selectors(expr):
                assert ({"env", "region"} <= labels) == (":" not in name), expr
    assert 'up{env="prod",region=~"eu-.*",job=~"up|afterword_x"}' in rule_of("AfterwordSidecarDown", text)["expr"]
    assert promtool("check", "rules", "out.yml").returncode == 0


def test_single_tasks_can_be_left_out(say, capsys):
    """Only of the alert that says so, and only where the series has a task."""
    say("""
        [alerts.AfterwordTaskFailed]
        except = ['shop."odd"', "shop.crawl"]
        [alerts.AfterwordErrorBudgetDrain]
        except = ["shop.crawl"]
    """)
    text = generated()
    assert 'task!="shop.\\"odd\\"",task!="shop.crawl"' in rule_of("AfterwordTaskFailed", text)["expr"]
    drain = rule_of("AfterwordErrorBudgetDrain", text)["expr"]
    assert all("task" in labels for _, labels in selectors(drain))
    assert "shop.crawl" not in rule_of("AfterwordTaskLost", text)["expr"]
    assert promtool("check", "rules", "out.yml").returncode == 0
    assert capsys.readouterr().err == ""  # there are no books that could know better


async def mail() -> None:
    """A task that somebody knows."""


def test_a_task_nobody_knows_is_warned_about(say, monkeypatch, capsys, instrumented, directory):
    """Where there are books. The rules are written all the same: the task may come tomorrow."""
    app = FastAPI()

    @app.get("/")
    async def order(tasks: BackgroundTasks) -> None:
        tasks.add_task(mail)

    asyncio.run(call(instrumented(app)))
    say(f'[alerts.AfterwordTaskFailed]\nexcept = ["{mail.__module__}.mail", "shop.send_emial"]\n')
    monkeypatch.setenv("AFTERWORD_DIR", str(directory))
    assert "shop.send_emial" in generated()
    warning = f"afterword: warning: except names 'shop.send_emial', a task that no ledger in {directory} knows"
    assert capsys.readouterr().err.splitlines() == [warning]


def test_labels_are_on_every_alert(say):
    """For routing to a team."""
    say('[alerts.labels]\nteam = "growth"\n')
    assert {rule["labels"]["team"] for rule in rules(generated())} == {"growth"}


def test_the_objective_moves_both_budget_alerts(say):
    """Of half a percent, 14.4 times is 7.2 percent."""
    say("[alerts]\nobjective = 0.995\n")
    text = generated()
    burn, drain = rule_of("AfterwordErrorBudgetBurn", text), rule_of("AfterwordErrorBudgetDrain", text)
    assert "> 0.072\n" in burn["expr"]
    assert "> 0.015\n" in drain["expr"]
    assert "allows 0.5%" in burn["annotations"]["description"]


def test_the_articles_names_can_be_recorded(say):
    """So that its alert and ours can be compared on the same work."""
    say("[alerts]\ncompatibility = true\n")
    found = {rule["record"]: rule["expr"] for rule in recordings(generated()) if ":" not in rule["record"]}
    assert set(found) == {
        "background_task_started_total", "background_task_succeeded_total", "background_task_failed_total",
        "background_task_duration_seconds_bucket",
    }  # fmt: skip
    assert promtool("check", "rules", "out.yml").returncode == 0


def test_the_articles_alert_can_be_compared_with_ours(say, tmp_path):
    """Three runs are always open and none is old: its gap fires, and none of ours. Its own words, over our books."""
    say("[alerts]\ncompatibility = true\n")
    generated()
    gap = "background_task_started_total - background_task_succeeded_total - background_task_failed_total > 0"
    article = {"groups": [{"name": "article", "rules": [{"alert": "ArticleGap", "expr": gap, "for": "5m"}]}]}
    (tmp_path / "article.yml").write_text(yaml.safe_dump(article), encoding="utf-8")
    series = {
        **UPS,
        of(contract.STARTED): "3+150x100",
        of(contract.FINISHED, {"outcome": words.SUCCEEDED}): "0+150x100",
        of(contract.FINISHED, {"outcome": words.FAILED}): "0x100",
        of(contract.OLDEST_RUNNING): "1+15x100",
        of(contract.DEADLINE): "300x100",
    }
    firing = "count by (alertname) (ALERTS)"
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": "15m", "exp_samples": [{"labels": '{alertname="ArticleGap"}', "value": 1}]},
        ],
    }
    body = {"rule_files": ["out.yml", "article.yml"], "evaluation_interval": "15s", "tests": [test]}
    path = tmp_path / "compare.test.yml"
    path.write_text(yaml.safe_dump(body, width=1000), encoding="utf-8")
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_operators_resource_holds_the_same_groups():
    """``--format prometheusrule``: what differs is what is around them."""
    document = yaml.safe_load(render(form="prometheusrule"))
    assert (document["apiVersion"], document["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert document["spec"] == yaml.safe_load(render())


def test_the_command_line_goes_before_the_file(say):
    """As everywhere."""
    say('[alerts]\njob = "file"\nrunbooks = "https://file.example"\n')
    text = generated("--job", "line")
    assert 'job=~"line"' in text
    assert "https://file.example/AfterwordTaskLost.md" in text


def test_another_file_can_be_named(say, tmp_path, capsys):
    """``--config``; one that is not there is told."""
    say("").rename(tmp_path / "other.toml")
    (tmp_path / "other.toml").write_text("[alerts.AfterwordTaskLost]\nenabled = false\n", encoding="utf-8")
    assert "AfterwordTaskLost" not in generated("--config", "other.toml")
    assert cli.main(["alerts", "--config", "none.toml"]) == 2
    assert capsys.readouterr().err == "afterword: --config none.toml: no such file; allowed: a TOML file\n"


MISTAKES = [
    ("[alerts]\njbo = 'x'", "afterword.toml line 2: jbo is no alert and no setting of alerts; did you mean job?"),
    (
        "\n[alerts.AfterwordTaskLots]",
        "line 2: AfterwordTaskLots is no alert and no setting of alerts; did you mean AfterwordTaskLost?",
    ),
    ("[alerts]\nxx = 1", "line 2: xx is no alert and no setting of alerts; allowed: job, selector,"),
    (
        "[alerts.AfterwordTaskLate]\nenabled = true\nsevrity = 'info'",
        "line 3: sevrity is no setting of AfterwordTaskLate; did you mean severity?",
    ),
    (
        "[alerts.AfterwordTaskLate]\nseverity = 'page'",
        "line 2: AfterwordTaskLate.severity is 'page'; allowed: critical, warning, info",
    ),
    ("[alerts.AfterwordTaskLate]\nfor = 5", "AfterwordTaskLate.for is 5; allowed: a Prometheus duration such as"),
    ("[alerts.AfterwordTaskLate]\nfor = '5 m'", "for is '5 m'; allowed: a Prometheus duration"),
    ("[alerts.AfterwordTaskLate]\nfor = '1s2m'", "for is '1s2m'; allowed: a Prometheus duration"),
    (
        "[alerts.AfterwordTaskLost]\nfor = '15m'",
        "it could never fire, for what it counts is gone after 15m; allowed: less than that",
    ),
    ("[alerts.AfterwordEventLoopBlocked]\nfor = '2m'", "it could never fire, for what it counts is gone after 1m"),
    ("[alerts.AfterwordTaskLost]\nthreshold = -1", "threshold is -1; allowed: a whole number, 0 or more"),
    ("[alerts.AfterwordTaskLost]\nthreshold = 0.5", "threshold is 0.5; allowed: a whole number, 0 or more"),
    ("[alerts.AfterwordTaskSlow]\nthreshold = 'fast'", "threshold is 'fast'; allowed: a number, 1 or more"),
    ("[alerts.AfterwordTaskSlow]\nthreshold = nan", "threshold is nan; allowed: a number, 1 or more"),
    ("[alerts.AfterwordTaskSlow]\nthreshold = true", "threshold is True; allowed: a number"),
    ("[alerts.AfterwordSidecarDown]\nthreshold = 3", "threshold is 3; allowed: nothing, it has no threshold"),
    ("[alerts.AfterwordSidecarDown]\nexcept = ['a']", "except is ['a']; allowed: nothing, it is not about tasks"),
    ("[alerts.AfterwordTaskLate]\nexcept = 'a'", "except is 'a'; allowed: a list of task names"),
    ("[alerts.AfterwordTaskLate]\nenabled = 'no'", "enabled is 'no'; allowed: true or false"),
    (
        "[alerts]\nAfterwordTaskLate = false",
        "line 2: AfterwordTaskLate is False; allowed: a table with enabled, severity",
    ),
    ("[alerts]\nobjective = 0.9", "it could never page, for 14.4 times its error budget is more than everything"),
    ("[alerts]\nobjective = 99", "objective is 99; allowed: a share, more than 0.9306 and less than 1"),
    ("[alerts]\nselector = 'env=prod'", "selector is 'env=prod'; allowed: matchers of PromQL"),
    ("[alerts]\nselector = ''", "selector is ''; allowed: matchers of PromQL"),
    ("[alerts]\nselector = 'env=~\"(\"'", "allowed: matchers of PromQL"),
    ('[alerts]\nselector = \'a="b" c="d"\'', "allowed: matchers of PromQL"),
    ("[alerts]\njob = '(?=a)'", "job is '(?=a)'; allowed: what Prometheus (RE2) can match"),
    ("[alerts]\ngrafana = 'here'", "grafana is 'here'; allowed: an http:// or https:// address"),
    (
        "[alerts.labels]\nseverity = 'x'",
        "line 2: severity cannot be a label of alerts; allowed: names the rules do not set",
    ),
    ("[alerts.labels]\nteam = 3", "labels.team is 3; allowed: a text that is not empty"),
    ("[alerts]\nlabels = 3", "labels is 3; allowed: a table of labels"),
    ("alerts = 3", "alerts in afterword.toml is 3; allowed: a table"),
]


@pytest.mark.parametrize(("text", "sentence"), MISTAKES, ids=range(len(MISTAKES)))
@pytest.mark.parametrize("command", ["alerts", "dashboards"])
def test_a_mistake_is_one_sentence_with_its_line(say, capsys, text, sentence, command):
    """What is wrong, where, and what is allowed; nothing is written."""
    say(text)
    assert sentence in refused(capsys, command)
    assert not Path("out").exists()


def test_an_application_does_not_care(say):
    """It shares the file; what is said of alerts is none of its business."""
    say("[alerts]\nnonsense = 1\n")
    told: list[str] = []
    settings.load({}, told.append)
    assert told == []


def test_lines_are_found_however_the_table_is_written(tmp_path):
    """Dotted keys, inline tables, quoted names; of what is not there, the nearest."""
    path = tmp_path / "x.toml"
    path.write_text('# [alerts]\nalerts.job = "x"\n[alerts."A"]\nfor= "1"\n[other]\nfor = 2\n', encoding="utf-8")
    assert line_of(path, ("alerts", "job")) == 2
    assert line_of(path, ("alerts", "A", "for")) == 4
    assert line_of(path, ("alerts", "A", "threshold")) == 3
    assert line_of(path, ("none",)) is None
    assert line_of(tmp_path / "none.toml", ("alerts",)) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("90s", 90), ("1h30m", 5400), ("1d", 86400), ("250ms", 0.25), ("1w", 604800), ("", None),
     ("5", None), ("1m1m", None), ("1s1h", None), ("-1s", None), ("1.5h", None)],
)  # fmt: skip
def test_durations_are_read_as_prometheus_reads_them(text, seconds):
    """From large units to small ones, each once."""
    assert seconds_of(text) == seconds


def test_matchers_go_where_a_selector_is():
    """Not into strings, functions, labels or recorded names that are left alone."""
    given: dict[str, Any] = {
        "afterword_processes": 'afterword_processes{a="b"}',
        'sum by (job) (up{job=~"up"}) == 0': 'sum by (job) (up{a="b",job=~"up"}) == 0',
        'label_replace(afterword_x_total, "up", "afterword_y", "", "")':
            'label_replace(afterword_x_total{a="b"}, "up", "afterword_y", "", "")',
        "rate(afterword_x_total[5m] offset 1d)": 'rate(afterword_x_total{a="b"}[5m] offset 1d)',
        "job:afterword_x:sum": "job:afterword_x:sum",
    }  # fmt: skip
    for before, after in given.items():
        assert matchers.narrowed(before, lambda name: () if ":" in name else ('a="b"',)) == after
    assert UP == "up"


def test_a_choice_is_a_value():
    """Two configurations of the same words are equal: json in, rules out, no hidden state."""
    table = {"AfterwordTaskLate": {"threshold": 2}}
    assert read(table) == read(json.loads(json.dumps(table)))
    assert read(table).choices["AfterwordTaskLate"] == Choice("warning", 60, 2)
    assert read({}) == Config()
    with pytest.raises(ConfigError, match="AfterwordTaskLate is 3"):
        read({"AfterwordTaskLate": 3})
