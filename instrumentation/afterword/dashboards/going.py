"""Links from one dashboard to the next, with what is chosen and the time range."""

from collections.abc import Mapping
from typing import Final

from afterword.alerts import links

NAMES: Final[Mapping[str, str]] = {
    links.OVERVIEW_UID: "Overview",
    links.TASK_UID: "Task",
    links.LOSSES_UID: "Losses",
    links.RUNTIME_UID: "Runtime",
    links.WORKERS_UID: "Workers",
    links.TELEMETRY_UID: "Telemetry",
}
_CHOSEN: Final = ("datasource", "job", "instance", "service", "task")


def to(uid: str, **fields: str) -> str:
    """The address of a dashboard; ``fields`` sets a variable from a column of the clicked row."""
    kept = [f"${{{name}:queryparam}}" for name in _CHOSEN if name not in fields]
    from_row = [f"var-{name}=${{__data.fields.{column}}}" for name, column in fields.items()]
    return f"/d/{uid}?{'&'.join([*kept, *from_row, '${__url_time_range}'])}"


def said(uid: str) -> str:
    """The same in Markdown, under its name."""
    return f"[{NAMES[uid]}]({to(uid)})"
