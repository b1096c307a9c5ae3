"""What a person at a terminal sees of a ledger directory: `afterword top`, `afterword lost`, `afterword completion`."""

import contextlib
import dataclasses
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword import cli, settings
from afterword.ledger.owner import Owner
from afterword.terminal import blocks, cells, endings, figures, keys, moments, rates, screen, table
from afterword.terminal.reading import Reader
from afterword.view import model
from tests import ledgers
from tests.helpers import until
from tests.sidecars import NOBODY, Writer

ROOT = Path(__file__).parents[1]
ESCAPE = "\x1b"
SCREEN_ON, SCREEN_OFF, CURSOR_ON = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
#: A name that would colour, turn around what follows, be markup, and take two columns a character.
HOSTILE = "evil\x1b[31m\u202e[bold red]\u4f60\u597d[/]"


def afterword(*arguments: str, python: tuple[str, ...] = ("-m", "afterword"), **env: str) -> Any:
    """One command as a script runs it, to its end."""
    command = [sys.executable, *python, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**_environment(), **env}
    )


def _environment() -> dict[str, str]:
    """Without what would change colours and sizes."""
    unwanted = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


@pytest.fixture
def writer(directory):
    """Starts processes that keep a ledger of task `mail` of service `shop`."""
    started: list[Writer] = []

    def start(**options: Any) -> Writer:
        started.append(Writer(directory, **options))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def lost(directory, writer):
    """A directory with one run that ended, one that was lost while it ran and one that was lost while it waited."""
    one = writer()
    for word in ("end", "run", "wait"):
        one.do(word)
    one.kill()
    return directory


@pytest.fixture
def told(capsys):
    """``told(*arguments)``: the one sentence of a command that refused, run in this process."""

    def run(*arguments: str) -> str:
        assert cli.main(arguments) == 2
        output = capsys.readouterr()
        (line,) = output.err.splitlines()
        assert output.out == ""
        return str(line.removeprefix("afterword: "))

    return run


class Screen:
    """A command on a terminal of its own, as a person has it: what it draws is read, keys are typed."""

    def __init__(self, *command: str, rows: int = 30, columns: int = 110, **env: str) -> None:
        self._master, self.terminal = pty.openpty()
        self.resize(rows, columns, tell=False)
        self.before = termios.tcgetattr(self.terminal)
        take = (
            "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", take, *command], stdin=self.terminal, stdout=self.terminal, stderr=self.terminal,
            start_new_session=True, env={**_environment(), "TERM": "xterm-256color", **env},
        )  # fmt: skip
        self.raw = b""

    def read(self) -> bytes:
        """Everything it has written so far."""
        while select.select([self._master], [], [], 0)[0]:
            try:
                self.raw += os.read(self._master, 65536)
            except OSError:
                break
        return self.raw

    def lines(self) -> list[str]:
        """The last frame, without colours."""
        frame = self.read().split(b"\x1b[H")[-1].split(SCREEN_OFF)[0]
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frame.decode("utf-8", "replace"))
        return text.replace("\r", "").split("\n")

    def shows(self, text: str) -> None:
        """Wait until the last frame has ``text`` in it."""
        until(lambda: self._alive() and text in "\n".join(self.lines()))

    def _alive(self) -> bool:
        assert self.process.poll() is None, self.read()
        return True

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def resize(self, rows: int, columns: int, *, tell: bool = True) -> None:
        """A window of another size; the kernel tells the process."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def ended(self) -> int:
        """Its exit status, once everything is read."""
        until(lambda: self.read() is None or self.process.poll() is not None)
        self.read()
        return self.process.wait(15)

    def is_as_before(self) -> bool:
        """Whether keys, cursor and screen are as they were found."""
        kept = termios.tcgetattr(self.terminal) == self.before
        return kept and self.raw.rfind(SCREEN_OFF) > self.raw.rfind(SCREEN_ON) and self.raw.rfind(CURSOR_ON) >= 0

    def close(self) -> None:
        """Make sure that it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(15)
        os.close(self._master)
        os.close(self.terminal)


