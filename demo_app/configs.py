"""What the demo's Prometheus and Alertmanager are told, on a clock that runs faster than a real one."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

#: A real minute is one second here: every deadline, window and ``for`` is divided by this.
TIME_SCALE: Final = 60
SERVICE: Final = "shop"
JOB: Final = "afterword"
#: "... > 0 for more than 5 minutes" (the article, Fix 7), in seconds.
ARTICLE_PATIENCE: Final = 300
#: How often a real Prometheus scrapes, in seconds, and this one.
SCRAPE_EVERY: Final = 15.0
SCRAPE_INTERVAL: Final = f"{SCRAPE_EVERY / TIME_SCALE * 1000:.0f}ms"


#: The alerts on the error budget count over hours: each scenario would be told again through all those behind it.
TEAM: Final = """
[alerts]
AfterwordErrorBudgetBurn = { enabled = false }
AfterwordErrorBudgetDrain = { enabled = false }
"""


def write_rules(directory: Path, env: Mapping[str, str]) -> list[str]:
    """Afterword's rules, as the command line prints them, and the article's two; the paths."""
    ours, articles = directory / "afterword.rules.yml", directory / "article.rules.yml"
    team = directory / "afterword.toml"
    team.write_text(TEAM, encoding="utf-8")
    command = [sys.executable, "-m", "afterword", "alerts", "--config", str(team), "--time-scale", str(TIME_SCALE)]
    subprocess.run([*command, "--job", JOB, "-o", str(ours)], check=True, env=dict(env))
    _write(articles, article_rules())
    return [str(ours), str(articles)]


def article_rules() -> dict[str, Any]:
    """The two alerts the article asks for, word by word."""
    patience = f"{ARTICLE_PATIENCE // TIME_SCALE}s"
    gap = "background_task_started_total - background_task_succeeded_total - background_task_failed_total > 0"
    rules = [
        {"alert": "HandWrittenGap", "expr": gap, "for": patience},
        {"alert": "HandWrittenFailed", "expr": f"increase(background_task_failed_total[{patience}]) > 0"},
    ]
    return {"groups": [{"name": "article", "interval": "1s", "rules": rules}]}


def write_prometheus(directory: Path, targets: Mapping[str, str], rules: list[str], alertmanager: str | None) -> Path:
    """The configuration of Prometheus; ``targets`` are job names with their addresses."""
    # A worker that is busy starting answers late: the article's counters get a second, or its alert would start anew.
    special = {"article": {"metrics_path": "/article-metrics", "scrape_interval": "1s", "scrape_timeout": "1s"}}
    config: dict[str, Any] = {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "scrape_timeout": SCRAPE_INTERVAL, "evaluation_interval": "1s"},
        "rule_files": rules,
        "scrape_configs": [
            {
                "job_name": job,
                "static_configs": [{"targets": [address]}],
                **special.get(job, {}),
            }
            for job, address in targets.items()
        ],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return _write(directory / "prometheus.yml", config)


def write_alertmanager(directory: Path) -> Path:
    """A configuration of Alertmanager that only collects."""
    config = {"route": {"receiver": "nobody", "group_wait": "1s"}, "receivers": [{"name": "nobody"}]}
    return _write(directory / "alertmanager.yml", config)


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(content, indent=2))  # JSON is YAML, too
    return path
