"""For the tests: play the program in a process of its own, and say where two plays differ."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


class Theatre:
    """Plays with one interpreter, several at a time; what was played before is not played again."""

    def __init__(self, python: str | Path, folder: Path) -> None:
        self._python, self._folder = str(python), folder
        self._running: dict[tuple[str, ...], tuple[subprocess.Popen[bytes], Path]] = {}

    def start(self, *options: str, directory: Path | None = None, **env: str) -> tuple[str, ...]:
        """Begin a play; without a ``directory`` for its ledgers afterword is absent."""
        key = (*options, *sorted(env.values()), str(directory or ""))
        if key not in self._running:
            out = self._folder / f"play-{len(self._running)}.json"
            surroundings = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "DD_", "SENTRY_"))} | env
            # Spans are enriched by default: what must not change is everything else.
            surroundings |= {"AFTERWORD_DIR": str(directory), "AFTERWORD_TRACE": "off"} if directory is not None else {}
            command = [self._python, "-m", "tests.neighbours", "--out", str(out), *options]
            with out.with_suffix(".log").open("wb") as log:
                process = subprocess.Popen(
                    command, cwd=_ROOT, env=surroundings, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
            self._running[key] = process, out
        return key

    def seen(self, key: tuple[str, ...]) -> dict[str, Any]:
        """What a play saw, once it has ended."""
        process, out = self._running[key]
        code = process.wait(100)
        assert code == 0, f"{key} ended with {code}\n{out.with_suffix('.log').read_text(errors='replace')[-4000:]}"
        told: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return told

    def end(self) -> None:
        """No process may be left."""
        for process, _ in self._running.values():
            process.kill()
            process.wait(15)


def differences(bare: dict[str, Any], watched: dict[str, Any]) -> list[str]:
    """The first difference of each scene and thread, then what was exported more or less."""
    found = []
    for name in bare["scenes"].keys() | watched["scenes"].keys():
        one, other = bare["scenes"].get(name, {}), watched["scenes"].get(name, {})
        found += [
            f"{name}, {lane}: {_first(one.get(lane, []), other.get(lane, []))}"
            for lane in one.keys() | other.keys()
            if one.get(lane) != other.get(lane)
        ]
    less, more = (Counter(json.dumps(entry) for entry in told["exported"]) for told in (bare, watched))
    found += [f"exported {n} less: {entry}" for entry, n in (less - more).items()]
    found += [f"exported {n} more: {entry}" for entry, n in (more - less).items()]
    return sorted(found)


def _first(one: list[Any], other: list[Any]) -> str:
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return f"event {number} was {left} and became {right}"
    return f"{len(one)} events became {len(other)}: {one[len(other) :] or other[len(one) :]}"
