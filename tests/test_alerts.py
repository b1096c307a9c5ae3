"""The generated rules: current, valid for the real promtool, and never reading what the contract does not have."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterword import cli, contract
from afterword.alerts import render
from afterword.alerts.clock import Clock, duration
from afterword.alerts.config import Config, read
from afterword.alerts.emit import emit
from afterword.alerts.rule import Alert
from tests.alert_cases import ALERTS, DIRECTORY, counted, document, of
from tests.alert_claims import EVERY, FILES
from tests.promql_names import known_series, output_labels, selectors, unknown
from tests.promtool import promtool

RULES = Path(__file__).parents[1] / "alerts" / "afterword.rules.yml"
RUNBOOKS = RULES.parent / "runbooks"
HEADINGS = ["Meaning", "Impact", "Is it real?", "Diagnosis", "Mitigation", "Recovery", "Prevention", "Tuning"]


def groups(text: str | None = None) -> list[dict[str, Any]]:
    """The groups of a rules file."""
    found: list[dict[str, Any]] = yaml.safe_load(render() if text is None else text)["groups"]
    return found


def rules(text: str | None = None) -> list[dict[str, Any]]:
    """The alerting rules of a rules file."""
    return [rule for group in groups(text) for rule in group["rules"] if "alert" in rule]


def recordings(text: str | None = None) -> list[dict[str, Any]]:
    """The recording rules of a rules file."""
    return [rule for group in groups(text) for rule in group["rules"] if "record" in rule]


def rule_of(alert: str, text: str | None = None) -> dict[str, Any]:
    """One rule of a rules file."""
    return next(rule for rule in rules(text) if rule["alert"] == alert)


def queries(rule: dict[str, Any]) -> list[str]:
    """The PromQL inside a rule's annotations, with its placeholders filled."""
    found = re.findall(r"query \(printf `([^`]+)`", " ".join(rule["annotations"].values()))
    return [re.sub(r"%\[\d\]q", '"x"', query) for query in found]


def promql_blocks(page: Path) -> list[str]:
    """The PromQL examples of a page."""
    return [block.strip() for block in re.findall(r"```promql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)]


def test_committed_rules_are_the_generated_ones() -> None:
    """The file that users load is what the code says today."""
    assert RULES.read_text(encoding="utf-8") == render()


def test_the_catalogue_is_complete() -> None:
    """Each alert of this release is there once, and nothing else."""
    assert [rule["alert"] for rule in rules()] == list(ALERTS)


def test_promtool_accepts_the_rules() -> None:
    """The real promtool loads the committed file without a lint."""
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS) + len(recordings())} rules found" in done.stdout


@pytest.mark.parametrize("name", FILES)
def test_committed_promtool_tests_are_the_generated_ones(name: str) -> None:
    """What promtool runs names its series by the contract, because it is written by it."""
    assert (DIRECTORY / name).read_text(encoding="utf-8") == document(FILES[name], EVERY.get(name, "15s"))


def test_no_promtool_test_is_an_orphan() -> None:
    """No file lies in the directory that nobody generates."""
    assert {path.name for path in DIRECTORY.iterdir()} == set(FILES)


def just(alert: str, text: str) -> str:
    """A rules file with one of its alerts and what is recorded for it: promtool evaluates every rule at every step."""
    (group,) = (group for group in groups(text) if any(rule.get("alert") == alert for rule in group["rules"]))
    kept = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]
    return json.dumps({"groups": [{**group, "rules": kept}]})


