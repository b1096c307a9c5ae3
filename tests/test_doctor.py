"""The doctor: on real directories, processes, sidecars and Prometheis, every check once well and once not."""

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from afterword import __version__, cli
from afterword.books.history import History
from afterword.doctor import processes, prometheus, report, selftest, versions, web
from afterword.doctor.bounded import TookTooLongError, within
from afterword.doctor.contents import look
from afterword.doctor.finding import Finding, note, ok, problem, warning
from afterword.doctor.habits import usual_run_times
from afterword.doctor.registry import CHECKS, Check, examine
from afterword.doctor.scene import Scene, gather
from afterword.ledger import file, layout
from tests.helpers import Children, free_port, until
from tests.helpers.real import binary
from tests.ledgers import account, close_file, context_of, owner, path_of, run_to_the_end
from tests.sidecars import NOBODY, Sidecar, Writer, shop

ROOT = Path(__file__).parents[1]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users, mounts")
LONG_AGO = (1e9, 1e9)
Start = Callable[..., Writer]


def scene(directory: Path, sidecar: str | None = None, prometheus: str | None = None, **more: Any) -> Scene:
    """Where to look; without an address nothing is asked that is not the test's own."""
    return gather(
        {"dir": str(directory)}, sidecar=sidecar or f"http://127.0.0.1:{free_port()}",
        prometheus=prometheus or f"http://127.0.0.1:{free_port()}", python=more.get("python"),
    )  # fmt: skip


def check(name: str, where: Scene) -> list[Finding]:
    """What one check finds."""
    (one,) = [one for one in CHECKS if one.name == name]
    return list(examine(where, [one]))


def worst(name: str, where: Scene) -> Finding:
    """The worst finding of one check."""
    return max(check(name, where), key=lambda one: ("ok", "note", "warning", "problem").index(one.level))


def doctor(*arguments: str, **popen: Any) -> "subprocess.CompletedProcess[str]":
    """The command as a shell runs it."""
    command = [sys.executable, "-m", "afterword", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **popen)


