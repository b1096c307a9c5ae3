"""Examines one application: its source, and what its import shows."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from afterword.doctor.app import checks, importing
from afterword.doctor.app.application import Application
from afterword.doctor.app.findings import Examination, Finding
from afterword.doctor.app.model import is_ignored
from afterword.doctor.app.project import Project
from afterword.doctor.app.registry import CHECKS, Place
from afterword.doctor.app.target import find

__all__ = ["checks", "examine"]  # importing the checks puts them on the list


def examine(
    target: str,
    *,
    folder: Path,
    usual: Mapping[str, float] | None = None,
    patience: float = importing.PATIENCE,
) -> Examination:
    """Look for mistakes that end work behind the response in silence.

    Args:
        target: ``module:attribute``, as a server is given it. A function without arguments that makes the application
            is called, as with ``uvicorn --factory``, unless it is an application itself.
        folder: The folder the server is started in.
        usual: Seconds that tasks usually take, by name, to be compared with the server's grace.
        patience: Seconds the import may take.

    Raises:
        DoctorError: There is no such application, in one sentence.
    """
    found = find(target, folder)
    folder = folder.resolve()
    imported = importing.look(found, folder, patience)
    project = Project(found)
    project.add(imported.seen.modules)
    app = Application(project, folder, dict(usual or {}), imported.seen)
    return Examination(sorted(_findings(app)), len(project.modules) + len(project.unreadable), imported.problem)


def _findings(app: Application) -> set[Finding]:
    found: dict[tuple[Path, int, int, str], Finding] = {}
    for code, check in CHECKS.items():
        for place in _told(check.look(app), app, code):
            key = place.file, place.line, place.column, code
            found.setdefault(key, Finding(*key, place.problem, place.fix or check.fix))
    return set(found.values())


def _told(places: Iterator[Place], app: Application, code: str) -> Iterator[Place]:
    """Those that no comment in their lines silences."""
    lines = {module.path: module.lines for module in app.project.modules.values()}
    for place in places:
        if place.file not in lines:
            try:
                lines[place.file] = place.file.read_text(encoding="utf-8", errors="replace").splitlines()
            except OSError:
                lines[place.file] = []
        if not any(is_ignored(text, code) for text in lines[place.file][place.line - 1 : place.last]):
            yield place
