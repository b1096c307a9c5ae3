"""The demo is a test of its own: it fails by itself when a scenario is not detected or a number is not exact."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from demo_app import __main__ as demo
from demo_app import report
from demo_app.collector import Received
from demo_app.readings import Fired, Page
from demo_app.runner import Total, Verdict
from demo_app.scenarios import SCENARIOS
from demo_app.trace_text import busiest, draw
from tests.helpers.real import binary

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenarios", ["refused,killed", pytest.param(None, marks=pytest.mark.long)])
def test_the_demo_detects_what_it_breaks(scenarios, tmp_path):
    """Real mail server, two workers, SIGKILL, Prometheus: every alert fires and every number is exact."""
    binary("prometheus")
    report = tmp_path / "report.json"
    chosen = ["--only", scenarios] if scenarios else []
    command = [sys.executable, "-m", "demo_app", "--json", str(report), *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(report.read_text())
    assert "balanced" in done.stdout


def printed(width: int, verdict: Verdict | None = None, ends: tuple[Total, ...] = ()) -> str:
    """What the report says on a terminal of this width."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    if verdict is not None:
        report.show(console, verdict)
    report.close(console, ends)
    return out.getvalue()


def verdict_of(**parts: object) -> Verdict:
    """A verdict about one task with a long name."""
    page = Page({"scheduled": 123456, "started": 123456, "succeeded": 123455, "failed": 1})
    given = {"booked": {"send_confirmation_email": page}, "article": {"send_confirmation_email": page}, **parts}
    return Verdict("name", "Title", "a story", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_report_cuts_no_name_and_leaves_no_blank_behind_a_line(width):
    """Names stay whole on a narrow terminal, and the text can be pasted."""
    alerts = [Fired("AfterwordServiceGone", "", "", 1.0), Fired("AfterwordTaskLost", "send_email", "killed", 1.0)]
    verdict = verdict_of(alerts=alerts, alerted_after={"AfterwordServiceGone": 3.2, "AfterwordTaskLost send_email": 1})
    total = Total(
        "send_confirmation_email", Page({"scheduled": 123456, "started": 123456, "succeeded": 123456}), 123456
    )
    text = printed(width, verdict, (total,))
    assert [line for line in text.splitlines() if line != line.rstrip()] == []
    assert "AfterwordServiceGone after 3.2 s" in text
    assert "…" not in text
    assert text.count("  send_confirmation_email  123456 = ") == 3


def test_a_false_alarm_of_the_counters_is_not_taken_for_afterwords():
    """Who was silent and who was not is said in the title."""
    gap = Fired("HandWrittenGap", "send_confirmation_email", "", 1.0)
    title, *rest = printed(200, verdict_of(expects_silence=True, article_alerts=[gap], seconds=14.2)).splitlines()
    assert title == (
        "Title: afterword silent, as it should be; the four counters raised a false alarm (scenario took 14 s)"
    )
    assert any(line.endswith("its alerts: FALSE ALARM: HandWrittenGap send_confirmation_email") for line in rest)


def test_a_killed_workers_trace_is_drawn():
    """What hangs below what, one line each, and how it ended; the trace with most to tell."""
    a = span_of("POST /order", "1", "", 0, 3)
    lines = draw(
        busiest([a, span_of("shop.mail", "2", "1", 2, 10, "lost"), span_of("x", "9", "", 0, 1, "lost", "t2")], "lost")
    )
    assert lines == [
        "POST /order  #########.....................  3.00 s",
        "  mail       ......########################  8.00 s  lost: killed",
    ]
    assert "one trace of it" in printed(100, verdict_of(trace=lines))
    assert draw(busiest([a], "lost")) == []


def span_of(name, span, parent, start, end, outcome="", trace="t1"):
    """A span as the collector has it; times in seconds."""
    return Received(
        name, trace, span, parent, int(start * 1e9), int(end * 1e9), f"{outcome}: killed" if outcome else "",
        bool(outcome), (), {"afterword.outcome": outcome} if outcome else {}, {},
    )  # fmt: skip


@pytest.mark.timeout(120)
def test_an_order_that_was_cut_short_is_one_trace(collector):
    """Three tasks behind one request, two done and one killed: what docs/trace.png shows, for whoever has a viewer."""
    binary("prometheus")
    command = [sys.executable, "-m", "demo_app.pictures", "--only", "trace", "--traces", collector.endpoint]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    spans = busiest(collector.spans, "lost")
    ended = {span.name.rpartition(".")[2]: span.attributes.get("afterword.outcome") for span in spans}
    assert ended.items() >= {
        "send_confirmation_email": "succeeded", "update_inventory": "succeeded", "notify_warehouse": "lost",
    }.items()  # fmt: skip
    (request,) = [span for span in spans if span.name == "POST /order"]
    assert {span.parent for span in spans if span.name.startswith("demo_app.shop.")} == {request.span}


def test_books_without_a_page_are_no_empty_tables():
    """`--only gone` hands nothing over."""
    assert printed(80) == "The books are empty: nothing was handed over.\n"


def test_help_has_a_line_for_every_scenario(capsys):
    """Whoever chooses with --only knows what they choose."""
    with pytest.raises(SystemExit) as ended:
        demo.main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0
    for scenario in SCENARIOS:
        assert f"  {scenario.name:<9}{scenario.title}: {scenario.story}" in lines


def test_a_report_that_cannot_be_written_is_told_before_anything_is_started(tmp_path, capsys):
    """Not after two minutes; and what can be written is not left behind empty."""
    with pytest.raises(SystemExit) as ended:
        demo.main(["--json", str(tmp_path / "none" / "report.json")])
    assert ended.value.code == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert demo._writable(str(tmp_path / "report.json")) == tmp_path / "report.json"
    assert not (tmp_path / "report.json").exists()
