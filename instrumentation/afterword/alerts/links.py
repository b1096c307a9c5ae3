"""Where an alert sends its reader: one runbook per alert, and the dashboard filtered to what fired."""

from collections.abc import Sequence
from typing import Final

#: Runbooks are files beside the rules. A base address can be given to ``render`` to make them links.
RUNBOOKS: Final = "alerts/runbooks"
#: Stable for ever: alerts, bookmarks and other dashboards point at it.
OVERVIEW_UID: Final = "afterword-overview"
TASK_UID: Final = "afterword-task"
LOSSES_UID: Final = "afterword-losses"
RUNTIME_UID: Final = "afterword-runtime"
WORKERS_UID: Final = "afterword-workers"
TELEMETRY_UID: Final = "afterword-telemetry"


def runbook(base: str, alert: str) -> str:
    """The runbook of ``alert``: named like it."""
    return f"{base.rstrip('/')}/{alert}.md"


def overview(base: str, labels: Sequence[str]) -> str:
    """The overview with one variable per label of the alert; ``base`` is Grafana's address or empty."""
    chosen = "&".join(f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in labels)
    return f"{base.rstrip('/')}/d/{OVERVIEW_UID}" + (f"?{chosen}" if chosen else "")