@pytest.fixture
def screens():
    """``screens(*command)``: starts commands on terminals of their own."""
    opened: list[Screen] = []

    def start(*command: str, **options: Any) -> Screen:
        opened.append(Screen(*command, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def top(screens, directory):
    """``top(*options)``: `afterword top` on a terminal."""

    def start(*options: str, **more: Any) -> Screen:
        interval = () if "--interval" in options else ("--interval", "0.5")
        command = (sys.executable, "-m", "afterword", "top", "--dir", str(directory), *interval, *options)
        return screens(*command, **more)

    return start


def test_top_prints_the_books_without_control_sequences_where_nobody_looks(directory, writer):
    """One screen of plain text: every number of the books, the open runs and no colours; exit status 0: all is well."""
    one = writer()
    one.do("end", 3)
    one.do("run")
    done = afterword("top", "--dir", str(directory))
    assert (done.returncode, done.stderr) == (0, "")
    assert ESCAPE not in done.stdout
    title, row = (
        re.split(r" {2,}", line.strip()) for line in done.stdout.splitlines() if re.match("TASK|mail +background", line)
    )
    books = dict(zip(title, row, strict=True))
    assert books == {
        "TASK": "mail", "KIND": "background", "SCHEDULED": "4", "WAITING": "0", "RUNNING": "1", "SUCCEEDED": "3",
        "FAILED": "0", "CANCELLED": "0", "DROPPED": "0", "LOST": "0", "IN/S": "-", "DONE/S": "-", "BAD/S": "-",
    }  # fmt: skip
    assert re.search(rf"(?m)^mail +running +\S+ +\S+ +[█░]+ +{one.process.pid} ", done.stdout)


def test_top_says_by_its_exit_status_that_work_is_lost(lost):
    """For scripts: 1 when the verdict is bad, on the page and in JSON alike."""
    done = afterword("top", "--dir", str(lost), "--once")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("BAD  ")
    assert len(re.findall(r"(?m)^mail +lost +killed \((?:running|waiting)\)", done.stdout)) == 2
    assert afterword("top", "--dir", str(lost), "--json").returncode == 1


def test_the_exit_status_is_that_of_the_service_that_was_asked_for(lost):
    """Another service of the same directory that is well is well."""
    other = Owner(settings.load({"dir": str(lost)}, print, environment={}), "test", "billing")
    other.open()
    ledgers.account(other, "invoice")
    statuses = [
        afterword("top", "--dir", str(lost), "--once", "--service", name).returncode for name in ("shop", "billing")
    ]
    statuses += [
        afterword("top", "--dir", str(lost), "--once", "--task", name).returncode for name in ("mail", "invoice")
    ]
    assert statuses == [1, 0, 1, 0]


def test_the_rates_are_those_between_two_looks(directory, writer):
    """`--once --interval` looks twice: what was booked in between, by the second."""
    one = writer()
    one.do("end")
    watching = subprocess.Popen(
        [sys.executable, "-m", "afterword", "top", "--dir", str(directory), "--interval", "1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while watching.poll() is None:
        one.do("end", 10)
    output = watching.communicate(timeout=15)[0]
    (row,) = re.findall(r"(?m)^mail +background .*", output)
    into, done, bad = row.split()[-3:]
    assert into not in ("-", "0")
    assert done not in ("-", "0")
    assert bad == "0"


def _keys(shape: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(shape)}


#: What scripts rely on: a key that goes away breaks them.
SCREEN_KEYS = ["status", "tasks", "runs", "workers", "processes"]
STATUS_KEYS = {"at", "verdict", "sentence", "reasons", "services", "sidecar"}
TASK_KEYS = {
    "service", "task", "kind", "importance", "owner", "health", "books", "deadline", "start_deadline", "every", "usual",
    "mean_run", "mean_wait", "oldest_waiting", "oldest_running", "last_success", "last_bad", "recent",
}  # fmt: skip
RUN_KEYS = {
    "id", "service", "task", "kind", "state", "route", "pid", "process", "scheduled", "started", "age", "limit",
    "trace_id", "span_id", "stack",
}  # fmt: skip
PROCESS_KEYS = {
    "process", "service", "pid", "started", "state", "waiting", "running", "loop_lag", "loop_blocked", "on_loop",
    "pool_limit", "pool_busy", "pool_waiting", "ledger_bytes", "version",
}  # fmt: skip
ENDING_KEYS = {
    "number", "id", "service", "task", "kind", "ending", "reason", "phase", "route", "pid", "process", "scheduled",
    "started", "ended", "trace_id", "span_id",
}  # fmt: skip


def test_the_keys_of_the_json_stay(directory, writer):
    """One document with everything that is on the screen; its keys are the fields of the shapes."""
    one = writer()
    one.do("end")
    one.do("run")
    found = json.loads(afterword("top", "--dir", str(directory), "--json").stdout)
    assert list(found) == SCREEN_KEYS
    assert found["status"].keys() >= STATUS_KEYS
    (task,), (run,), (process,) = found["tasks"], found["runs"], found["processes"]
    assert task.keys() >= TASK_KEYS
    assert run.keys() >= RUN_KEYS
    assert process.keys() >= PROCESS_KEYS
    assert (task["books"]["scheduled"], run["state"], process["pid"]) == (2, "running", one.process.pid)
    assert found["workers"] == []


def test_json_at_every_look_ends_with_its_reader(directory, writer):
    """`afterword top --json --interval 0.5 | head -2`: a document a line, and no noise when nobody reads on."""
    writer().do("end")
    command = [sys.executable, "-m", "afterword", "top", "--dir", str(directory), "--json", "--interval", "0.5"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    looks = [json.loads(watching.stdout.readline())["status"]["at"] for _ in range(2)]
    watching.stdout.close()
    assert watching.wait(15) == 0
    assert watching.stderr is not None
    with watching.stderr as stderr:
        assert stderr.read() == ""
    assert looks[1] - looks[0] > 0.25


@pytest.mark.parametrize("arguments", [("top", "--once"), ("top", "--json"), ("lost",), ("lost", "--json")])
def test_looking_changes_nothing(lost, arguments):
    """No file is made, folded, touched or removed: a reader can be anybody, at any time."""
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in lost.iterdir()}
    afterword(*arguments, "--dir", str(lost))
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in lost.iterdir()} == before


@pytest.mark.parametrize("arguments", [("top", "--once"), ("top", "--json"), ("lost",), ("lost", "--json")])
def test_a_reader_that_has_enough_is_no_error(lost, arguments):
    """`afterword lost | head -1`: the status is still the answer, and stderr stays empty."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "afterword", *arguments, "--dir", str(lost)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_lost_lists_what_vanished_as_a_log_reads(lost):
    """When, how, why, what: a line each, the newest last, and below them what the list cannot hold; exit status 1."""
    done = afterword("lost", "--dir", str(lost))
    assert (done.returncode, done.stderr) == (1, "")
    assert ESCAPE not in done.stdout
    title, *rows, empty, note = done.stdout.splitlines()
    assert title.split() == ["WHEN", "ENDING", "REASON", "TASK", "RUN", "ROUTE", "WAITED", "RAN", "TRACE"]
    assert len(rows) == 2
    for row in rows:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  lost +killed \((running|waiting)\) +mail +\S+ ", row)
    assert empty == ""
    assert re.fullmatch(r".*; bad endings that were never kept one by one, only counted: \d+", note)


def test_lost_is_quiet_about_what_is_well(directory, writer):
    """Exit status 0: nothing was lost, so `afterword lost || page` pages nobody."""
    writer().do("end")
    done = afterword("lost", "--dir", str(directory), "--since", "10m")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("nothing lost or dropped since 2")
    assert afterword("lost", "--dir", str(directory), "--json").stdout == "[]\n"


def test_lost_as_json_has_the_fields_of_an_ending(lost):
    """One array, the newest last, nothing else on stdout."""
    done = afterword("lost", "--dir", str(lost), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert [set(one) >= ENDING_KEYS for one in found] == [True, True]
    assert [one["ended"] for one in found] == sorted(one["ended"] for one in found)
    assert {(one["task"], one["ending"], one["reason"], one["phase"]) for one in found} == {
        ("mail", "lost", "killed", "running"),
        ("mail", "lost", "killed", "waiting"),
    }


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--limit", "1"), 1),
        (("--since", "1h"), 2),
        (("--until", "1h"), 0),
        (("--ending", "dropped"), 0),
        (("--ending", "dropped,lost"), 2),
        (("--all",), 2),
        (("--task", "mail", "--service", "shop", "--kind", "background"), 2),
        (("--kind", "worker"), 0),
    ],
)
def test_lost_lists_what_is_asked_for(lost, capsys, options, count):
    """Each option narrows the list, and the exit status is that of the list."""
    assert cli.main(["lost", "--dir", str(lost), "--json", *options]) == int(count > 0)
    assert len(json.loads(capsys.readouterr().out)) == count


def test_a_list_that_was_cut_says_so(lost, capsys):
    """Whoever sees the newest one learns that there are two, and how to see them."""
    assert cli.main(["lost", "--dir", str(lost), "--limit", "1"]) == 1
    assert "the newest 1 of 2: --limit 2 shows all" in capsys.readouterr().out


def test_many_endings_are_asked_for_page_by_page(directory, writer, capsys, monkeypatch):
    """More than one page of the history: each ending once, in order."""
    one = writer(slots=2048)
    one.do("run", 700)
    one.kill()
    monkeypatch.setattr(endings, "_PAGE", 300)
    assert cli.main(["lost", "--dir", str(directory), "--json"]) == 1
    numbers = [ending["number"] for ending in json.loads(capsys.readouterr().out)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 700


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize("task", ["mail", "push"])
def test_a_history_that_cannot_be_read_is_no_good_news(lost, capsys, form, task):
    """Exit status 2, whatever the ledgers themselves still hold; that is listed, and an empty list is not."""
    other = Owner(settings.load({"dir": str(lost)}, print, environment={}), "test", "shop")
    other.open()
    ledgers.account(other, "push")
    (lost / "history.sqlite3").write_bytes(b"no database" * 100)
    (lost / "history.sqlite3").chmod(0o600)
    assert cli.main(["lost", "--dir", str(lost), "--task", task, *form]) == 2
    told = capsys.readouterr()
    assert told.out.count("killed") == (2 if task == "mail" else 0)
    assert (told.out == "") == (task == "push")
    (line,) = told.err.splitlines()
    assert line.startswith("afterword: the history cannot be read, so what it holds is not told: file is not")
    assert line.endswith("; see afterword doctor")


def test_what_is_counted_and_not_kept_is_told(directory, writer, capsys):
    """A storm: the history keeps the newest of it, the books all, and the list says how many it has not."""
    one = writer(slots=2048)
    one.do("run", 1200)
    one.kill()
    assert cli.main(["lost", "--dir", str(directory)]) == 1
    *_, note = capsys.readouterr().out.splitlines()
    assert note == "the books have 1200, so 200 of them are not, or no longer, kept one by one"
    assert cli.main(["lost", "--dir", str(directory), "--since", "1h"]) == 1
    assert "the books have" not in capsys.readouterr().out


TIMES = "allowed: a time ago (90s, 15m, 2h, 3d), an ISO time ("


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("top --interval fast", "--interval is 'fast'; allowed: seconds from 0.5 to 3600"),
        ("top --interval 0", "--interval is '0'; allowed: seconds from 0.5 to 3600"),
        ("top --interval nan", "--interval is 'nan'; allowed: seconds from 0.5 to 3600"),
        ("top --dir here", "--dir is 'here'; allowed: an absolute path"),
        ("top --onec", "unrecognized arguments: --onec; did you mean --once? (try: afterword top --help)"),
        ("lost --since -1h", "--since is '-1h'; a time ago has no sign: --since 1h"),
        ("lost --since=-1h30m", "--since is '-1h30m'; a time ago has no sign: --since 1h30m"),
        ("lost --until +2d", "--until is '+2d'; a time ago has no sign: --until 2d"),
        ("lost --since -90", f"--since is '-90'; {TIMES}"),
        ("lost --since --json", "argument --since: expected one argument (try: afterword lost --help)"),
        ("lost --since yesterday", f"--since is 'yesterday'; {TIMES}"),
        ("lost --since 90", f"--since is '90'; {TIMES}"),
        ("lost --until 2026-13-01", f"--until is '2026-13-01'; {TIMES}"),
        ("lost --since 0001-01-01", f"--since is '0001-01-01'; {TIMES}"),
        ("lost --since 99999d", f"--since is '99999d'; {TIMES}"),
        ("lost --since 2999-01-01", "--since is '2999-01-01'; allowed: a time that has passed"),
        ("lost --since 1h --until 2h", "--since is '1h', later than --until; allowed: a time before it"),
        (
            "lost --ending lost,gone",
            "--ending is 'lost,gone'; allowed: lost, dropped, failed, cancelled, swallowed, with commas between them",
        ),
        ("lost --ending lost --all", "argument --all: not allowed with argument --ending"),
        ("lost --kind queue", "argument --kind: invalid choice: 'queue' (choose from"),
        ("lost --limit 0", "--limit is '0'; allowed: a whole number from 1 to 1000000"),
        ("lost --limit many", "--limit is 'many'; allowed: a whole number from 1 to 1000000"),
        ("completion fish", "argument SHELL: invalid choice: 'fish' (choose from"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_says_what_is_allowed(arguments, sentence, told):
    """Exit status 2, and nothing on stdout."""
    assert told(*arguments.split()).startswith(sentence)


@pytest.mark.parametrize("arguments", [("top", "--task", "mial"), ("lost", "--task", "mial"), ("lost", "--task", "ai")])
def test_a_task_nobody_knows_is_told_with_the_nearest(arguments, lost, told):
    """A slip must not read as an empty list: nothing was lost."""
    sentence = told(*arguments, "--dir", str(lost))
    assert sentence == f"no task {arguments[-1]!r} in {lost}; did you mean mail?"


@pytest.mark.parametrize("arguments", [("top", "--once"), ("lost",)])
def test_a_service_nobody_knows_is_told_with_those_there_are(arguments, lost, told):
    """As with tasks; where none is near, all are named."""
    assert told(*arguments, "--service", "zzz", "--dir", str(lost)) == f"no service 'zzz' in {lost}; known: shop"


NO_LEDGER = (
    "no ledger in {}: does the application run as the same user with the same AFTERWORD_DIR? see afterword doctor"
)


@pytest.mark.parametrize("arguments", [("top",), ("top", "--once"), ("top", "--json"), ("lost",), ("lost", "--json")])
def test_a_directory_that_is_not_there_is_told_with_what_to_do(arguments, tmp_path, told):
    """Exit status 2: there is no answer, and no screen is begun."""
    missing = tmp_path / "none"
    assert told(*arguments, "--dir", str(missing)) == NO_LEDGER.format(missing)


@pytest.mark.parametrize("arguments", [("top",), ("top", "--json"), ("lost",)])
@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_file_is_no_directory(arguments, below, tmp_path, told):
    """Nor is what would lie below one; the sentence says where the path came from."""
    file = tmp_path / "file"
    file.touch()
    sentence = told(*arguments, "--dir", str(file / below))
    assert sentence == f"{file} is a file, not a directory (--dir, AFTERWORD_DIR)"


@pytest.mark.parametrize("arguments", [("top",), ("top", "--json"), ("lost",)])
def test_a_directory_of_another_user_is_told_with_what_to_do(arguments, directory, told):
    """The answer is not that nothing is lost."""
    directory.chmod(0)
    as_somebody = os.geteuid() == 0
    if as_somebody:
        os.seteuid(NOBODY)
    try:
        sentence = told(*arguments, "--dir", str(directory))
    finally:
        if as_somebody:
            os.seteuid(0)
    assert re.fullmatch(
        rf"{directory} cannot be read by uid \d+ \(Permission denied\): run this as the application's user; "
        "see afterword doctor",
        sentence,
    )


def test_a_directory_nobody_writes_to_is_no_good_news(directory, told, capsys):
    """`lost` has no answer (2); `top` shows why and waits for the application, and once its verdict is blind (1)."""
    assert told("lost", "--dir", str(directory)) == NO_LEDGER.format(directory)
    assert cli.main(["top", "--once", "--dir", str(directory)]) == 1
    assert (
        capsys.readouterr().out
        == f"BLIND  {NO_LEDGER.format(directory)}\n0 processes  0 tasks  0 waiting  0 running  0 late  0 overdue\n"
    )
    assert cli.main(["top", "--json", "--dir", str(directory)]) == 1
    status = json.loads(capsys.readouterr().out)["status"]
    assert [reason["sentence"] for reason in status["reasons"]] == [status["sentence"]]


@pytest.mark.parametrize(
    ("mounts", "problem"),
    [
        ("mount --bind {dir} {dir} && mount -o remount,bind,ro {dir}", "is mounted read-only"),
        ("chmod 0777 {dir}", "is writable by others"),
    ],
)
def test_books_that_can_be_read_are_never_blind(directory, writer, mounts, problem):
    """No application can begin a ledger there any more: that is told beside what the books say, not instead of it."""
    one = writer()
    one.do("end")
    look = f"{mounts.format(dir=directory)}; exec {sys.executable} -m afterword"
    for arguments, said in (("top --once", "DEGRADED  "), ("lost", "nothing lost or dropped")):
        command = ["unshare", "-m", "sh", "-c", f"{look} {arguments} --dir {directory}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if "unshare: " in done.stderr or "mount: " in done.stderr:
            pytest.skip(f"no mounts here: {done.stderr}")
        assert (done.returncode, done.stdout.startswith(said)) == (0, True), done
        assert (problem in done.stdout) == ("top" in arguments)


@pytest.mark.parametrize("arguments", [("top", "--once"), ("lost", "--all")])
@pytest.mark.parametrize("env", [{}, {"FORCE_COLOR": "1"}])
def test_a_hostile_name_is_shown_and_does_nothing(directory, arguments, env):
    """Escapes, overrides of direction and markup arrive as characters: no name colours or turns what others wrote."""
    code = f"""
import os, signal, sys
from pathlib import Path
from tests import ledgers
one = ledgers.account(ledgers.owner(Path(sys.argv[1])), {HOSTILE!r})
one.start(one.schedule())
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(directory)], cwd=ROOT, check=False)
    done = afterword(*arguments, "--dir", str(directory), **env)
    assert done.returncode == 1, done.stderr
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert r"evil\x1b[31m\u202e[bold red]" in plain
    assert "\u4f60\u597d[/]" in plain
    assert "\u202e" not in done.stdout
    assert f"{ESCAPE}[31mevil" not in done.stdout
    assert "\n".join(plain.splitlines()).isprintable() or all(line.isprintable() for line in plain.splitlines())


def test_a_reason_is_told_once(crowded):
    """In the sentence or below it, with its alert if it has one."""
    first, other, bare = (
        model.Reason("bad", sentence, alert, "shop")
        for sentence, alert in (("12 runs were lost", "AfterwordTaskLost"), ("2 runs were lost", "A"), ("blind", ""))
    )
    status = dataclasses.replace(
        crowded.look().status, verdict="bad", sentence="12 runs were lost; 2 more reasons", reasons=[first, other, bare]
    )
    told = cells.plain(blocks.verdict(status, None, 9)).splitlines()
    assert told == ["BAD  12 runs were lost; 2 more reasons", "  2 runs were lost  A", "  blind"]


def test_a_name_that_nobody_escaped_does_nothing_either(crowded):
    """Also what comes from elsewhere than a ledger: each line is printable, on the screen and in the list."""
    shown = crowded.look()
    task, run = (dataclasses.replace(one, task=HOSTILE) for one in (shown.tasks[0], shown.runs[0]))
    run = dataclasses.replace(run, route=HOSTILE, id=HOSTILE)
    ending = model.BadEnding(
        1, HOSTILE, "shop", HOSTILE, "background", "lost", HOSTILE, HOSTILE, HOSTILE, 1, HOSTILE,
        scheduled=1.0, started=2.0, ended=3.0, trace_id=HOSTILE, span_id="",
    )  # fmt: skip
    status = dataclasses.replace(shown.status, sentence=HOSTILE, verdict="bad", reasons=[
        model.Reason("bad", HOSTILE * 2, HOSTILE, "shop", HOSTILE)])  # fmt: skip
    shown = dataclasses.replace(shown, status=status, tasks=[task], runs=[run], endings=[ending])
    state = screen.State(selected=rates.key_of(task))
    found, wanted = endings.Found([ending], 1), endings.Wanted()
    for lines in (
        screen.once(shown, state, None), screen.live(shown, state, 120, 40),
        endings.lines(found, wanted, status, 1, None), endings.lines(found, wanted, status, 1, 60),
    ):  # fmt: skip
        told = cells.plain(lines)
        assert r"evil\x1b[31m\u202e[bold red]" in told
        assert all(line.isprintable() for line in told.split("\n"))


@pytest.mark.parametrize("arguments", [("top", "--once"), ("lost",)])
def test_no_color_is_honoured_and_colour_can_be_forced(lost, arguments, screens):
    """Colours on a terminal, or where FORCE_COLOR asks for them; never where NO_COLOR forbids them."""
    coloured = re.compile(rb"\x1b\[[0-9;]*3[0-9]m")
    command = (sys.executable, "-m", "afterword", *arguments, "--dir", str(lost))
    on_terminal, without = screens(*command), screens(*command, NO_COLOR="1")
    assert [on_terminal.ended(), without.ended()] == [1, 1]
    assert coloured.search(on_terminal.raw)
    assert not coloured.search(without.raw)
    assert b"mail" in without.raw
    assert coloured.search(afterword(*arguments, "--dir", str(lost), FORCE_COLOR="1").stdout.encode())


def test_where_the_terminal_has_no_unicode_signs_become_ascii(directory, writer):
    """A bar of # and no traceback, whatever the locale."""
    one = writer()
    one.do("run")
    done = afterword("top", "--dir", str(directory), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"(?m)^mail +running .*  [#.]{10}  ", done.stdout)


LEAVE = {
    "q": (lambda one: one.type(b"q"), 0),
    "ctrl-c": (lambda one: one.type(b"\x03"), 130),
    "sigterm": (lambda one: one.process.terminate(), -signal.SIGTERM),
    "sighup": (lambda one: one.process.send_signal(signal.SIGHUP), -signal.SIGHUP),
}


@pytest.mark.parametrize("way", LEAVE)
def test_the_terminal_is_given_back(writer, top, way):
    """Keys are shown again, the cursor is there, the screen is the one from before; the status is the shell's own."""
    writer().do("end")
    one = top()
    one.shows("mail")
    until(lambda: termios.tcgetattr(one.terminal) != one.before)
    leave, status = LEAVE[way]
    leave(one)
    assert one.ended() == status
    assert one.is_as_before()


def test_the_terminal_is_given_back_when_something_breaks(directory, writer, screens):
    """An error of ours ends the command; the traceback is on a terminal that works."""
    writer().do("end")
    code = (
        "import sys; from afterword import cli; from afterword.terminal import screen\n"
        "def broken(*_): raise RuntimeError('broken on purpose')\n"
        "screen.live = broken; sys.exit(cli.main(sys.argv[1:]))"
    )
    one = screens(sys.executable, "-c", code, "top", "--dir", str(directory))
    assert one.ended() == 1
    assert one.is_as_before()
    assert one.raw.rfind(b"broken on purpose") > one.raw.rfind(SCREEN_OFF)


def test_the_screen_follows_the_books(writer, top):
    """What happens is on the screen at the next look, with its rate."""
    one, shown = writer(), top()
    one.do("end")
    shown.shows("SUCCEEDED")
    one.do("run")
    shown.shows(f"{one.process.pid}")
    one.kill()
    shown.shows("killed (running)")
    shown.shows("BAD ")


def test_keys_sort_pause_select_and_help(writer, top):
    """Each does what the help says."""
    one, shown = writer(), top()
    one.do("end")
    shown.shows("sorted: worst")
    shown.type(b"s")
    shown.shows("sorted: name")
    shown.type(b"\x1b[B")
    shown.shows("scheduled ")
    shown.type(b"\x1b")
    until(lambda: "deadline" not in "\n".join(shown.lines()))
    shown.type(b"?")
    shown.shows("this help")
    shown.type(b"?p")
    shown.shows("PAUSED")
    frames = shown.read().count(b"\x1b[H")
    one.do("run")
    shown.type(b"j")
    until(lambda: shown.read().count(b"\x1b[H") > frames)
    assert str(one.process.pid) not in "\n".join(shown.lines())
    shown.type(b"p")
    shown.shows(str(one.process.pid))


def test_a_window_of_another_size_is_filled_at_once(writer, top):
    """Nobody waits for the next look, which here is an hour away."""
    writer().do("end")
    shown = top("--interval", "3600", rows=30, columns=110)
    shown.shows("SCHEDULED")
    until(lambda: len(shown.lines()) == 30)
    shown.resize(12, 60)
    until(lambda: len(shown.lines()) == 12 and max(map(len, shown.lines())) <= 60)
    shown.shows("LOST")
    shown.shows("sorted: worst")


def test_ctrl_z_gives_the_terminal_back_until_fg(directory, writer, screens):
    """As any program of a shell: stopped, the shell goes on; continued, the screen is there again."""
    writer().do("end")
    shell = screens("bash", "--norc", "--noprofile", "-i", PS1="prompt> ")
    until(lambda: b"prompt> " in shell.read())
    shell.type(f"{sys.executable} -m afterword top --dir {directory} --interval 0.5\n".encode())
    until(lambda: b"mail" in shell.read() and termios.tcgetattr(shell.terminal)[3] & termios.ICANON == 0)
    shell.type(b"\x1a")
    until(lambda: b"Stopped" in shell.read())
    assert shell.raw.rfind(b"Stopped") > shell.raw.rfind(SCREEN_OFF) > shell.raw.rfind(SCREEN_ON)
    shell.type(b"fg\n")
    until(lambda: shell.read().rfind(SCREEN_ON) > shell.raw.rfind(b"Stopped"))
    shell.shows("sorted: worst")
    shell.type(b"q")
    until(lambda: shell.read().rfind(b"prompt> ") > shell.raw.rfind(SCREEN_OFF) > shell.raw.rfind(SCREEN_ON))


def test_without_keys_the_screen_is_there_all_the_same(directory, writer, screens):
    """`afterword top < /dev/null`, on a wall: until a signal ends it."""
    writer().do("end")
    one = screens("sh", "-c", f"exec {sys.executable} -m afterword top --dir {directory} < /dev/null")
    one.shows("mail")
    one.process.terminate()
    assert one.ended() == -signal.SIGTERM
    assert one.is_as_before()


def test_a_dumb_terminal_gets_one_screen_of_text(writer, top):
    """Where no cursor can be moved: as without a terminal."""
    writer().do("end")
    one = top(TERM="dumb")
    assert one.ended() == 0
    assert SCREEN_ON not in one.raw
    assert b"mail" in one.raw


def test_without_the_extra_all_but_the_live_screen_works(lost, screens):
    """Production images have no rich: what a script needs is there, the rest says what to install."""
    blocked = """
import sys
class Without:
    def find_spec(name, *_):
        if name in ("rich", "shtab"):
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Without)
from afterword.cli import main
sys.exit(main(sys.argv[1:]))
"""
    for arguments in (("lost",), ("lost", "--json"), ("top", "--once"), ("top", "--json")):
        done = afterword(*arguments, "--dir", str(lost), python=("-c", blocked))
        assert (done.returncode, done.stderr) == (1, "")
        assert "mail" in done.stdout
    listed = screens(sys.executable, "-c", blocked, "lost", "--dir", str(lost))
    assert listed.ended() == 1
    assert b"killed" in listed.raw
    live = screens(sys.executable, "-c", blocked, "top", "--dir", str(lost))
    assert live.ended() == 2
    assert live.raw == b"afterword: `afterword top` needs rich: pip install 'afterword[cli]'\r\n"
    done = afterword("completion", "bash", python=("-c", blocked))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "afterword: `afterword completion` needs shtab: pip install 'afterword[cli]'\n"


COMPLETE = """
source "$1"
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_shtab_afterword
complete -p afterword | grep -q -- '-F _shtab_afterword' && printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("afterword lo", {"lost"}),
        ("afterword lost --se", {"--service"}),
        ("afterword top --in", {"--interval"}),
        ("afterword lost --kind back", {"background"}),
        ("afterword completion z", {"zsh"}),
        ("afterword run test_the_comm", {"test_the_command"}),
    ],
)
def test_bash_completes_commands_options_and_values(tmp_path, words, completed):
    """The script as it is printed, sourced by a real bash."""
    (tmp_path / "test_the_command").touch()
    script = tmp_path / "completion.bash"
    script.write_text(afterword("completion", "bash").stdout)
    code = COMPLETE.format(words=words)
    done = subprocess.run(
        ["bash", "-c", code, "-", str(script)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (set(done.stdout.split()), done.stderr) == (completed, "")


@pytest.mark.parametrize(("shell", "sign"), [("zsh", "#compdef afterword"), ("tcsh", "complete afterword")])
def test_the_other_shells_get_a_script_too(shell, sign):
    """With every command in it."""
    done = afterword("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert sign in done.stdout
    assert all(command in done.stdout for command in ("top", "lost", "sidecar"))


NOW = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds_ago"),
    [
        ("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 3 * 86400), ("1w", 7 * 86400), ("1h30m", 5400), ("0.5h", 1800),
        (" 2h ", 7200), ("2026-07-01T11:00Z", 3600), ("2026-07-01 13:00+02:00", 3600), (f"{NOW - 7:.1f}", 7),
    ],
)  # fmt: skip
def test_a_time_is_read_as_it_is_written(text, seconds_ago):
    """Ago, ISO with a zone, Unix seconds."""
    assert NOW - moments.read(text, NOW) == pytest.approx(seconds_ago)


def test_an_iso_time_without_a_zone_is_this_machines(monkeypatch):
    """As `journalctl --since` has it."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert NOW - moments.read("2026-07-01T20:00", NOW) == pytest.approx(3600)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0, "0ms"), (0.0123, "12ms"), (3.44, "3.4s"), (9.96, "10s"), (119, "119s"), (428, "7m08s"),
        (7199.6, "2h00m"), (33000, "9h10m"), (273600, "3d04h"),
    ],
)  # fmt: skip
def test_a_duration_is_short(seconds, text):
    """Two units at most."""
    assert figures.duration(seconds) == text