def claimed(name: str, text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the claims of one file; those on one alert against that alert only."""
    alert = name.removesuffix(".test.yml")
    (directory / RULES.name).write_text(just(alert, text) if alert in ALERTS else text, encoding="utf-8")
    (directory / "tests").mkdir()
    return promtool("test", "rules", shutil.copy(DIRECTORY / name, directory / "tests"))


@pytest.mark.parametrize("name", FILES)
def test_promtool_passes_every_claim(name: str, tmp_path: Path) -> None:
    """Silence first, then full labels and texts, evaluated by the real engine."""
    done = claimed(name, RULES.read_text(encoding="utf-8"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_can_fail(tmp_path: Path) -> None:
    """With increase() in place of our form the same claims do not hold."""
    naive = re.sub(r"\((afterword_\S+) and \(time\(\) - [^<]+< 900\)\)", r"increase(\1[15m])", render())
    assert naive != render()
    assert claimed("AfterwordTaskLost.test.yml", naive, tmp_path).returncode == 1


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_firing_and_a_silent_claim(alert: str) -> None:
    """A rule that can never fire, or never be quiet, is caught by its own file."""
    moments = [expect for case in FILES[f"{alert}.test.yml"] for expect in case.expect if expect[1] == alert]
    assert any(firing for _, _, firing in moments)
    assert any(not firing for _, _, firing in moments)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_rules_read_only_the_contract(rule: dict[str, Any]) -> None:
    """Every series and label, in expressions and in annotations, is one that the sidecar exports."""
    assert [unknown(expr) for expr in (rule["expr"], *queries(rule)) if unknown(expr)] == []


def test_an_unknown_name_would_be_noticed() -> None:
    """The check above sees a misspelt metric, label or grouping."""
    assert unknown("afterword_tasks_lots_total") == ["afterword_tasks_lots_total"]
    assert unknown('afterword_processes{task="x"}') == ["afterword_processes{task}"]
    assert unknown("sum by (pid) (afterword_processes)") == ["by (pid)"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_annotations_use_labels_that_survive(rule: dict[str, Any]) -> None:
    """A label in a text is one that the aggregation keeps."""
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert used
    assert used <= output_labels(rule["expr"])


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_only_up_is_bound_to_a_job(rule: dict[str, Any]) -> None:
    """A sidecar scraped under another job name than we guess must not be silent; two jobs stay apart by label."""
    assert all(("job" in labels) == (name == "up") for name, labels in selectors(rule["expr"]))
    assert "job" in output_labels(rule["expr"])


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_is_documented(rule: dict[str, Any]) -> None:
    """Each alert links its own runbook, which has every heading in order."""
    page = RUNBOOKS / f"{rule['alert']}.md"
    assert rule["annotations"]["runbook_url"].endswith(f"/runbooks/{page.name}")
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# {rule['alert']}"
    assert [line[3:] for line in lines if line.startswith("## ")] == HEADINGS


def test_no_runbook_is_an_orphan() -> None:
    """No runbook is left of an alert that is gone."""
    assert {page.stem for page in RUNBOOKS.iterdir()} == set(ALERTS)


@pytest.mark.parametrize(
    "page", [*sorted(RUNBOOKS.glob("*.md")), RULES.parent / "playbook.md"], ids=lambda page: page.stem
)
def test_runbook_queries_work(page: Path) -> None:
    """What a runbook tells you to ask can be asked of this release."""
    blocks = promql_blocks(page)
    assert blocks
    assert [unknown(block) for block in blocks if unknown(block)] == []


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_runbook_queries_answer_after_the_first_event_and_never_with_nan(page: Path) -> None:
    """rate() does not see a series that is born at 1; an idle task would divide by 0 or have no quantile."""
    for block in promql_blocks(page):
        assert not re.search(r"rate\(afterword_\w+_total", block) or "scheduled" in block, block
        assert not re.search(r"/ sum", block), block
        assert "histogram_quantile" not in block or block.endswith(">= 0"), block


@pytest.mark.parametrize("page", sorted(RULES.parent.rglob("*.md")), ids=lambda page: page.stem)
def test_names_in_the_text_are_real(page: Path) -> None:
    """A metric or a page that is mentioned exists."""
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"(?:\w+:)?\bafterword_[a-z_]+(?::\w+)?", text))
    assert names <= set(known_series())
    targets = [target for target in re.findall(r"\]\(([^)]+\.md)\)", text) if not target.startswith("http")]
    assert all((page.parent / target).is_file() for target in targets)


#: What people type during an incident; each can be had on a Debian or in a container of Kubernetes.
COMMANDS = (
    "afterword",
    "amtool",
    "curl",
    "dmesg",
    "journalctl",
    "kill",
    "kubectl",
    "ls",
    "promtool",
    "ps",
    "py-spy",
    "systemctl",
)


def commands(page: Path) -> list[str]:
    """The shell commands of a page: in blocks and within the text."""
    text = page.read_text(encoding="utf-8")
    blocks = [
        line for block in re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    indented = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    return [line for line in (*blocks, *spans, *indented) if " " in line and line.split()[0] in COMMANDS]


@pytest.mark.parametrize("page", sorted(RULES.parent.rglob("*.md")), ids=lambda page: page.stem)
def test_commands_in_the_text_parse(page: Path) -> None:
    """The shell takes them, and ours know their words and options."""
    for command in commands(page):
        done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        program, *words = shlex.split(command.split("#")[0].rstrip("\\ "))
        if program == "afterword" and len(words) > 1:  # else a command is only mentioned
            cli.parser().parse_args(words)


def test_commands_are_found() -> None:
    """The check above has something to check."""
    found = [command for page in RULES.parent.rglob("*.md") for command in commands(page)]
    assert len(found) >= 8
    assert any(command.startswith("afterword") for command in found)


@pytest.mark.parametrize("page", sorted(RULES.parent.rglob("*.md")), ids=lambda page: page.stem)
def test_settings_in_the_text_can_be_set(page: Path) -> None:
    """What a page says to write into afterword.toml is understood, and of a runbook it is about its own alert."""
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        table = tomllib.loads(block)["alerts"]
        read(table)
        if page.parent == RUNBOOKS:
            assert page.stem in table


@pytest.mark.parametrize("alert", ALERTS)
def test_every_runbook_says_how_to_tune_its_alert(alert: str) -> None:
    """In words that can be copied."""
    tuning = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8").partition("## Tuning")[2]
    assert f"[alerts.{alert}]" in tuning


def test_the_playbook_has_every_step() -> None:
    """The article's six, in its order, each with something to ask and somewhere to go."""
    text = (RULES.parent / "playbook.md").read_text(encoding="utf-8")
    steps = re.split(r"^## ", text, flags=re.MULTILINE)
    numbered = [step for step in steps if re.match(r"\d\. ", step)]
    assert [int(step[0]) for step in numbered] == [1, 2, 3, 4, 5, 6]
    assert all("```promql" in step for step in numbered)
    assert [step.split("\n")[0] for step in steps[-2:]] == ["Recovery", "Prevention"]


@pytest.mark.parametrize("scale", [0.5, 1, 7, 30, 1000])
def test_any_time_scale_is_valid(scale: float, tmp_path: Path) -> None:
    """Rules for a rehearsal load as well as the real ones, with groups of a second or more."""
    path = tmp_path / "rules.yml"
    path.write_text(render(time_scale=scale), encoding="utf-8")
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", path)
    assert done.returncode == 0, done.stdout + done.stderr
    intervals = {group["interval"] for group in yaml.safe_load(path.read_text())["groups"]}
    assert intervals == {duration(max(15 / scale, 1)), duration(max(60 / scale, 1))}


def test_the_scale_divides_every_duration() -> None:
    """At 30, fifteen minutes are thirty seconds: in the window, the literal, the hold and the text."""
    text = render(time_scale=30)
    lost, gone = rule_of("AfterwordTaskLost", text), rule_of("AfterwordServiceGone", text)
    route = rule_of("AfterwordRouteStoppedScheduling", text)["expr"]
    assert "[2m] offset 30s" in lost["expr"]
    assert "< 30)" in lost["expr"]
    assert "15m" not in str(lost)
    assert (lost["keep_firing_for"], gone["for"]) == ("30s", "6s")
    assert "in the last 30s" in lost["annotations"]["description"]
    assert all(f"offset {window}" in route for window in ("6s", "1m", "48m"))
    assert not re.search(r"offset (3m|30m|24h)\b", route)


@pytest.mark.parametrize(("scale", "lasted"), [(1, "2m"), (10, "12s"), (30, "10s"), (1000, "10s")])
def test_a_rehearsal_leaves_prometheus_the_time_to_discover_its_targets(scale: float, lasted: str) -> None:
    """Without a floor AfterwordSidecarDown would fire at every start of a fast Prometheus."""
    down = rule_of("AfterwordSidecarDown", render(time_scale=scale))
    assert down["for"] == lasted
    assert f"for {lasted} or longer" in down["annotations"]["description"]


@pytest.mark.parametrize(("scale", "limit"), [(1, "10"), (5, "2"), (30, "1.5"), (1000, "1.5")])
def test_a_rehearsal_does_not_take_a_busy_machine_for_a_blocked_loop(scale: float, limit: str) -> None:
    """A third of a second is no blocked loop, whatever the clock."""
    assert rule_of("AfterwordEventLoopBlocked", render(time_scale=scale))["expr"].endswith(f" > {limit}")


def test_a_route_is_compared_with_its_last_day_only(tmp_path: Path) -> None:
    """What stopped on purpose long ago is the new habit: on a clock where a day has 24 minutes."""
    rules_file = just("AfterwordRouteStoppedScheduling", render(time_scale=60))
    (tmp_path / "fast.rules.yml").write_text(rules_file, encoding="utf-8")
    stopped = {
        of(contract.ROUTE_RESPONSES, scheduled="true"): "9000x1800",
        of(contract.ROUTE_RESPONSES, scheduled="false"): "0+1x1800",
        **counted(contract.ROUTE_SCHEDULED, None, "9000x1800", "-90000x1800"),
    }
    moments = {"1m": True, "10m": True, "28m": False}
    alert = {"alertname": "AfterwordRouteStoppedScheduling", "alertstate": "firing"}
    name = "ALERTS{" + ",".join(f'{label}="{value}"' for label, value in alert.items()) + "}"
    test = {
        "interval": "1s",
        "input_series": [{"series": series, "values": values} for series, values in stopped.items()],
        "promql_expr_test": [
            {
                "expr": f"count({name})",
                "eval_time": moment,
                "exp_samples": [{"labels": "{}", "value": 1}] if firing else [],
            }
            for moment, firing in moments.items()
        ],
    }
    body = {"rule_files": ["fast.rules.yml"], "evaluation_interval": "1s", "tests": [test]}
    path = tmp_path / "day.test.yml"
    path.write_text(yaml.safe_dump(body, width=1000), encoding="utf-8")
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("scale", [0, -1, float("inf"), float("nan")])
def test_a_senseless_scale_is_refused(scale: float) -> None:
    """A mistake is one sentence, not a file that Prometheus refuses later."""
    with pytest.raises(ValueError, match="time scale"):
        render(time_scale=scale)


def test_another_job_reaches_every_rule(tmp_path: Path) -> None:
    """A job with quotes and backslashes is still valid, in expressions and texts."""
    job = r'shop\d+|"bill{{ing}}'
    path = tmp_path / "rules.yml"
    path.write_text(render(config=Config(job=job)), encoding="utf-8")
    assert promtool("check", "rules", path).returncode == 0
    assert "afterword.*" not in path.read_text(encoding="utf-8")


def test_links_can_be_given_a_base() -> None:
    """With base addresses, runbook and dashboard become links that a receiver can follow."""
    text = render(config=Config(runbooks="https://wiki.example/run/", grafana="https://grafana.example/"))
    annotations = rules(text)[0]["annotations"]
    assert annotations["runbook_url"] == "https://wiki.example/run/AfterwordTaskLost.md"
    assert annotations["dashboard_url"].startswith("https://grafana.example/d/afterword-losses?var-job=")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(900, "15m"), (90, "1m30s"), (3600, "1h"), (0.9, "900ms"), (1.5, "1s500ms"), (0, "1ms"), (1e-9, "1ms")],
)
def test_durations_are_written_as_prometheus_reads_them(seconds: float, text: str) -> None:
    """Whole units down to the millisecond, and never nothing."""
    assert duration(seconds) == text


