"""``afterword doctor``: what is wrong with this machine's installation, or with an application's code."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from afterword import settings as settings_
from afterword.cli.command import UsageError, command, write
from afterword.settings import values

#: What looks at a machine, and not at code.
_OF_A_MACHINE = ("sidecar", "prometheus", "python")
_NOT_IMPORTED = ", but the application was not imported: what only exists then was not looked at"


def add(commands: Any) -> None:
    """Add the command."""
    doctor = command(commands, "doctor", "find out what is wrong: with this machine, or with an application's code")
    doctor.add_argument("--dir", help="the ledger directory (AFTERWORD_DIR; default: as the application's)")
    doctor.add_argument("--sidecar", metavar="URL", help="where the sidecar answers (default: AFTERWORD_LISTEN)")
    doctor.add_argument("--prometheus", metavar="URL",
                        help="where Prometheus answers (default: http://127.0.0.1:9090 if something does)")  # fmt: skip
    doctor.add_argument("--python", metavar="PATH", help="the application's interpreter (default: this one)")
    doctor.add_argument("--app", metavar="MODULE:ATTRIBUTE",
                        help="look at this application's code instead, for mistakes with background work")  # fmt: skip
    doctor.add_argument("--strict", action="store_true", help="exit with 1 for a warning as well")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    if options.dir is not None:
        _checked("--dir", options.dir, values.path, "an absolute path")
    return _examine_machine(options) if options.app is None else _examine_app(options)


def _examine_machine(options: argparse.Namespace) -> int:
    for name in ("sidecar", "prometheus"):
        if getattr(options, name) is not None:
            _checked(f"--{name}", getattr(options, name), values.url, values.A_URL)
    if options.python is not None and shutil.which(options.python) is None:
        raise UsageError(f"--python is {options.python!r}; allowed: the path of a Python interpreter")
    from afterword.doctor import registry, report, scene

    keywords = {} if options.dir is None else {"dir": options.dir}
    looked_at = scene.gather(keywords, sidecar=options.sidecar, prometheus=options.prometheus, python=options.python)
    tally = report.Tally()
    findings = registry.examine(looked_at)
    if options.json:
        write(report.as_json(findings, tally), None)
    else:
        for line in report.lines(findings, tally, colour=report.wants_colour(sys.stdout)):
            write(f"{line}\n", None)
    return tally.status(strict=options.strict)


def _examine_app(options: argparse.Namespace) -> int:
    for name in _OF_A_MACHINE:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} looks at a machine, --app at code: one at a time")
    from afterword.doctor.app import examine
    from afterword.doctor.app.findings import DoctorError
    from afterword.doctor.finding import tamed
    from afterword.doctor.habits import usual_run_times

    directory = settings_.load({"dir": options.dir}, lambda _: None).directory
    try:
        found = examine(options.app, folder=Path.cwd(), usual=usual_run_times(directory))
    except DoctorError as error:
        raise UsageError(str(error)) from error
    if options.json:
        told = [{"file": _shown(one.file), "line": one.line, "column": one.column, "code": one.code,
                 "problem": one.problem, "fix": one.fix} for one in found.findings]  # fmt: skip
        problems = len(told) + bool(found.import_problem)
        whole = {"problems": problems, "files": found.files, "import_problem": found.import_problem, "findings": told}
        write(json.dumps(whole, indent=2) + "\n", None)
        return int(bool(problems))
    for one in found.findings:
        write(f"{tamed(_shown(one.file))}:{one.line}:{one.column}: {one.code} {tamed(one.problem)}\n", None)
        if one.fix:
            write(f"    {tamed(one.fix)}\n", None)
    if found.import_problem:
        print(f"afterword: {tamed(found.import_problem)}", file=sys.stderr)
    n = len(found.findings)
    counted = f"{n or 'no'} finding{'' if n == 1 else 's'} in {found.files} file{'' if found.files == 1 else 's'}"
    write(f"{counted}{_NOT_IMPORTED if found.import_problem else ''}\n", None)
    return int(bool(n or found.import_problem))


def _shown(file: Path) -> str:
    """Relative to the folder where the command runs, if it is below it."""
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)


def _checked(option: str, value: str, read: Any, allowed: str) -> None:
    try:
        read(value)
    except ValueError:
        raise UsageError(f"{option} is {value!r}; allowed: {allowed}") from None
