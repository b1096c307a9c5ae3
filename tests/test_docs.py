"""Docs that cannot lie: references are generated, links resolve, commands exist."""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from afterword import cli, contract, spans, task, words
from afterword.ledger import layout
from afterword.settings import SETTINGS
from tests.promql_names import RECORDED

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("alerts/**/*.md"), *ROOT.glob("*/README.md")]
)


def generator() -> Any:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["metrics.md", "settings.md"])
def test_reference_pages_are_what_the_code_says(name):
    """./run generate was not forgotten."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generator().PAGES[name]()


def test_the_table_of_the_alerts_is_what_the_rules_say():
    """Every alert of the rules file, with its severity and its times; a page without the markers is refused."""
    page = (ROOT / "alerts" / "README.md").read_text(encoding="utf-8")
    assert page == generator().with_alerts(page)
    rules = (ROOT / "alerts" / "afterword.rules.yml").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\| \[(\w+)\]", page) == re.findall(r'alert: "(\w+)"', rules)
    with pytest.raises(ValueError, match="unpack"):
        generator().with_alerts(page.replace("<!-- /alerts -->", ""))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link is a file or folder of the repository."""
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_metrics_named_in_a_page_exist(page):
    """No page speaks of a metric that is not in the contract."""
    known = {
        name for metric in contract.METRICS for name in (metric.name, metric.sample, metric.created, metric.bucket)
    }
    known |= {f"{metric.name}_{end}" for metric in contract.METRICS for end in ("count", "sum")}
    text = page.read_text(encoding="utf-8")
    known |= {name.split(":")[1] for name in RECORDED}
    named = set(re.findall(r"\bafterword_(?:tasks?|process|sidecar|ledger|internal)\w*[a-z]\b", text))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_and_commands_named_in_a_page_exist(page):
    """No page speaks of a variable or a command that is not there."""
    text = page.read_text(encoding="utf-8")
    variables = {setting.variable for setting in SETTINGS} | {"AFTERWORD_CONFIG", "AFTERWORD_RAISE"}
    assert set(re.findall(r"\bAFTERWORD_[A-Z_]+\b", text)) <= variables
    commands = set(re.findall(r"(?m)^(?:    |\t)(?:\$ )?(?:python -m )?afterword ([a-z]+)", text))
    known = set(re.findall(r"(?m)^    ([a-z]+)", cli.parser().format_help()))
    assert commands <= known


def test_everything_a_task_can_declare_is_documented():
    """The table of docs/settings.md has the keywords of afterword.task, in their order."""
    keywords = [p.name for p in inspect.signature(task).parameters.values() if p.kind is p.KEYWORD_ONLY]
    section = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").partition("## Declaring tasks")[2]
    assert re.findall(r"(?m)^\| `(\w+)` \|", section) == keywords


def test_every_word_of_a_label_is_documented():
    """Who reads a reason in an alert finds it, in the reference and in the runbook of that alert."""
    reference = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for reasons, alert in (
        (words.DROP_REASONS, "AfterwordTaskDropped"),
        (words.LOST_REASONS, "AfterwordTaskLost"),
        (words.CANCEL_REASONS, "AfterwordTaskCancelled"),
    ):
        runbook = (ROOT / "alerts" / "runbooks" / f"{alert}.md").read_text(encoding="utf-8")
        assert [reason for reason in reasons if f"`{reason}`" not in reference or f"`{reason}`" not in runbook] == []


def test_the_format_page_knows_the_format():
    """The drawing's sizes are those of the code, and its tables of sections and of live words are complete."""
    page = (ROOT / "docs" / "ledger-format.md").read_text(encoding="utf-8")
    sections, (_, size) = layout.sections(linked=True)[0], layout.sections()
    assert f"# The ledger: format {layout.FORMAT}\n" in page
    assert f"size with 4,096 slots: {size // 1024} KiB" in page
    assert f"{layout.TASK_STRIDE} B  w0" in page
    drawn = re.findall(r"(?m)^ {10}│ (\d+) ([A-Z]+) +(\d+) x (\d+) B ", page)
    assert [(int(number), getattr(layout, name)) for number, name, *_ in drawn] == [(n, n) for n in sections]
    assert [tuple(map(int, numbers)) for _, _, *numbers in drawn] == [(s.count, s.stride) for s in sections.values()]
    live = [(name[2:].lower(), word - layout.LIVE_WORDS) for name, word in vars(layout).items() if name[:2] == "W_"]
    assert re.findall(r"(?m)^\| (\d+) \| `(\w+)` \|", page) == [(str(number), name) for name, number in live]
    assert len(live) == layout.N_LIVE_WORDS


def test_the_traces_page_knows_every_attribute():
    """Its table is generated, and holds whatever a span can carry."""
    page = (ROOT / "docs" / "traces.md").read_text(encoding="utf-8")
    assert page == generator().with_attributes(page), "run ./run generate"
    for attribute in spans.ATTRIBUTES:
        assert f"| `{attribute.name}` | {attribute.type} |" in page


def test_the_page_of_the_live_page_knows_every_question():
    """Its table is what the API describes itself as."""
    page = (ROOT / "docs" / "page.md").read_text()
    assert page == generator().with_api(page), "run ./run generate"


def test_the_readme_is_short():
    """At most 140 lines: a stranger reads it to the end."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 140


VISIT = """
from fastapi.testclient import TestClient
with TestClient(app) as client:
    assert client.post('/register?address=ada@example.org').json() == {'message': 'Registered'}
"""


def test_the_readmes_code_runs_and_is_counted(directory, books):
    """What a stranger copies works as it stands, declaration included."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    example, declared = blocks
    code = f"{example}\n{declared}\n{VISIT}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AFTERWORD_DIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert books.of("send_welcome_email") == {"scheduled": 1, "started": 1, "succeeded": 1}