@pytest.fixture
def writer(directory: Path) -> Iterator[Start]:
    """Starts processes that keep a ledger in ``directory``; all are ended with the test."""
    started: list[Writer] = []

    def start(**popen: Any) -> Writer:
        started.append(Writer(directory, **popen))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The URL of a port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def serving(answers: dict[str, tuple[int, str]]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that is no sidecar: what it answers by path, its URL, and the headers of what was asked."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            status, text = answers.get(self.path.partition("?")[0], (404, ""))
            self.send_response(status)
            self.send_header("Location", text)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """As a user who owns nothing here."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


# -- the directory


def test_a_directory_as_it_should_be_is_well(directory):
    """None of its checks complains of a fresh one."""
    names = ("place", "owner", "mode", "writable", "filesystem", "space", "shm", "lasting")
    levels = {name: worst(f"directory.{name}", scene(directory)).level for name in names}
    assert levels.pop("lasting") in ("ok", "note")
    assert set(levels.values()) == {"ok"}, levels


@pytest.mark.parametrize("source", ["--dir", "AFTERWORD_DIR", "afterword.toml"])
def test_a_missing_directory_is_a_problem_where_somebody_named_it(source, tmp_path, monkeypatch):
    """Nobody has begun there: most likely it is another one."""
    monkeypatch.chdir(tmp_path)
    missing = str(tmp_path / "none")
    monkeypatch.delenv("AFTERWORD_DIR", raising=False)
    if source == "AFTERWORD_DIR":
        monkeypatch.setenv(source, missing)
    elif source == "afterword.toml":
        (tmp_path / source).write_text(f'dir = "{missing}"\n')
    keywords = {"dir": missing} if source == "--dir" else {}
    found = worst("directory.place", gather(keywords, sidecar=None, prometheus=None, python=None))
    assert (found.level, found.found[: found.found.index(":")]) == (
        "problem", f"{missing}, which {source} names, does not exist",
    )  # fmt: skip


def test_a_missing_default_directory_is_a_note(directory, monkeypatch):
    """Whoever begins first makes it."""
    monkeypatch.delenv("AFTERWORD_DIR", raising=False)
    where = gather({}, sidecar=None, prometheus=None, python=None)
    where.directory = directory / "none"
    found = worst("directory.place", where)
    assert (found.level, "does not exist yet" in found.found) == ("note", True)


def test_of_a_missing_directory_nothing_is_said_to_be_well(directory):
    """Neither of its room nor of what would lie in it; other directories and /dev/shm are there."""
    where = scene(directory / "none")
    checks = [one for one in CHECKS if one.group in ("directory", "ledgers")]
    assert {one.check for one in examine(where, checks) if one.level == "ok"} <= {
        "directory.shm",
        "directory.elsewhere",
    }
    where = scene(directory)
    assert {one.name for one in checks} - {one.check for one in examine(where, checks)} == {"ledgers.versions"}


def test_a_link_is_refused_and_its_target_told(directory, tmp_path):
    """The line to type has the directory itself."""
    (tmp_path / "link").symlink_to(directory)
    found = worst("directory.place", scene(tmp_path / "link"))
    assert (found.level, found.do) == ("problem", f"set AFTERWORD_DIR to the directory itself: {directory}")


def test_a_file_is_no_directory(tmp_path):
    """It could have been left by a redirection."""
    (tmp_path / "file").touch()
    assert worst("directory.place", scene(tmp_path / "file")).level == "problem"


@pytest.mark.parametrize(
    ("mode", "level"), [(0o777, "problem"), (0o720, "problem"), (0o500, "problem"), (0o755, "note"), (0o700, "ok")]
)
def test_each_mode_has_its_level_and_the_line_to_type(mode, level, directory):
    """What others may write to is refused by applications."""
    directory.chmod(mode)
    found = worst("directory.mode", scene(directory))
    assert (found.level, found.do) == (level, "" if level == "ok" else f"chmod 0700 {directory}")


@AS_ROOT
def test_a_directory_of_somebody_else_cannot_be_used(directory):
    """As nobody: not its own, not writable, not to be listed; as root: only told."""
    names = ("directory.owner", "directory.writable", "ledgers.living")
    with nobody():
        assert [worst(name, scene(directory)).level for name in names] == ["note", "problem", "problem"]
        assert "cannot make it in" in worst("directory.place", scene(Path("/none/books"))).found
    os.chown(directory, NOBODY, -1)
    assert "runs as root" in worst("directory.owner", scene(directory)).found
    os.chown(directory, NOBODY - 1, -1)
    with nobody():
        assert worst("directory.owner", scene(directory)).level == "problem"


@pytest.mark.parametrize(("place", "kind"), [("/proc/self", "proc"), ("/sys/kernel", "sysfs")])
def test_a_file_system_that_applications_refuse_is_a_problem(place, kind):
    """By its name."""
    found = worst("directory.filesystem", scene(Path(place)))
    assert (found.level, f"it is on {kind}," in found.found) == ("problem", True)


_OF_THE_DIRECTORY = """
import sys
from afterword.doctor import registry, report, scene

directory = {"dir": sys.argv[1]} if sys.argv[1:] else {}
looked_at = scene.gather(directory, sidecar=None, prometheus=None, python=None)
checks = [one for one in registry.CHECKS if one.group == "directory" or one.name == "versions.system"]
print(report.as_json(registry.examine(looked_at, checks), report.Tally()))
"""


def in_a_container(mounts: str, *directory: str) -> dict[str, Finding]:
    """What is found with mounts of one's own, as in a container."""
    line = f"{mounts} && exec {shlex.join([sys.executable, '-c', _OF_THE_DIRECTORY, *directory])}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    found = [Finding(f["level"], f["found"], f["do"], f["check"]) for f in json.loads(done.stdout)["findings"]]
    return {one.check: one for one in found}


@AS_ROOT
@pytest.mark.parametrize(
    ("options", "slots", "expected"),
    [
        ("size=64m", 4096, {"directory.shm": "note", "directory.space": "ok"}),
        ("size=2m", 4096, {"directory.shm": "warning", "directory.space": "warning"}),
        ("size=1m", 4096, {"directory.space": "problem"}),
        ("size=64m,nr_inodes=3", 4096, {"directory.space": "warning"}),
        ("size=64m", 524288, {"directory.shm": "warning", "directory.space": "problem"}),
        ("ro", 4096, {"directory.writable": "problem"}),
    ],
)
def test_the_shared_memory_of_a_container_is_measured_in_ledgers(options, slots, expected):
    """Real mounts: 64 MiB, far too little, no file entries, read-only."""
    mounts = f"mount -t tmpfs -o {options.replace('ro', 'size=64m')} tmpfs /dev/shm && mkdir -m 700 /dev/shm/books"
    if options == "ro":
        mounts += " && mount -o remount,ro /dev/shm"
    found = in_a_container(f"{mounts} && export AFTERWORD_SLOTS={slots}", "/dev/shm/books")
    assert {name: found[name].level for name in expected} == expected


@AS_ROOT
def test_a_machine_without_shared_memory_is_told_so():
    """Ledgers lie in the temporary directory there."""
    found = in_a_container("mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3")
    assert "/dev/shm" in found["directory.shm"].found
    assert (found["directory.shm"].level, found["versions.system"].level) == ("note", "note")


def test_a_directory_that_goes_with_the_session_is_a_warning(tmp_path, monkeypatch):
    """XDG_RUNTIME_DIR is removed at log-out."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert worst("directory.lasting", scene(tmp_path)).level == "warning"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert worst("directory.lasting", scene(tmp_path)).level in ("ok", "note")


@AS_ROOT
def test_ledgers_in_the_directory_of_another_user_are_found(directory):
    """The application ran as another user: the most common reason for an empty directory."""
    uid = 54321
    other = Path(f"/dev/shm/afterword-{uid}")
    other.mkdir(mode=0o700)
    try:
        assert all(str(other) not in one.found for one in check("directory.elsewhere", scene(directory)))
        (other / f"{uuid.uuid4().hex}.ledger").touch()
        os.chown(other, uid, uid)
        (found,) = [one for one in check("directory.elsewhere", scene(directory)) if str(other) in one.found]
    finally:
        shutil.rmtree(other)
    assert (found.level, f"--dir {other}" in found.do) == ("warning", True)


# -- what lies in it


def test_living_processes_are_counted_by_service(directory, writer):
    """None is a warning, one is well and told; what was booked is counted."""
    assert worst("ledgers.living", scene(directory)).level == "warning"
    assert check("processes.events", scene(directory)) == []
    one = writer()
    one.do("end", 3)
    (found,) = check("ledgers.living", scene(directory))
    assert (found.level, found.found) == ("ok", "1 ledger of living processes: shop (1 process)")
    (found,) = check("processes.events", scene(directory))
    assert (found.level, found.found[-40:]) == (
        "ok",
        " and knows 1 task: 3 runs booked"[-40:],
    ) or "3 runs" in found.found


def test_when_all_have_died_the_books_say_who_is_to_be_started(directory, writer, children):
    """Before and after they are folded; nobody is told to instrument what was instrumented."""
    one = writer()
    one.do("run")
    one.kill()
    command = f"afterword lost --since 1h --dir {directory}"
    for _ in ("not folded", "folded"):
        (found,) = check("ledgers.living", scene(directory))
        assert (found.level, found.found) == ("warning", "no process lives; the books know shop")
        assert found.do == f"start it again ({command} says what it lost)"
        Sidecar(children, directory).text()
    assert not list(directory.glob("*.ledger"))


def test_a_dead_ledger_that_nobody_folds_is_a_warning(directory, writer, children):
    """With a sidecar it is folded while the doctor looks."""
    one = writer()
    one.do("run")
    one.kill()
    found = worst("ledgers.dead", scene(directory))
    assert (found.level, found.do) == ("warning", f"afterword sidecar --dir {directory}")
    assert one.path.exists()
    Sidecar(children, directory).text()
    assert worst("ledgers.dead", scene(directory)).level == "ok"


def test_each_unreadable_file_is_told_by_name_and_reason(directory, writer):
    """Foreign, linked, cut, renamed, newer, a pipe; the good one beside them stays readable."""
    good = writer()
    assert worst("ledgers.unreadable", scene(directory)).level == "ok"
    raw = good.path.read_bytes()
    names = {
        reason: f"{uuid.uuid4().hex}.ledger" for reason in ("foreign", "truncated", "renamed", "not_a_file", "link")
    }
    (directory / names["foreign"]).write_bytes(b"x" * 5000)
    (directory / names["truncated"]).write_bytes(raw[:100_000])
    (directory / names["renamed"]).write_bytes(raw)
    os.mkfifo(directory / names["not_a_file"])
    (directory / names["link"]).symlink_to(good.path)
    found = [one.found for one in check("ledgers.unreadable", scene(directory)) if one.level == "warning"]
    assert sorted(line[: line.index(")") + 1] for line in found) == sorted(
        f"{name} is left aside ({reason})" for reason, name in names.items()
    )
    assert [one.name for one in look(directory).living] == [good.path.name]


def test_a_name_of_another_cannot_move_the_terminal(directory):
    """Escape sequences in a file's name are shown."""
    (directory / "\x1b[2J\u202e\n.ledger").write_bytes(b"x")
    found = worst("ledgers.unreadable", scene(directory))
    assert found.found.startswith("\\x1b[2J\\u202e .ledger is left aside")


def test_a_process_that_books_nothing_is_found_with_its_pid(directory):
    """It said so in a note that it keeps locked; once it is dead the note is a leftover."""
    assert worst("ledgers.unaccounted", scene(directory)).level == "ok"
    fd = file.leave_note(directory, "no_space")
    assert fd is not None
    found = worst("ledgers.unaccounted", scene(directory))
    assert (found.level, found.found.startswith(f"process {os.getpid()} (")) == ("problem", True)
    assert found.found.endswith("books nothing: no_space")
    assert worst("ledgers.leftovers", scene(directory)).level == "ok"
    os.close(fd)
    (left,) = directory.iterdir()
    os.utime(left, LONG_AGO)
    assert worst("ledgers.unaccounted", scene(directory)).level == "ok"
    assert worst("ledgers.leftovers", scene(directory)).level == "note"


def test_a_birth_is_not_even_looked_at(directory):
    """A lock taken for an instant at the wrong moment would cost that process its ledger."""
    (directory / ".aa.new").touch()
    (directory / ".bb.new").touch()
    os.utime(directory / ".bb.new", LONG_AGO)
    assert look(directory).leftovers == [".bb.new"]


@AS_ROOT
def test_files_of_another_user_are_told(directory):
    """A sidecar of root's was here."""
    (directory / "carried.json").write_text("{}")
    os.chown(directory, NOBODY, NOBODY)
    found = worst("ledgers.leftovers", scene(directory))
    assert (found.level, found.found.startswith("1 file of uid 0 (root) (carried.json)")) == ("warning", True)


def test_ledgers_of_another_version_are_told(directory):
    """They are read all the same."""
    one = owner(directory)
    try:
        found = worst("ledgers.versions", scene(directory))
        assert (found.level, "1 process with afterword test" in found.found) == ("note", True)
    finally:
        close_file(one)


def test_ledgers_of_this_version_are_well(directory, children):
    """A real application's."""
    shop(children, AFTERWORD_DIR=str(directory))
    assert [one.level for one in check("ledgers.versions", scene(directory))] == ["ok"]


def test_a_total_that_was_set_aside_is_told_with_its_time(directory):
    """So is one that will be; a whole one is well."""
    assert worst("ledgers.carried", scene(directory)).level == "ok"
    (directory / "carried.json.corrupt-1700000000").touch()
    found = worst("ledgers.carried", scene(directory))
    assert (found.level, "set aside at 2023-11-14 22:13 UTC" in found.found) == ("warning", True)
    (directory / "carried.json").write_text("{")
    found = worst("ledgers.carried", scene(directory))
    assert (found.level, "cannot be understood" in found.found) == ("problem", True)
    assert (directory / "carried.json").read_text() == "{"


def test_a_history_that_was_set_aside_is_told(directory):
    """Counters are not concerned."""
    assert worst("ledgers.history", scene(directory)).level == "ok"
    (directory / "history.sqlite3.corrupt-1700000000").touch()
    assert worst("ledgers.history", scene(directory)).level == "warning"
    assert worst("ledgers.carried", scene(directory)).level == "ok"


@pytest.fixture
def history(directory) -> Path:
    """The file of a real one, without an entry."""
    History(directory).open()
    return directory / "history.sqlite3"


def _locked(path: Path) -> sqlite3.Connection:
    made = sqlite3.connect(path, isolation_level=None)
    made.execute("BEGIN EXCLUSIVE")
    return made


def _half_written(path: Path) -> None:
    """As a writer leaves it that is killed when its pages are on their way."""
    writes = (
        "import os, sqlite3, sys; file = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "file.execute('PRAGMA cache_size = 1'); file.execute('BEGIN'); "
        "[file.execute('INSERT INTO counted VALUES (?, 1)', ('x' * 2000 + str(n),)) for n in range(200)]; "
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", writes, str(path)], check=False)
    assert path.with_name("history.sqlite3-journal").stat().st_size


def _with_log(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = WAL")


def _newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_locked, "the history is locked"),
        (_half_written, "left in the middle of a write"),
        (_with_log, "has a write-ahead log"),
        (_newer, "has format 99"),
        (lambda path: path.write_bytes(b"no database" * 1000), "the history is damaged"),
        (lambda path: path.chmod(0o666), "can be written by others"),
        (lambda path: path.unlink() or os.mkfifo(path), "is no plain file"),
    ],
)
def test_a_history_that_cannot_be_read_is_told_and_left_as_it_is(spoil, word, directory, history):
    """Without a sidecar; not a byte of the directory changes, and no file comes or goes."""

    def state() -> dict[str, tuple[int, bytes]]:
        found = sorted(directory.iterdir())
        return {one.name: (one.stat().st_mtime_ns, one.read_bytes() if one.is_file() else b"") for one in found}

    (_, found) = check("ledgers.history", scene(directory))
    assert (found.level, found.found) == ("ok", "the history can be read: 0 bad endings")
    held = spoil(history)
    before = state()
    (_, found) = check("ledgers.history", scene(directory))
    assert (found.level, word in found.found) == ("warning", True), found
    assert state() == before
    if isinstance(held, sqlite3.Connection):
        held.close()


