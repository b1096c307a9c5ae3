"""Puts the ready-made dashboards, rules and runbooks into the wheel, for people who never call the generators."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHARED = {"dashboards": "*.json", "alerts": "*.*", "alerts/runbooks": "*.md"}


class SharedData(BuildHookInterface[Any]):
    """Adds what is there: a folder without generated files builds too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 hatchling's signature
        """Map each generated file to <prefix>/share/afterword/<folder>/."""
        for folder, pattern in SHARED.items():
            for file in sorted(Path(self.root, folder).glob(pattern)):
                build_data["shared_data"][str(file)] = f"share/afterword/{folder}/{file.name}"
