"""One alert, and the constructor that lets nobody forget a part of it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alerting rule. Critical pages, warning opens a ticket, info is never routed alone."""

    name: str
    expr: str
    for_: str
    severity: Severity
    #: The same for every alert of this name, so that grouped alerts share one headline.
    summary: str
    #: With the number in it; templated per alert.
    description: str
    runbook: str
    dashboard: str
    keep_firing_for: str | None = None

    def __post_init__(self) -> None:
        if not self.name.startswith("Afterword"):
            raise ValueError(f"{self.name}: alerts of afterword start with Afterword")
        if "{{" in self.summary or not self.summary.endswith("."):
            raise ValueError(f"{self.name}: a summary is one static sentence with a full stop")
        if "{{" not in self.description:
            raise ValueError(f"{self.name}: a description says the number, so it has a template")

    def fields(self) -> dict[str, object]:
        """The rule as the rules file has it."""
        rule: dict[str, object] = {"alert": self.name, "expr": self.expr, "for": self.for_}
        if self.keep_firing_for is not None:
            rule["keep_firing_for"] = self.keep_firing_for
        rule["labels"] = {"severity": self.severity}
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": self.runbook,
            "dashboard_url": self.dashboard,
        }
        return rule