def test_spans_that_nobody_takes_are_told(directory):
    """Fresh ones are on their way."""
    (directory / "spans").mkdir()
    waiting = directory / "spans" / f"{uuid.uuid4().hex}.json"
    waiting.touch()
    assert worst("ledgers.outbox", scene(directory)).level == "ok"
    os.utime(waiting, (time.time() - 600, time.time() - 600))
    found = worst("ledgers.outbox", scene(directory))
    assert (found.level, "the oldest for 10 minutes" in found.found) == ("warning", True)


def test_a_ledger_that_is_not_allocated_is_told(directory, writer):
    """A copy with holes would end its process on a full disk; a real one has none."""
    one = writer()
    assert worst("directory.filesystem", scene(directory)).level == "ok"
    assert not look(directory).living[0].sparse
    one.kill()
    made = owner(directory)
    try:
        os.posix_fallocate  # noqa: B018 - only where the system has it
        raw = path_of(made).read_bytes()
        fd = os.open(path_of(made), os.O_RDWR)
        os.ftruncate(fd, 4096)
        os.ftruncate(fd, len(raw))
        os.close(fd)
        found = worst("directory.filesystem", scene(directory))
    finally:
        close_file(made)
    assert (found.level, "SIGBUS" in found.found) == ("warning", True)


def test_trouble_inside_a_process_is_told(directory):
    """Its own errors, and bounds it has hit."""
    made = owner(directory)
    try:
        run_to_the_end(account(made))
        words = context_of(made).words
        words[layout.W_INTERNAL_ERRORS], words[layout.W_SLOTS_FULL] = 3, 1
        found = [one.found for one in check("processes.events", scene(directory)) if one.level == "warning"]
    finally:
        close_file(made)
    assert len(found) == 2
    assert "met 3 errors of afterword's own" in found[0]
    assert "out of room for AFTERWORD_SLOTS" in found[1]


