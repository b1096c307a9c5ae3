"""The two suites: where their tests stand, which of them are near our hooks, what they need to run."""

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: Linters, type checkers and packagers of the project; its tests never import them.
_NOT_FOR_TESTS: Final = re.compile(r"mypy|ruff|ty|twine|types-.*|pytest-(cov|sugar)")


@dataclass(frozen=True)
class Suite:
    """One project's tests, in the version that is installed here."""

    name: str
    #: Of its pyproject.toml: what to install.
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    #: A test file is near our hooks if its path or its text matches.
    path: re.Pattern[str]
    text: re.Pattern[str]

    @property
    def version(self) -> str:
        """The installed one."""
        return metadata.version(self.name)

    def files(self, source: Path, *, everything: bool) -> list[str]:
        """The test files to run, relative to the unpacked source."""
        found = sorted(source.glob("tests/**/test_*.py"))
        if everything:
            return ["tests"]
        return [str(file.relative_to(source)) for file in found if self._is_near(file, source)]

    def _is_near(self, file: Path, source: Path) -> bool:
        return bool(
            self.path.search(file.relative_to(source).as_posix()) or self.text.search(file.read_text(encoding="utf-8"))
        )

    def requirements(self, source: Path) -> list[str]:
        """What its pyproject.toml says that its tests need, without what only its linting needs."""
        project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
        extras = project["project"].get("optional-dependencies", {})
        wanted = [line for extra in self.extras for line in extras[extra]]
        for group in self.groups:
            wanted += _group(project.get("dependency-groups", {}), group)
        needed = (Requirement(line) for line in wanted)
        return sorted(
            str(one) for one in needed
            if canonicalize_name(one.name) != self.name and not _NOT_FOR_TESTS.fullmatch(canonicalize_name(one.name))
        )  # fmt: skip


def _group(groups: dict[str, list[Any]], name: str) -> list[str]:
    lines: list[str] = []
    for entry in groups[name]:
        lines += [entry] if isinstance(entry, str) else _group(groups, entry["include-group"])
    return lines


SUITES: Final = (
    Suite(
        name="starlette",
        extras=("full",),
        groups=("dev",),
        path=re.compile(
            r"test_(background|responses|routing|applications|concurrency|testclient|websockets)|/middleware/"
        ),
        text=re.compile(r"BackgroundTask|lifespan"),
    ),
    Suite(
        name="fastapi",
        extras=("all",),
        groups=("tests",),
        path=re.compile(r"background|telemetry|middleware|lifespan|websockets|events"),
        text=re.compile(r"BackgroundTask|background_tasks|lifespan|on_event|StreamingResponse|WebSocket"),
    ),
)
