"""One alert or one recording, and the constructors that let nobody forget a part of them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Severity = Literal["critical", "warning", "info"]
_RECORDED = re.compile(r"[a-z_]+:[a-z_]+:[a-z0-9_]+")
_QUERY = re.compile(r"`([^`]+)`")


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
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.startswith("Afterword"):
            raise ValueError(f"{self.name}: alerts of afterword start with Afterword")
        if "{{" in self.summary or not self.summary.endswith("."):
            raise ValueError(f"{self.name}: a summary is one static sentence with a full stop")
        if "{{" not in self.description:
            raise ValueError(f"{self.name}: a description says the number, so it has a template")

    def with_expressions(self, change: Callable[[str], str]) -> "Alert":
        """The same alert with every PromQL in it changed, what its description asks included."""
        asked = _QUERY.sub(lambda query: f"`{change(query[1])}`", self.description)
        return replace(self, expr=change(self.expr), description=asked)

    def fields(self) -> dict[str, Any]:
        """The rule as the rules file has it."""
        rule: dict[str, object] = {"alert": self.name, "expr": self.expr, "for": self.for_}
        if self.keep_firing_for is not None:
            rule["keep_firing_for"] = self.keep_firing_for
        rule["labels"] = {"severity": self.severity, **self.labels}
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": self.runbook,
            "dashboard_url": self.dashboard,
        }
        return rule


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule, named ``level:metric:operations``; a compatible one has the name that others gave it."""

    name: str
    expr: str
    compatible: bool = False

    def __post_init__(self) -> None:
        if not self.compatible and not _RECORDED.fullmatch(self.name):
            raise ValueError(f"{self.name}: recordings are named level:metric:operations")

    def with_expressions(self, change: Callable[[str], str]) -> "Recording":
        """The same recording with its PromQL changed."""
        return replace(self, expr=change(self.expr))

    def fields(self) -> dict[str, Any]:
        """The rule as the rules file has it."""
        return {"record": self.name, "expr": self.expr}


Rule = Alert | Recording