def test_settings_of_a_process_that_this_shell_does_not_have_are_told(directory, writer):
    """Read from its environment; a fast clock is a warning, a secret is never shown."""
    writer()
    assert worst("processes.environment", scene(directory)).level == "ok"
    env = {**os.environ, "AFTERWORD_SLOTS": "128", "AFTERWORD_TIME_SCALE": "60", "AFTERWORD_TOKEN": "s" * 20}
    writer(env=env)
    found = check("processes.environment", scene(directory))
    assert any("AFTERWORD_SLOTS=128, here it is unset" in one.found for one in found)
    assert any(one.level == "warning" and "deadlines are those of a demo" in one.found for one in found)
    assert all("ssss" not in one.found for one in found)


def test_processes_with_another_directory_are_found(directory, writer, tmp_path):
    """The application writes there, and this looks here."""
    mine = f"AFTERWORD_DIR={tmp_path}"
    assert all(mine not in one.found for one in check("processes.elsewhere", scene(directory)))
    writer(env={**os.environ, "AFTERWORD_DIR": str(tmp_path)})
    assert any(mine in one.found for one in check("processes.elsewhere", scene(directory)))
    assert all(mine not in one.found for one in check("processes.elsewhere", scene(tmp_path)))


def test_only_what_may_be_the_application_is_a_candidate(children, directory, tmp_path):
    """No shell tool and no command of ours; servers first, and three of them at most."""
    other = str(tmp_path / "other")
    env = {"AFTERWORD_DIR": other}
    Sidecar(children, Path(other), AFTERWORD_DIR=other).text()
    waits = "import sys; sys.stdin.read()"
    (tmp_path / "uvicorn").write_text(waits)
    (tmp_path / "tool.py").write_text(waits)
    commands = [["cat"], *([sys.executable, name] for name in ("tool.py", "tool.py", "uvicorn"))]
    with contextlib.ExitStack() as stack:
        for command in (*commands, [sys.executable, "-c", waits]):
            started = subprocess.Popen(command, env={**os.environ, **env}, stdin=subprocess.PIPE, cwd=tmp_path)
            stack.enter_context(started)
            stack.callback(started.kill)

        def told() -> list[str]:
            return [one.found for one in check("processes.elsewhere", scene(directory)) if other in one.found]

        until(lambda: any(line.startswith("4 processes") for line in told()))
        (found,) = told()
    named = re.findall(r"\d+ \(python\S* (\S+)\)", found.rpartition(f"{directory}: ")[2])
    assert named == ["uvicorn", "tool.py", "tool.py"]
    assert found.endswith(" and 1 more")


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (["-m", "afterword", "top"], "afterword"),
        (["-mafterword.cli"], "afterword"),
        (["-X", "dev", "-u", "/venv/bin/gunicorn", "shop:app"], "gunicorn"),
        (["-c", "from multiprocessing.spawn import spawn_main"], "multiprocessing"),
        ([], ""),
    ],
)
def test_what_an_interpreter_runs_is_read_from_its_arguments(words, program):
    """A module, a script, code."""
    assert processes._program(words) == program


def test_nothing_in_the_directory_is_changed(directory, writer):
    """Not by the whole command: dead ledgers, leftovers and a corrupt total lie there as before."""
    alive, dead = writer(), writer()
    alive.do("run")
    dead.do("run")
    dead.kill()
    (directory / "carried.json").write_text("{")
    (directory / ".bb.new").touch()
    os.utime(directory / ".bb.new", LONG_AGO)

    def state() -> list[tuple[str, int, int, int, bytes]]:
        found = sorted(directory.rglob("*"))
        return [(str(p), p.stat().st_ino, p.stat().st_mtime_ns, p.stat().st_mode, p.read_bytes()) for p in found]

    before = state()
    doctor("--dir", str(directory))
    assert state() == before


# -- versions


def test_versions_that_are_supported_are_those_of_the_project():
    """pyproject.toml and docs/compatibility.md are the two places."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    oldest = dict(re.findall(r"(?m)^([a-z-]+)>=([\d.]+)", "\n".join(wanted)))
    page = (ROOT / "docs" / "compatibility.md").read_text()
    for name, (version, _) in versions.OLDEST.items():
        on_page = f"{name} " in page.lower() and f"{version} and newer" in page
        assert oldest.get(name) == version or on_page, name
    assert project["requires-python"] == ">=" + ".".join(map(str, versions.OLDEST_PYTHON))


def test_this_environment_is_supported(directory):
    """Python, packages and the platform."""
    for name in ("versions.python", "versions.packages"):
        assert {one.level for one in check(name, scene(directory))} == {"ok"}
    assert Finding("ok", f"afterword {__version__}", check="versions.packages") in check(
        "versions.packages", scene(directory)
    )


@pytest.fixture
def foreign_python(tmp_path) -> str:
    """An interpreter with packages of its own: an old FastAPI, a neighbour, no afterword."""
    packages = tmp_path / "packages"
    for name, version in (
        ("fastapi", "0.99"),
        ("starlette", "1.0"),
        ("ddtrace", "4.16.1"),
        ("prometheus_client", "0.20"),
    ):
        info = packages / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_the_application_may_have_another_environment(directory, foreign_python):
    """--python: what is too old, missing, or a neighbour there is told; the self-test runs there."""
    where = scene(directory, python=foreign_python)
    found = check("versions.packages", where)
    assert [one.found for one in found if one.level == "problem"] == [
        "afterword is not installed there", "fastapi 0.99 is older than 0.115, the oldest that is supported",
    ]  # fmt: skip
    (neighbour,) = check("versions.neighbours", where)
    assert (neighbour.level, neighbour.found) == ("note", "1 neighbour installed: ddtrace 4.16.1")
    assert foreign_python in worst("versions.python", where).found
    assert worst("selftest.booked", where).level == "note"


def test_no_neighbour_is_well(directory, tmp_path):
    """An environment without any."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    assert worst("versions.neighbours", scene(directory, python=str(script))).level == "ok"


@pytest.mark.parametrize(
    ("python", "level"),
    [([3, 10, 1, "CPython"], "problem"), ([3, 11, 9, "PyPy"], "warning"), ([3, 14, 0, "CPython"], "ok")],
)
def test_a_python_that_is_not_supported_is_told(python, level, directory, tmp_path):
    """An interpreter that says it is another one."""
    answer = json.dumps({"python": python[:3], "implementation": python[3], "packages": {}})
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho '{answer}'\n")
    script.chmod(0o755)
    assert worst("versions.python", scene(directory, python=str(script))).level == level


