"""``python -m tests.upstream``: run the suites bare and under afterword, and print what differs."""

import argparse
import platform
import sys
import tempfile
from pathlib import Path

from tests.private_venv import NotMadeError
from tests.upstream import passes, report
from tests.upstream.outcomes import Comparison
from tests.upstream.suites import SUITES, Suite
from tests.upstream.surroundings import Surroundings


def main() -> int:
    """The exit status: 0 nothing differs, 1 something does, 2 nothing could be compared."""
    options = _options()
    if options.home is not None:
        return _all(options, options.home.resolve())
    with tempfile.TemporaryDirectory(prefix="afterword-upstream-") as folder:
        return _all(options, Path(folder))


def _all(options: argparse.Namespace, home: Path) -> int:
    try:
        made = [_one(suite, home, options) for suite in SUITES if suite.name in options.only]
    except NotMadeError as error:
        report.say(f"the upstream suites could not be run: {error}")
        return 2
    return 0 if all(made) else 1


def _one(suite: Suite, home: Path, options: argparse.Namespace) -> bool:
    """Make what the suite needs, run it three times, tell; True when nothing differs and something was booked."""
    report.say(f"== {suite.name} {suite.version}, Python {platform.python_version()}")
    surroundings = Surroundings(suite, home, options.python)
    surroundings.make()
    files = suite.files(surroundings.source, everything=options.all)
    bare = passes.run(surroundings, passes.BARE, files)
    fine = True
    for kind in passes.WATCHED:
        watched = passes.run(surroundings, kind, files)
        comparison = Comparison(bare, watched)
        again = (
            passes.run(surroundings, passes.BARE_AGAIN, sorted(comparison.different)) if comparison.different else None
        )
        comparison.look_again(again)
        report.tell(kind, comparison)
        fine &= comparison.fine
    return fine


def _options() -> argparse.Namespace:
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every test of the suites, not only those near our hooks")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these suites")
    parser.add_argument("--home", type=Path, help="keep sources and environments here, and use what is there")
    parser.add_argument("--python", type=Path, help="an interpreter that has all they need, and afterword")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