def test_seconds_are_plain_numbers() -> None:
    """A literal in an expression has no exponent and is never 0."""
    assert [Clock(scale).seconds(900) for scale in (1, 30, 1000, 7, 1e9)] == ["900", "30", "0.9", "128.571", "0.001"]


@pytest.mark.parametrize(
    ("part", "value"),
    [("name", "TaskLost"), ("summary", "Lost {{ $value }}."), ("summary", "Lost"), ("description", "Something.")],
)
def test_an_alert_without_a_part_is_refused(part: str, value: str) -> None:
    """The constructor knows what a good alert has."""
    parts: dict[str, Any] = {
        "name": "AfterwordX",
        "expr": "up == 0",
        "for_": "0s",
        "severity": "warning",
        "summary": "Something is wrong.",
        "description": "{{ $value }} things.",
        "runbook": "r",
        "dashboard": "d",
    }
    assert Alert(**parts).fields()["alert"] == "AfterwordX"
    with pytest.raises(ValueError, match=r"Afterword|TaskLost"):
        Alert(**{**parts, part: value})


def test_what_is_emitted_is_read_back() -> None:
    """The small writer and a real YAML reader agree, whatever is in a string."""
    value = {"a": ['b: "c" # \\ {{ x }}', "two\n  lines", {"d": "", "e": "é😀 yes"}], "n": "1", "for": "no"}
    assert yaml.safe_load(emit(value, "a comment")) == value