@pytest.mark.parametrize(
    ("name", "shared", "level", "word"),
    [
        ("linux", True, "ok", "Linux"), ("linux", False, "note", "/dev/shm"),
        ("darwin", False, "note", "posix_fallocate"), ("win32", False, "problem", "accounting is off"),
    ],
)  # fmt: skip
def test_each_platform_says_what_it_lacks(name, shared, level, word):
    """Windows: accounting is off. macOS: with what it has."""
    (found,) = versions.on_platform(name, shared=shared, fallocate=name == "linux")
    assert (found.level, word in found.found) == (level, True)


def test_this_platform_is_well(directory):
    """Where the tests run."""
    assert worst("versions.system", scene(directory)).level == "ok"


# -- settings


def test_each_setting_is_told_with_its_value_and_its_source(directory, tmp_path, monkeypatch):
    """Option, variable, file, default; a secret and a password are not shown, a wrong one counts as its default."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afterword.toml").write_text("deadline = 60\nslots = 1\n")
    monkeypatch.setenv("AFTERWORD_TOKEN", "hush" * 5)
    monkeypatch.setenv("AFTERWORD_OTLP_ENDPOINT", "http://me:hush@collector:4318")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    found = [one.found for one in check("settings.values", scene(directory))]
    assert f"dir is {directory} (--dir)" in found
    assert "deadline is 60 (afterword.toml)" in found
    assert "slots is 4096 (default: afterword.toml cannot be used)" in found
    assert "token is set, and not shown (AFTERWORD_TOKEN)" in found
    assert "otlp_endpoint is http://collector:4318 (AFTERWORD_OTLP_ENDPOINT)" in found
    assert "service is shop (OTEL_SERVICE_NAME)" in found
    assert "start_deadline is 60 (default)" in found
    assert "hush" not in str(found)


def test_wrong_and_unknown_settings_are_problems(directory, monkeypatch):
    """In the words of the settings themselves."""
    assert worst("settings.wrong", scene(directory)).level == "ok"
    monkeypatch.setenv("AFTERWORD_SLOTS", "1")
    monkeypatch.setenv("AFTERWORD_LISTENN", "x")
    assert [(one.level, one.found) for one in check("settings.wrong", scene(directory))] == [
        ("problem", "AFTERWORD_LISTENN is no setting; did you mean AFTERWORD_LISTEN?"),
        ("problem", "AFTERWORD_SLOTS is '1'; allowed: a whole number from 64 to 524288"),
    ]


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("settings.disabled", "AFTERWORD_DISABLED", "1"),
        ("settings.time_scale", "AFTERWORD_TIME_SCALE", "30"),
        ("settings.debugging", "AFTERWORD_RAISE", "1"),
    ],
)
def test_what_is_for_tests_and_demos_is_a_warning(name, variable, value, directory, monkeypatch):
    """Accounting off, a fast clock, errors raised."""
    monkeypatch.delenv(variable, raising=False)
    assert worst(name, scene(directory)).level == "ok"
    monkeypatch.setenv(variable, value)
    found = worst(name, scene(directory))
    assert (found.level, variable in found.do) == ("warning", True)


def test_a_mistake_in_the_table_of_the_alerts_is_told_with_its_line(directory, tmp_path, monkeypatch):
    """As `afterword alerts` would."""
    monkeypatch.chdir(tmp_path)
    assert worst("settings.alerts", scene(directory)).level == "ok"
    (tmp_path / "afterword.toml").write_text("[alerts]\nobjektive = 0.9\n")
    found = worst("settings.alerts", scene(directory))
    assert (found.level, "line 2" in found.found) == ("problem", True)


# -- the self-test


@pytest.mark.framework
def test_one_task_is_booked_in_this_environment(directory):
    """To its end, in a directory that is gone afterwards."""
    before = set(Path("/dev/shm").glob("afterword-doctor-*"))
    (found,) = check("selftest.booked", scene(directory))
    assert (found.level, found.found) == (
        "ok", "one background task was booked to its end: scheduled 1, started 1, succeeded 1",
    )  # fmt: skip
    assert set(Path("/dev/shm").glob("afterword-doctor-*")) <= before
    assert not list(directory.iterdir())


def test_switched_off_accounting_fails_the_self_test_and_says_so(directory, monkeypatch, tmp_path):
    """By the variable, and by the file in this folder."""
    monkeypatch.setenv("AFTERWORD_DISABLED", "1")
    assert "AFTERWORD_DISABLED" in worst("selftest.booked", scene(directory)).found
    monkeypatch.delenv("AFTERWORD_DISABLED")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afterword.toml").write_text("disabled = true\n")
    found = worst("selftest.booked", scene(directory))
    assert (found.level, "switched off" in found.found) == ("problem", True)


def test_broken_hooks_fail_the_self_test(directory, tmp_path, monkeypatch):
    """A neighbour that takes the hooks out, as a sitecustomize of the environment does."""
    (tmp_path / "sitecustomize.py").write_text("import afterword\nafterword.instrument = lambda app: app\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = worst("selftest.booked", scene(directory))
    assert (found.level, '"scheduled": 0' in found.found) == ("problem", True)
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['afterword'] = None\n")
    found = worst("selftest.booked", scene(directory))
    assert (found.level, "ModuleNotFoundError" in found.found) == ("problem", True)


def test_a_self_test_that_hangs_comes_to_an_end(directory, tmp_path, monkeypatch):
    """Within its limit."""
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(selftest, "SECONDS", 0.2)
    assert "did not end within" in worst("selftest.booked", scene(directory, python=str(tmp_path / "python"))).found


# -- the sidecar

OF_THE_SIDECAR = ("answers", "ready", "version", "scan", "directory", "owner")


@pytest.fixture
def sidecar(children, directory) -> Sidecar:
    """A real one, serving."""
    made = Sidecar(children, directory)
    made.text()
    return made


def url_of(sidecar: Sidecar) -> str:
    """Where it answers."""
    return f"http://127.0.0.1:{sidecar.port}"


def test_a_sidecar_beside_an_application_is_well(children, directory, sidecar):
    """Every check of it."""
    shop(children, AFTERWORD_DIR=str(directory))
    where = scene(directory, url_of(sidecar))
    levels = {name: worst(f"sidecar.{name}", where).level for name in OF_THE_SIDECAR}
    assert levels == dict.fromkeys(OF_THE_SIDECAR, "ok")


def test_no_sidecar_is_a_problem_where_it_was_named_and_a_warning_where_not(directory, monkeypatch):
    """Nothing else of it is told then; an application that serves its own page needs none."""
    where = scene(directory)
    assert worst("sidecar.answers", where).level == "problem"
    assert [check(f"sidecar.{name}", where) for name in (*OF_THE_SIDECAR[1:], "history")] == [[]] * 6
    monkeypatch.setenv("AFTERWORD_LISTEN", f"0.0.0.0:{free_port()}")
    unnamed = gather({"dir": str(directory)}, sidecar=None, prometheus=None, python=None)
    found = worst("sidecar.answers", unnamed)
    assert (found.level, found.do) == ("warning", f"afterword sidecar --dir {directory}")
    monkeypatch.setenv("AFTERWORD_METRICS", "/afterword-metrics")
    unnamed = gather({"dir": str(directory)}, sidecar=None, prometheus=None, python=None)
    assert worst("sidecar.answers", unnamed).level == "note"


def test_another_program_on_the_port_is_told(directory, black_hole):
    """One that speaks HTTP, and one that is silent."""
    with serving({"/healthz": (200, "hello")}) as (url, _):
        found = worst("sidecar.answers", scene(directory, url))
        assert (found.level, "not as a sidecar does" in found.found) == ("problem", True)
    found = worst("sidecar.answers", scene(directory, black_hole))
    assert (found.level, "another program" in found.found) == ("problem", True)


def test_a_sidecar_of_another_directory_is_told(children, directory, tmp_path):
    """By what it says of itself, or by what it reads."""
    shop(children, AFTERWORD_DIR=str(directory))
    other = Sidecar(children, tmp_path / "other")
    other.text()
    assert worst("sidecar.directory", scene(directory, url_of(other))).level in ("warning", "problem")


def test_a_sidecar_that_cannot_use_the_directory_is_told(directory, sidecar):
    """What it answers at /readyz."""
    directory.chmod(0o777)
    found = worst("sidecar.ready", scene(directory, url_of(sidecar)))
    assert (found.level, "writable by others" in found.found) == ("problem", True)


def test_what_the_sidecar_leaves_aside_is_told(directory, sidecar):
    """Its own counters."""
    (directory / f"{uuid.uuid4().hex}.ledger").write_bytes(b"x")
    found = worst("sidecar.scan", scene(directory, url_of(sidecar)))
    assert (found.level, "afterword_sidecar_unreadable_ledgers 1" in found.found) == ("warning", True)


def test_a_sidecar_of_another_version_is_told(directory, sidecar):
    """Its ledgers are the application's: these say afterword `test`."""
    made = owner(directory)
    try:
        found = worst("sidecar.version", scene(directory, url_of(sidecar)))
    finally:
        close_file(made)
    assert (found.level, f"the sidecar is afterword {__version__}, the application test" in found.found) == (
        "warning",
        True,
    )


