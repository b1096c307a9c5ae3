"""AW100: a file of the application that is no Python."""

from collections.abc import Iterator

from afterword.doctor.app.application import Application
from afterword.doctor.app.registry import Place, check


@check(
    "AW100",
    finds="a file that the application imports and that cannot be read",
    why="Nothing in it was looked at, and whatever imports it fails.",
    fix="Correct it, and run the doctor again.",
)
def cannot_be_read(app: Application) -> Iterator[Place]:
    """Tell what was left out."""
    for file, problem in app.project.unreadable.items():
        yield Place(file, 1, 1, 1, f"this file was not looked at: {problem}")
