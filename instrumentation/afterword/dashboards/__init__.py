"""Grafana dashboards, generated from the metric contract and the numbers of the alerts.

Building them needs the extra ``dashboards``; loading the generated files needs nothing.
"""

import warnings
from pathlib import Path

from afterword.alerts.config import Config
from afterword.alerts.site import Site

__all__ = ["build", "write"]


def build(config: Config | None = None) -> dict[str, str]:
    """Each dashboard as JSON text by file name, with the thresholds that ``config`` gives the alerts.

    Raises ImportError with the line to type when the extra is missing.
    """
    try:
        with warnings.catch_warnings():
            # The SDK announces its next dashboard format on import; the classic one is what we ship.
            warnings.simplefilter("ignore", DeprecationWarning)
            from afterword.dashboards import losses, overview, runtime, task, telemetry, workers
            from afterword.dashboards.layout import to_json
    except ImportError as error:
        if (error.name or "").split(".")[0] != "grafana_foundation_sdk":
            raise
        raise ImportError("Building dashboards needs one more package: pip install 'afterword[dashboards]'") from None
    pages = (overview, task, losses, runtime, workers, telemetry)
    site = Site(config=config or Config())
    return {f"{page.UID}.json": to_json(page.dashboard(site)) for page in pages}


def write(directory: Path, config: Config | None = None) -> list[Path]:
    """Write every dashboard into ``directory``, which is created when missing; returns the files."""
    texts = build(config)
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in texts.items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        files.append(path)
    return files