@given(st.text(), st.integers(0, 30), st.booleans())
def test_a_text_takes_the_room_it_is_given(text, room, keep_end):
    """Never more than the room, padded to it exactly; and no character of it moves a terminal."""
    cut = cells.clip(cells.safe(text), room, keep_end=keep_end)
    assert cells.width(cut) <= room
    assert cells.width(cells.pad(cut, room)) == room
    assert cut.isprintable()


@given(st.integers(0, 60), st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_the_room_of_a_screen_is_shared_out(room, wanted):
    """Nobody gets more than it wants, all together no more than there is, and no title stands alone."""
    given_ = screen.share(room, wanted)
    assert all(got <= want for got, want in zip(given_, wanted, strict=True))
    assert sum(given_) <= room
    assert all(got != 1 or want == 1 for got, want in zip(given_[1:], wanted[1:], strict=True))


@pytest.fixture
def crowded(directory):
    """A reader of many tasks with long names."""
    one = ledgers.owner(directory)
    for number in range(30):
        account = ledgers.account(one, f"shop.a.very.long.module.name.of.emails.send_{number}_{HOSTILE}")
        for _ in range(number % 3 + 1):
            account.start(account.schedule())
    yield Reader(directory)
    ledgers.end(one)


@pytest.mark.parametrize("columns", [20, 60, 80, 100, 200])
@pytest.mark.parametrize("rows", [1, 2, 3, 6, 10, 24, 70])
def test_a_screen_is_as_large_as_the_terminal(crowded, rows, columns):
    """Exactly its lines, none wider than it, whatever is selected or asked for."""
    shown = crowded.look()
    states = [screen.State(), screen.State(help=True), screen.State(paused=True)]
    for state, pressed in zip(states, ("last", "down", "page down"), strict=True):
        keys.press(pressed, state, shown.tasks)
        lines = screen.live(shown, state, columns, rows)
        assert len(lines) == rows
        assert max(sum(cells.width(text) for text, _ in line) for line in lines) <= columns


def test_sixty_columns_still_say_what_is_wrong(crowded):
    """A task by the end of its name, with what is open and what is bad; runs with their bar."""
    lines = cells.plain(screen.live(crowded.look(), screen.State(sort="name"), 60, 24)).splitlines()
    (title,) = (line for line in lines if line.startswith("TASK"))
    assert title.split()[2:7] == ["WAITING", "RUNNING", "FAILED", "DROPPED", "LOST"]
    (runs,) = (line for line in lines if line.startswith("OPEN RUNS"))
    assert runs.split()[2:] == ["STATE", "AGE", "LIMIT", "USED"]


def test_the_selected_task_stays_on_the_screen(crowded):
    """Whichever it is, and its books are told in full."""
    shown, state = crowded.look(), screen.State(sort="name")
    for key in ("last", "first", *["down"] * 29):
        keys.press(key, state, shown.tasks)
        (selected,) = (
            line for line in screen.live(shown, state, 200, 24) if "selected" in {style for _, style in line}
        )
        assert state.selected is not None
        assert cells.plain([selected]).startswith(cells.safe(state.selected[1]))
    assert state.selected == rates.key_of(state.order(shown.tasks)[-1])


def test_orders_of_the_tasks(crowded):
    """Every order has all tasks; the one by running ones begins with the most."""
    shown, state = crowded.look(), screen.State()
    for _ in screen.SORTS:
        ordered = state.order(shown.tasks)
        assert len(ordered) == len(shown.tasks)
        if state.sort == "running":
            assert [task.books.running for task in ordered] == sorted((t.books.running for t in ordered), reverse=True)
        keys.press("sort", state, shown.tasks)
    assert state.sort == "worst"


def test_books_that_were_begun_anew_have_no_rates(crowded):
    """A directory that was emptied: no rate, rather than a negative one."""
    tasks = crowded.look().tasks
    emptied = [dataclasses.replace(one, books=dataclasses.replace(one.books, scheduled=0)) for one in tasks]
    assert set(rates.between(tasks, emptied, 1.0).values()) == {rates.UNKNOWN}
    assert rates.between(tasks, tasks, 0.0) == {}
    assert rates.between(tasks, tasks[:1], 2.0) == {rates.key_of(tasks[0]): rates.Rates(0.0, 0.0, 0.0)}


def test_keys_come_as_terminals_send_them():
    """Both kinds of arrows, several at once, and nothing for what has no meaning."""
    assert keys.named(b"\x1b[A\x1bOBjkx\x1b[5~\x1b[1;5Cq") == ["up", "down", "down", "up", "page up", "quit"]


def test_a_table_leaves_out_what_matters_less():
    """The highest rank goes first, then long texts are cut, and what has neither stays."""
    columns = (
        table.Column("NAME", least=4, keep_end=True),
        table.Column("N", right=True),
        table.Column("MORE", rank=1),
    )
    row = [("a.long.name", ""), ("12", ""), ("more", "")]
    assert [cells.plain(table.lines(columns, [row], room)[1:]) for room in (None, 18, 8, 3)] == [
        "a.long.name  12  more\n",
        "…ng.name  12  more\n",
        "…ame  12\n",
        "…ame  12\n",
    ]


# -- what the page says


def page() -> str:
    """docs/terminal.md."""
    return (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")


def _shapes(shape: Any) -> set[Any]:
    """The shape and those within it."""
    found = {shape}
    for hint in get_type_hints(shape).values():
        inner = [hint, *get_args(hint)] if get_origin(hint) else [hint]
        for one in inner:
            if dataclasses.is_dataclass(one):
                found |= _shapes(one)
    return found


def test_the_page_knows_every_key_of_the_json():
    """Its tables are the fields of the shapes, in their order."""
    shapes = set().union(
        *map(_shapes, (model.Status, model.Task, model.Run, model.Worker, model.Process, model.BadEnding))
    )
    documented = dict(re.findall(r"(?m)^\| ([A-Z]\w+) \| (`.*`) \|$", page()))
    assert documented == {
        shape.__name__: ", ".join(f"`{field.name}`" for field in dataclasses.fields(shape)) for shape in shapes
    }
    assert all(f"`{key}`" in page() for key in SCREEN_KEYS)


def test_the_page_knows_every_option_and_key():
    """What `--help` and `?` say is explained."""
    commands = next(action for action in cli.parser()._actions if action.dest == "run" or action.choices)
    assert isinstance(commands.choices, dict)
    for name in ("top", "lost"):
        options = [option for action in commands.choices[name]._actions for option in action.option_strings]
        assert [one for one in options if f"`{one}" not in page() and one not in ("-h", "--help")] == []
    assert [pressed for pressed, _ in screen._HELP if f"| {pressed} |" not in page()] == []
    assert [order for order in screen.SORTS if order not in page()] == []


def test_the_examples_of_the_page_have_the_columns_of_the_commands():
    """A column that is renamed must not live on in the page."""
    titles = [[column.title for column in columns] for columns in (blocks._TASKS, blocks._RUNS, blocks._ENDINGS)]
    titles.append([column.title for column in endings._COLUMNS])
    examples = "\n".join(re.findall(r"```console\n(.*?)```", page(), re.DOTALL))
    shown = [re.split(r" {2,}", line) for line in examples.splitlines() if re.match(r"[A-Z ]+  [A-Z]+ ", line)]
    assert shown == titles
