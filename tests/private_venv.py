"""A virtual environment for tests of packages that are not our own: made from an index, with afterword as built."""

import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


class NotMadeError(Exception):
    """No index, no such version: the message has the command and what it said."""


class PrivateVenv:
    """One environment in ``folder``. Made with the interpreter that runs this."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"

    def make(self, requirements: Sequence[str], *, as_here: Sequence[str]) -> None:
        """Install ``requirements``, and the packages ``as_here`` in our own versions; kept while they stay the same."""
        wanted = [*(f"{name}=={metadata.version(name)}" for name in as_here), *requirements]
        stamp = self.folder / "requirements"
        content = "\n".join([sys.version, *wanted])
        if stamp.exists() and stamp.read_text(encoding="utf-8") == content:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=False, symlinks=True)
        self.pip("install", *wanted)
        stamp.write_text(content, encoding="utf-8")

    def install_afterword(self, folder: Path) -> None:
        """As a wheel, built in ``folder``, not editable: what runs must not change while it runs."""
        wheels = fresh(folder / "wheel")
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(ROOT), cwd=folder)
        (wheel,) = wheels.glob("*.whl")
        self.pip("install", str(wheel))
        self.pip("install", "--force-reinstall", "--no-deps", str(wheel))

    def pip(self, *arguments: str) -> None:
        """Our own pip, working on this environment, which has none."""
        run(sys.executable, "-m", "pip", "--python", str(self.python), *arguments, "-q", cwd=self.folder)


def run(*command: str, cwd: Path) -> None:
    """A command that has to succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise NotMadeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def fresh(folder: Path) -> Path:
    """An empty folder in that place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