@AS_ROOT
def test_a_sidecar_of_another_user_is_told(directory, sidecar):
    """Root beside an application that is not; a nobody beside somebody else's directory."""
    os.chown(directory, NOBODY, NOBODY)
    found = worst("sidecar.owner", scene(directory, url_of(sidecar)))
    assert (found.level, "runs as root" in found.found) == ("warning", True)


def test_trouble_of_the_history_is_told(directory):
    """From /api/status."""
    for history, level in (
        ({"kept": 3, "limit": 10, "missed": 0, "problem": ""}, "ok"),
        ({"kept": 3, "limit": 10, "missed": 2, "problem": ""}, "note"),
        ({"kept": 3, "limit": 10, "missed": 0, "problem": "disk full"}, "warning"),
    ):
        status = json.dumps({"sidecar": {"history": history, "directory": "/elsewhere", "version": "9"}})
        with serving({"/healthz": (200, "ok\n"), "/api/status": (200, status)}) as (url, _):
            where = scene(directory, url)
            assert worst("sidecar.history", where).level == level
            assert worst("sidecar.directory", where).found == f"it watches /elsewhere, this looks at {directory}"


def test_a_token_goes_only_to_who_asks_for_one_and_never_elsewhere(directory, monkeypatch):
    """401 is told where there is none; a redirect is not followed."""
    with serving({"/healthz": (200, "ok\n"), "/metrics": (401, ""), "/readyz": (302, "/stolen")}) as (url, asked):
        where = scene(directory, url)
        assert "it wants a token" in worst("sidecar.scan", where).found
        monkeypatch.setenv("AFTERWORD_TOKEN", "hush" * 5)
        where = scene(directory, url)
        assert worst("sidecar.scan", where).level == "warning"
        assert worst("sidecar.ready", where).level == "problem"
    shown = [(one["path"], one["authorization"]) for one in asked if "authorization" in one]
    assert shown == [("/metrics", f"Bearer {'hush' * 5}")]
    assert all(one["path"] != "/stolen" for one in asked)


def test_a_sidecar_with_a_token_is_looked_at_with_it(children, directory, monkeypatch):
    """AFTERWORD_TOKEN; without it everything but the probes is refused, and that is told."""
    token = "hush" * 5
    made = Sidecar(children, directory, AFTERWORD_TOKEN=token)
    where = scene(directory, url_of(made))
    until(lambda: scene(directory, url_of(made)).sidecar_silent is None)
    names = ("answers", "ready", "version", "scan")
    found = [one for name in names for one in check(f"sidecar.{name}", where)]
    assert [(one.check, one.level) for one in found] == [
        ("sidecar.answers", "ok"), ("sidecar.ready", "ok"), ("sidecar.scan", "warning"),
    ]  # fmt: skip
    monkeypatch.setenv("AFTERWORD_TOKEN", token)
    where = scene(directory, url_of(made))
    assert [worst(f"sidecar.{name}", where).level for name in names] == ["ok"] * 4
    monkeypatch.setenv("AFTERWORD_TOKEN", "wrong" * 5)
    assert "AFTERWORD_TOKEN is not its token" in worst("sidecar.scan", scene(directory, url_of(made))).found


# -- Prometheus


