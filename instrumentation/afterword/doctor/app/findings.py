"""What an examination says: findings, and the one error it raises."""

from dataclasses import dataclass
from pathlib import Path


class DoctorError(Exception):
    """What was asked for cannot be examined; its text is one sentence that says why, and what is allowed."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake at one place; lines count from 1, columns from 1."""

    file: Path
    line: int
    column: int
    code: str
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings by file and line, the number of files read, and why the application could not be imported."""

    findings: list[Finding]
    files: int
    import_problem: str | None
