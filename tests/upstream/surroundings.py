"""What a suite runs in: its source distribution, unpacked, and an environment with what it needs and afterword."""

import sys
import tarfile
from pathlib import Path
from typing import Final

from tests.private_venv import NotMadeError, PrivateVenv, fresh, run
from tests.upstream.suites import Suite

#: In the version that is installed here, so that what is proved is what we develop with.
_AS_HERE: Final = ("starlette", "fastapi", "anyio")


class Surroundings:
    """The folder of one suite. What is there and still fits is used again."""

    def __init__(self, suite: Suite, home: Path, python: Path | None) -> None:
        self.suite = suite
        self.home = home / f"{suite.name}-{suite.version}"
        self.source = self.home / "source"
        self._venv = PrivateVenv(self.home / "venv")
        self.python = self._venv.python if python is None else python.absolute()
        self._given = python is not None

    def make(self) -> None:
        """Everything there, and afterword as the working tree has it now."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.source.exists():
            self._fetch()
        if not self._given:
            self._venv.make(self.suite.requirements(self.source), as_here=_AS_HERE)
            self._venv.install_afterword(self.home)

    def _fetch(self) -> None:
        """The source distribution: it has the tests that a wheel leaves out."""
        name, version = self.suite.name, self.suite.version
        downloads = fresh(self.home / "download")
        wanted = ("--no-deps", "--no-binary", name, "--dest", str(downloads), f"{name}=={version}")
        run(sys.executable, "-m", "pip", "download", *wanted, cwd=self.home)
        unpacked = fresh(self.home / "unpacked")
        (archive,) = downloads.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(unpacked, filter="data")
        (top,) = unpacked.iterdir()
        if not (top / "tests").is_dir():
            raise NotMadeError(f"the source distribution of {name} {version} brings no tests")
        top.rename(self.source)