class Prometheus:
    """A real one with a configuration of the test's own."""

    def __init__(self, children: Children, jobs: str, more: str = "", *flags: str) -> None:
        self.folder = children.folder
        (self.folder / "prometheus.yml").write_text(
            f"global: {{evaluation_interval: 1s}}\nscrape_configs: [{jobs}]\n{more}"
        )
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        child = children.start(
            binary("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
            f"--web.listen-address=127.0.0.1:{port}", *flags,
        )  # fmt: skip
        children.answering(child, port)
        until(lambda: web.Site(self.url).get("/-/ready").status == 200, 20)


def job(port: int, name: str = "afterword", interval: str = "1s") -> str:
    """A scrape configuration of one target."""
    return f'{{job_name: {name}, scrape_interval: {interval}, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}'


OF_PROMETHEUS = ("answers", "targets", "series", "loaded", "current", "exemplars", "alertmanagers", "firing")


def test_a_prometheus_with_everything_is_well(children, directory, sidecar):
    """It scrapes, has the rules of this version, keeps exemplars and tells an Alertmanager."""
    children.python("-m", "afterword", "alerts", "-o", "rules.yml").wait()
    manager = f'alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{free_port()}"]}}]}}]}}\n'
    made = Prometheus(
        children, job(sidecar.port), f"rule_files: [rules.yml]\n{manager}", "--enable-feature=exemplar-storage"
    )
    until(lambda: worst("prometheus.series", scene(directory, url_of(sidecar), made.url)).level == "ok", 20)
    until(lambda: worst("prometheus.alertmanagers", scene(directory, url_of(sidecar), made.url)).level == "ok", 20)
    found = {name: worst(f"prometheus.{name}", scene(directory, url_of(sidecar), made.url)) for name in OF_PROMETHEUS}
    assert {name: one.level for name, one in found.items()} == dict.fromkeys(OF_PROMETHEUS, "ok"), found


def test_a_prometheus_that_knows_nothing_of_us_is_told_so(children, directory, sidecar):
    """No target, no series, no rules, no Alertmanager, no exemplars; the target to add is in the line to type."""
    made = Prometheus(children, job(free_port(), "other"))
    where = scene(directory, url_of(sidecar), made.url)
    assert check("prometheus.current", where) == []
    levels = {name: worst(f"prometheus.{name}", where).level for name in OF_PROMETHEUS if name != "current"}
    assert levels == {
        "answers": "ok", "targets": "problem", "series": "problem", "loaded": "problem", "exemplars": "note",
        "alertmanagers": "warning", "firing": "ok",
    }  # fmt: skip
    assert f'targets: ["127.0.0.1:{sidecar.port}"]' in worst("prometheus.targets", where).do


def test_targets_that_are_down_slow_or_misnamed_are_told(children, directory, sidecar):
    """Each with its reason: nobody listens, every five minutes, a job that the rules do not watch."""
    gone = free_port()
    jobs = ", ".join((job(gone), job(sidecar.port, "shop"), job(sidecar.port, "afterword-slow", "5m")))
    made = Prometheus(children, jobs)
    until(
        lambda: "connection refused" in str(check("prometheus.targets", scene(directory, url_of(sidecar), made.url))),
        20,
    )
    found = check("prometheus.targets", scene(directory, url_of(sidecar), made.url))
    problems = [one.found for one in found if one.level == "problem"]
    assert any(f"http://127.0.0.1:{gone}/metrics is down (job afterword)" in text for text in problems)
    assert any("is scraped as job 'shop', which the rules do not watch" in text for text in problems)
    assert [one.found for one in found if one.level == "warning"] == [
        f"http://127.0.0.1:{sidecar.port}/metrics is scraped every 300 s; the rules need it every 60 s"
    ]


def test_rules_that_differ_are_missing_or_fail_are_told(children, directory, sidecar):
    """One with another threshold, one taken out, one that no version generates, one that cannot be evaluated."""
    children.python("-m", "afterword", "alerts", "-o", "rules.yml").wait()
    rules = (children.folder / "rules.yml").read_text()
    fields = re.split(r"(?m)(?=^      - alert: )", rules)
    kept = "".join(one for one in fields if '"AfterwordTaskFailed"' not in one)
    late = kept.replace("afterword_task_start_deadline_seconds", "2 * afterword_task_start_deadline_seconds")
    rule = '{alert: AfterwordOwn, expr: "up + on() up"}'
    own = f"  - name: own\n    rules:\n      - {rule}\n"
    (children.folder / "rules.yml").write_text(late + own)
    made = Prometheus(children, f"{job(sidecar.port)}, {job(sidecar.port, 'other')}", "rule_files: [rules.yml]\n")
    until(
        lambda: "AfterwordOwn cannot be evaluated" in str(check("prometheus.loaded", scene(directory, None, made.url))),
        30,
    )
    found = check("prometheus.loaded", scene(directory, None, made.url))
    assert any("1 rule of " in one.found and "missing: AfterwordTaskFailed" in one.found for one in found)
    assert any("does not generate" in one.found or "do not generate" in one.found for one in found)
    (different,) = check("prometheus.current", scene(directory, None, made.url))
    assert (different.level, "AfterwordTaskLate" in different.found) == ("warning", True)
    assert "AfterwordTaskLost" not in different.found


def test_alerts_that_fire_are_told(children, directory):
    """A sidecar that is down, by a rule that does not wait."""
    rule = '{alert: AfterwordSidecarDown, expr: "up == 0"}'
    (children.folder / "rules.yml").write_text(f"groups: [{{name: own, interval: 1s, rules: [{rule}]}}]\n")
    made = Prometheus(children, job(free_port()), "rule_files: [rules.yml]\n")
    until(lambda: worst("prometheus.firing", scene(directory, None, made.url)).level == "note", 60)
    assert (
        "AfterwordSidecarDown fires (127.0.0.1:" in worst("prometheus.firing", scene(directory, None, made.url)).found
    )


def test_no_prometheus_is_a_problem_where_it_was_named_and_else_a_note(directory, black_hole):
    """And nothing else of it is told, also when it never answers."""
    for url in (f"http://127.0.0.1:{free_port()}", black_hole):
        where = scene(directory, None, url)
        assert worst("prometheus.answers", where).level == "problem"
        assert [check(f"prometheus.{name}", where) for name in OF_PROMETHEUS[1:]] == [[]] * 7


def test_one_that_is_too_old_or_none_at_all_is_told(directory):
    """By what it says of its build; the password of a URL is sent, and never shown."""
    build = {"/api/v1/status/buildinfo": (200, '{"data": {"version": "2.30.1"}}')}
    with serving(build) as (url, asked):
        found = worst("prometheus.answers", scene(directory, None, url.replace("//", "//me:hush@")))
        assert (found.level, "Prometheus 2.30.1 is older than 2.42" in found.found) == ("problem", True)
        assert asked[-1]["authorization"] == "Basic bWU6aHVzaA=="
    with serving({"/-/ready": (200, "hello")}) as (url, _):
        where = scene(directory, None, url.replace("//", "//me:hush@"))
        found = worst("prometheus.answers", where)
        assert (found.level, "not as Prometheus does" in found.found, "hush" in str(found)) == ("problem", True, False)
        assert check("prometheus.loaded", where) == []


def test_the_interval_that_rules_need_follows_the_clock():
    """Two scrapes within what AfterwordSidecarDown waits."""
    assert (prometheus.longest_interval(1), prometheus.longest_interval(1000)) == (60, 5)


# -- the command


def test_nothing_hangs_on_a_black_hole(directory, black_hole):
    """The whole command with a sidecar and a Prometheus that never answer."""
    began = time.monotonic()
    done = doctor("--dir", str(directory), "--sidecar", black_hole, "--prometheus", black_hole)
    assert done.returncode == 1
    assert time.monotonic() - began < 25
    assert "no answer within 2 s" in done.stdout


def test_the_exit_status_says_whether_there_is_a_problem():
    """A warning counts with --strict, a note never."""
    for findings, status, strict in (([ok("a"), note("b")], 0, 0), ([warning("c")], 0, 1), ([problem("d")], 1, 1)):
        tally = report.Tally()
        list(report.lines(findings, tally, colour=False))
        assert (tally.status(strict=False), tally.status(strict=True)) == (status, strict)


def test_the_command_exits_with_what_it_found(directory, children, sidecar):
    """0 with an application and its sidecar, 1 for an open directory."""
    shop(children, AFTERWORD_DIR=str(directory))
    arguments = ("--dir", str(directory), "--sidecar", url_of(sidecar))
    done = doctor(*arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    directory.chmod(0o777)
    assert doctor(*arguments).returncode == 1


def test_json_has_what_the_report_has(directory, sidecar):
    """Its shape is stable, its counts are right."""
    found = json.loads(doctor("--dir", str(directory), "--sidecar", url_of(sidecar), "--json").stdout)
    assert sorted(found) == ["findings", "notes", "problems", "version", "warnings"]
    assert {tuple(sorted(one)) for one in found["findings"]} == {("check", "do", "found", "level")}
    assert found["warnings"] == sum(one["level"] == "warning" for one in found["findings"]) > 0
    order = [one.name for one in CHECKS]
    assert [one["check"] for one in found["findings"]] == sorted(
        (one["check"] for one in found["findings"]), key=order.index
    )


def test_colour_is_for_terminals_that_want_it():
    """Not for a pipe, not with NO_COLOR."""
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream, os.fdopen(controller):
        assert report.wants_colour(stream, {"TERM": "xterm"})
        assert not report.wants_colour(stream, {"TERM": "xterm", "NO_COLOR": "1"})
        assert not report.wants_colour(stream, {"TERM": "dumb"})
    with Path(os.devnull).open("w") as stream:
        assert not report.wants_colour(stream, {})
    shown = "\n".join(report.lines([Finding("problem", "bad", "mend", "a.b")], report.Tally(), colour=True))
    assert "\033[1;31mproblem " in shown
    plain = list(report.lines([Finding("problem", "bad", "mend", "a.b")], report.Tally(), colour=False))
    assert plain == ["a", "  problem  bad [a.b]", "           -> mend", "", "1 problem, 0 warnings, 0 notes"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--dir here", "--dir is 'here'; allowed: an absolute path"),
        ("--sidecar localhost", "--sidecar is 'localhost'; allowed: a URL that begins with http:// or https://"),
        (
            "--prometheus file:///etc",
            "--prometheus is 'file:///etc'; allowed: a URL that begins with http:// or https://",
        ),
        ("--python /none", "--python is '/none'; allowed: the path of a Python interpreter"),
        ("--app shop:app --prometheus http://x", "--prometheus looks at a machine, --app at code: one at a time"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments, sentence, capsys):
    """Exit status 2."""
    assert cli.main(["doctor", *arguments.split()]) == 2
    assert capsys.readouterr().err == f"afterword: {sentence}\n"


def test_a_check_that_fails_or_hangs_costs_no_other(directory):
    """It is a finding of its own; what it had found before stays."""

    def fails(_: Scene) -> Iterator[Finding]:
        yield ok("so far")
        raise ZeroDivisionError("by\x1b zero")

    def hangs(_: Scene) -> Iterator[Finding]:
        threading.Event().wait()
        yield ok("never")

    checks = [Check("a.fails", fails), Check("a.hangs", hangs, seconds=0.1), Check("a.well", lambda _: [ok("fine")])]
    found = list(examine(scene(directory), checks))
    assert [(one.check, one.level) for one in found] == [
        ("a.fails", "ok"), ("a.fails", "problem"), ("a.hangs", "problem"), ("a.well", "ok"),
    ]  # fmt: skip
    assert "ZeroDivisionError: by\\x1b zero" in found[1].found
    with pytest.raises(TookTooLongError):
        within(0.01, threading.Event().wait)


def test_the_page_knows_every_check():
    """The table of docs/doctor.md is the registry; no name is there twice."""
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\| `(\w+\.\w+)` \| (.*) \|$", page) == [(one.name, one.claims) for one in CHECKS]
    assert len({one.name for one in CHECKS}) == len(CHECKS)
    assert all(one.claims.endswith(".") for one in CHECKS)


# -- an application's code

APP = """
import asyncio
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

async def mail() -> None: ...

@app.get("/")
async def index(tasks: BackgroundTasks) -> str:
    {line}
    return "sent"
"""


@pytest.mark.parametrize(("line", "status"), [("tasks.add_task(mail)", 0), ("asyncio.create_task(mail())", 1)])
def test_the_code_of_an_application_is_told_like_a_linter_does(line, status, tmp_path, monkeypatch, capsys):
    """file:line:column: CODE problem, and the fix below."""
    (tmp_path / "shop.py").write_text(APP.format(line=line))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["doctor", "--app", "shop:app"]) == status
    told = capsys.readouterr().out
    if status:
        assert re.match(r"shop\.py:11:5: [A-Z]+\d+ \S.*\n    \S", told), told
    assert told.endswith(f"{status or 'no'} finding{'' if status else 's'} in 1 file\n")
    assert cli.main(["doctor", "--app", "shop:app", "--json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == len(found["findings"]) == status


def test_an_application_that_cannot_be_imported_is_a_problem(tmp_path, monkeypatch, capsys):
    """Exit status 1, counted, and the last line says what was not looked at."""
    (tmp_path / "shop.py").write_text(f"import not_there_at_all\n{APP.format(line='tasks.add_task(mail)')}")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["doctor", "--app", "shop:app"]) == 1
    told = capsys.readouterr()
    assert "No module named 'not_there_at_all'" in told.err
    assert told.out == (
        "no findings in 1 file, but the application was not imported: what only exists then was not looked at\n"
    )
    assert cli.main(["doctor", "--app", "shop:app", "--json", "--strict"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["problems"], found["findings"]) == (1, [])


def test_an_application_that_is_not_there_is_one_sentence(tmp_path):
    """Exit status 2."""
    done = doctor("--app", "none:app", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_books_say_how_long_a_task_usually_runs(directory):
    """Of the ledgers that lie there; a directory that is not there has no books."""
    assert usual_run_times(directory / "none") == {}
    made = owner(directory)
    try:
        mail = account(made)
        for _ in range(20):
            run_to_the_end(mail)
        assert usual_run_times(directory) == {"mail": 0.01}
    finally:
        close_file(made)
