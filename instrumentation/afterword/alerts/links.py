"""Where an alert sends its reader: one runbook per alert, and the dashboard of its subject, filtered to what fired."""

from collections.abc import Collection
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


#: The variables of each dashboard that an alert may choose: what it does not filter by is left open.
_CHOSEN: Final = {
    TASK_UID: ("job", "service", "task"),
    LOSSES_UID: ("job", "service", "task"),
    WORKERS_UID: ("job", "service", "task"),
    RUNTIME_UID: ("job", "service"),
    TELEMETRY_UID: ("job",),
}


def dashboard(base: str, uid: str, labels: Collection[str]) -> str:
    """A dashboard with those ``labels`` of an alert chosen that it filters by; ``base`` is Grafana's address."""
    chosen = [label for label in _CHOSEN[uid] if label in labels]
    query = "&".join(f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in chosen)
    return f"{base.rstrip('/')}/d/{uid}" + (f"?{query}" if query else "")
