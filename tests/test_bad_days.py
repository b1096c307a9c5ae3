"""Bad days: no space, no right, no descriptor, no file. The application works; what is off says so, once."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterword.books.bookkeeper import Bookkeeper
from afterword.books.directory import problem_with
from tests.helpers import Books, Child, until
from tests.ledgers import key
from tests.sidecars import NOBODY, SHOP, Sidecar, Writer, shop

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to become somebody else")
FINISHED, LOST = "afterword_tasks_finished_total", "afterword_tasks_lost_total"
_SYS_ADMIN = 1 << 21


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """``mount(path, *arguments)``: a real mount, undone at the end of the test."""
    found = re.search(r"^CapEff:\s+(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None or not int(found[1], 16) & _SYS_ADMIN:
        pytest.skip("needs root and CAP_SYS_ADMIN: to mount a file system of its own")
    mounted: list[Path] = []

    def mount_it(path: Path, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(path)], check=True, timeout=10)
        if path not in mounted:
            mounted.append(path)

    yield mount_it
    for path in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(path)], check=True, timeout=10)


def small(path: Path, mount: Callable[..., None]) -> None:
    """A tmpfs too small for one ledger."""
    mount(path, "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs")


def full(path: Path, mount: Callable[..., None]) -> None:
    """A tmpfs that was large enough and is full to the last byte."""
    mount(path, "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs")
    fill(path)


def read_only(path: Path, mount: Callable[..., None]) -> None:
    """A bind mount without the right to write, for root too."""
    mount(path, "--bind", str(path))
    mount(path, "-o", "remount,bind,ro", str(path))


def no_inodes(path: Path, mount: Callable[..., None]) -> None:
    """Space there is, but no entry for another file."""
    mount(path, "-t", "tmpfs", "-o", "size=4m,mode=0700,nr_inodes=1", "tmpfs")


def open_to_all(path: Path, _: Callable[..., None]) -> None:
    """Anybody could put a ledger there."""
    path.chmod(0o777)


def a_file(path: Path, _: Callable[..., None]) -> None:
    """A file lies where the directory should be."""
    path.rmdir()
    path.touch()


def a_link(path: Path, _: Callable[..., None]) -> None:
    """The directory is a link to somewhere else."""
    path.rmdir()
    path.with_name("elsewhere").mkdir()
    path.symlink_to(path.with_name("elsewhere"))


def fill(path: Path) -> Path:
    """Write until nothing more fits."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def get(port: int, path: str) -> int:
    """One request over a connection of its own; its status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def said(child: Child) -> list[str]:
    """What afterword wrote to the application's stderr."""
    return [line for line in child.output.splitlines() if line.startswith("afterword: ")]


# -- the directory cannot be used


@pytest.mark.parametrize(
    ("spoil", "why", "reason"),
    [
        (small, "less than 1312 KiB free", "no_space"),
        (full, "less than 1312 KiB free", "no_space"),
        (read_only, "Read-only file system", None),
        (no_inodes, "No space left on device", None),
        (open_to_all, "is writable by others (mode 0777); it must be 0700", "wrong_mode"),
        (a_file, "File exists", None),
        (a_link, "is not a directory (a link counts as none)", "not_a_directory"),
    ],
)
def test_an_application_works_without_its_directory_says_why_once_and_the_sidecar_shows_it(
    spoil, why, reason, children, directory, mount
):
    """A real server over a real file system; the requests, the line on stderr, the sidecar's series."""
    path = directory / "ledgers"
    path.mkdir(mode=0o700)
    spoil(path, mount)
    server, port = shop(children, "--workers", "1", AFTERWORD_DIR=str(path))
    assert [get(port, "/mail") for _ in range(20)] == [200] * 20
    (sentence,) = said(server)
    assert sentence.startswith("afterword: accounting is off (")
    assert sentence.endswith("). The application is not affected.")
    assert why in sentence
    books = Books(path)
    assert str(path) in (problem_with(path) or "")
    assert books.scrape("afterword_sidecar_directory_usable") == 0
    assert books.by("afterword_sidecar_unaccounted_processes", "reason") == ({reason: 1} if reason else {})
    assert server.stop() in (0, -signal.SIGTERM)
    assert "Traceback" not in server.output


_AS_NOBODY = """
import os, sys
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
import afterword

def shop():
    app = FastAPI(title="shop")
    @app.get("/mail")
    async def mail(tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, 1)
        return "sent"
    return app

done = []
warm = afterword.instrument(shop(), dir=sys.argv[2], metrics="/metrics")  # imports what is imported late
with TestClient(warm) as client:
    client.get("/mail"), client.get("/metrics")
afterword.uninstrument(warm)
os.setgid(65534); os.setuid(65534)
app = afterword.instrument(shop(), dir=sys.argv[1], metrics="/metrics")
with TestClient(app) as client:
    print([client.get("/mail").status_code for _ in range(3)], len(done), client.get("/metrics").status_code)
"""


@AS_ROOT
@pytest.mark.parametrize(
    ("owner", "mode", "why"),
    [
        (0, 0o755, "Permission denied"),
        (0, 0o700, "Permission denied"),
        (12345, 0o755, "belongs to uid 12345, not to 65534"),
        (NOBODY, 0o500, "Permission denied"),
        (NOBODY, 0o700, None),
    ],
)
def test_an_application_of_another_user_works_and_says_why_there_are_no_books(
    owner, mode, why, children, directory, tmp_path
):
    """Wrong owner or wrong mode, as a process that is not root."""
    directory.chmod(0o755)
    path = directory / "ledgers"
    path.mkdir()
    path.chmod(mode)
    os.chown(path, owner, owner)
    child = children.python("-W", "ignore", "-c", _AS_NOBODY, str(path), str(tmp_path / "warm"))
    assert child.wait() == 0, child.output
    sentences = said(child)
    assert child.output.splitlines()[-1] == "[200, 200, 200] 4 200"
    assert len(sentences) == (why is not None)
    assert all(why in sentence and "accounting is off" in sentence for sentence in sentences)


def test_an_application_whose_directory_cannot_be_made_works(children):
    """Below /proc nobody makes anything."""
    server, port = shop(children, AFTERWORD_DIR="/proc/none/ledgers")
    assert get(port, "/mail") == 200
    (sentence,) = said(server)
    assert "no ledger can be written in /proc/none/ledgers: No such file or directory" in sentence


def test_each_worker_without_a_ledger_is_counted_while_it_lives(children, directory, mount):
    """Two workers on a full disk, then none; their notes go with them."""
    full(directory, mount)
    server, port = shop(children, "--workers", "2", AFTERWORD_DIR=str(directory))
    sidecar = Sidecar(children, directory)
    assert get(port, "/mail") == 200
    until(lambda: sidecar.by("afterword_sidecar_unaccounted_processes", "reason") == {"no_space": 2})
    server.stop()
    until(lambda: not sidecar.by("afterword_sidecar_unaccounted_processes", "reason"))


# -- no descriptors

_EXHAUST = """
import anyio.to_thread

@app.get("/exhaust")
async def exhaust() -> int:
    n = 0
    await anyio.to_thread.run_sync(int)  # the pool imports late; that is not what is tested
    try:
        while os.open("/dev/null", os.O_RDONLY):
            n += 1
    except OSError:
        return n
"""


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_an_application_without_a_free_descriptor_works(children, directory, lifespan):
    """With a ledger from before it goes on counting; without one it says why there is none."""
    (children.folder / "tired_app.py").write_text(SHOP + _EXHAUST)
    server, port = children.uvicorn("tired_app:app", "--lifespan", lifespan, AFTERWORD_DIR=str(directory))
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as connection:
        for path in ("/exhaust", "/mail", "/mail", "/mail"):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True), server.output
    if lifespan == "on":
        books = Books(directory)
        until(lambda: books.scrape(FINISHED, task="tired_app.mail", outcome="succeeded") == 3)
        assert said(server) == []
    else:
        (sentence,) = said(server)
        assert "Too many open files" in sentence


# -- files go while the application runs


def test_a_directory_deleted_under_application_and_sidecar_is_made_again_by_the_next(children, directory):
    """Nothing fails, nothing is lost that lives, and new processes keep books again."""
    sidecar = Sidecar(children, directory)
    server, port = shop(children, AFTERWORD_DIR=str(directory))
    assert get(port, "/mail") == 200
    until(lambda: sidecar.scrape(FINISHED, outcome="succeeded") == 1)
    shutil.rmtree(directory)
    assert get(port, "/mail") == 200
    until(lambda: sidecar.scrape(FINISHED, outcome="succeeded") == 2)
    assert sidecar.scrape("afterword_sidecar_directory_usable") == 0
    second, second_port = shop(children, AFTERWORD_DIR=str(directory))
    assert get(second_port, "/mail") == 200
    until(lambda: sidecar.scrape(FINISHED, outcome="succeeded") == 3)
    assert sidecar.scrape("afterword_sidecar_directory_usable") == 1
    assert sidecar.scrape(LOST) is None
    assert (said(server), said(second)) == ([], [])


# -- the carried totals


@pytest.fixture
def after_a_death(directory: Path) -> Path:
    """A directory in which one process was killed with two running runs, and has been folded."""
    kill_one(directory)
    assert lost(Bookkeeper(directory)) == 2
    assert (directory / "carried.json").exists()
    assert not list(directory.glob("*.ledger"))
    return directory


def kill_one(directory: Path) -> None:
    """A process that leaves two running runs."""
    writer = Writer(directory)
    writer.do("run", 2)
    writer.kill()


def lost(bookkeeper: Bookkeeper) -> int:
    """Lost runs in one scan."""
    return bookkeeper.scan().totals.task(key()).lost.total()


def as_other_format(raw: bytes) -> bytes:
    """Whole and well, but not of our time."""
    return json.dumps({**json.loads(raw), "format": 99}).encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:0],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-1],
        lambda raw: os.urandom(len(raw)),
        lambda raw: raw[:1] + b"[" * 100_000,
        lambda raw: raw[:0] + b"null",
        as_other_format,
        lambda raw: raw.replace(b'"scheduled":2', b'"scheduled":-2'),
        lambda raw: raw.replace(b'"scheduled":2', b'"scheduled":NaN'),
        lambda raw: raw.replace(b'"run_seconds":0.0', b'"run_seconds":NaN'),
        lambda raw: raw.replace(b'"started":[', b'"started":[0,'),
    ],
)
def test_carried_totals_that_make_no_sense_are_kept_aside_and_counted(after_a_death, spoil, caplog):
    """Counters begin anew, as after a restart; the next death is counted, and a person can look at the file."""
    carried = after_a_death / "carried.json"
    before = carried.read_bytes()
    carried.write_bytes(spoil(before))
    assert carried.read_bytes() != before
    bookkeeper = Bookkeeper(after_a_death)
    assert [lost(bookkeeper), bookkeeper.scan().fold_errors] == [0, 1]
    kill_one(after_a_death)
    assert [lost(bookkeeper), lost(bookkeeper), lost(Bookkeeper(after_a_death))] == [2, 2, 2]
    assert len(list(after_a_death.glob("carried.json.corrupt-*"))) == 1
    assert caplog.text.count("is corrupt") == 1


def test_a_sidecar_over_spoilt_totals_serves(after_a_death, children):
    """It starts, says it once, and counts from there."""
    (after_a_death / "carried.json").write_bytes(b"{")
    sidecar = Sidecar(children, after_a_death)
    assert sidecar.scrape("afterword_sidecar_fold_errors_total") == 1
    assert sidecar.scrape(LOST) is None
    kill_one(after_a_death)
    assert until(lambda: sidecar.scrape(LOST)) == 2
    assert sidecar.child.output.count("is corrupt") == 1


def test_carried_totals_that_are_a_link_are_not_followed(after_a_death, tmp_path):
    """Neither read nor written through."""
    carried, target = after_a_death / "carried.json", tmp_path / "target"
    shutil.move(carried, target)
    before = target.read_bytes()
    carried.symlink_to(target)
    kill_one(after_a_death)
    bookkeeper = Bookkeeper(after_a_death)
    scan = bookkeeper.scan()
    assert scan.totals.task(key()).lost.total() == 2
    assert scan.fold_errors >= 1
    assert lost(bookkeeper) == 2
    assert target.read_bytes() == before


@AS_ROOT
def test_carried_totals_that_cannot_be_read_are_not_overwritten(after_a_death):
    """What one user's sidecar may not read it must not replace with less."""
    carried = after_a_death / "carried.json"
    for path in (after_a_death, *after_a_death.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    carried.chmod(0)
    kill_one(after_a_death)
    for path in after_a_death.glob("*.ledger"):
        os.chown(path, NOBODY, NOBODY)
    bookkeeper = Bookkeeper(after_a_death)
    os.seteuid(NOBODY)
    try:
        scan = bookkeeper.scan()
        bookkeeper.scan()
    finally:
        os.seteuid(0)
    assert scan.fold_errors >= 1
    carried.chmod(0o600)
    assert lost(Bookkeeper(after_a_death)) == 4


def test_a_disk_that_is_full_while_folding_costs_no_number(directory, mount, children):
    """The ledgers stay and are counted as they lie there; when there is room they are folded."""
    mount(directory, "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs")
    sidecar = Sidecar(children, directory)
    writers = [Writer(directory) for _ in range(4)]
    for writer in writers:
        writer.do("run", 2)
        writer.do("end", 1)
    assert sidecar.scrape(FINISHED, outcome="succeeded") == 4
    filler = fill(directory)
    for writer in writers:
        writer.kill()
    for _ in range(5):
        assert until(lambda: sidecar.scrape(LOST) == 8)
        assert sidecar.scrape(FINISHED, outcome="succeeded") == 4
    assert (sidecar.scrape("afterword_sidecar_fold_errors_total") or 0) + len(list(directory.glob("*.ledger"))) >= 4
    filler.unlink()
    until(lambda: sidecar.scrape(LOST) == 8 and not list(directory.glob("*.ledger")))
    assert sidecar.scrape(FINISHED, outcome="succeeded") == 4
    assert Bookkeeper(directory).scan().totals.task(key()).lost.total() == 8


def test_a_directory_that_became_read_only_still_shows_every_death(directory, mount, children):
    """Nothing can be folded; the numbers are right at each scrape, and after it is writable again."""
    sidecar = Sidecar(children, directory)
    writer = Writer(directory)
    writer.do("run", 2)
    read_only(directory, mount)
    writer.kill()
    assert [until(lambda: sidecar.scrape(LOST)) for _ in range(3)] == [2, 2, 2]
    assert sidecar.get("/readyz")[:2] == (503, f"{directory} is mounted read-only\n")
    subprocess.run(["mount", "-o", "remount,bind,rw", str(directory)], check=True, timeout=10)
    until(lambda: sidecar.get("/readyz")[0] == 200)
    assert sidecar.scrape(LOST) == 2
    assert not list(directory.glob("*.ledger"))


# -- many


def test_a_living_process_is_never_called_dead_however_hard_it_stops(children, directory):
    """Stopped by SIGSTOP it looks dead to a heartbeat; the lock says that it lives."""
    sidecar = Sidecar(children, directory)
    writer = Writer(directory)
    writer.do("run", 2)
    writer.process.send_signal(signal.SIGSTOP)
    since = time.monotonic()
    until(lambda: time.monotonic() - since > 1)
    assert (sidecar.scrape("afterword_tasks_running"), sidecar.scrape(LOST)) == (2, None)
    writer.process.send_signal(signal.SIGCONT)
    writer.do("end", 1)
    assert sidecar.scrape(FINISHED, outcome="succeeded") == 1
    writer.end()


def test_files_do_not_pile_up_over_many_restarts(directory, children):
    """Half of the processes are killed; what is left is one file of totals and a lock."""
    sidecar = Sidecar(children, directory)
    for n in range(4):
        writers = [Writer(directory) for _ in range(5)]
        for writer in writers:
            writer.do("end", 1)
            writer.do("run", 1)
        for writer in writers:
            writer.kill() if n % 2 else writer.leave()
    until(lambda: not list(directory.glob("*.ledger")))
    assert sidecar.scrape(FINISHED, outcome="succeeded") == 20
    assert sidecar.scrape(LOST) == 20
    there = sorted(path.name for path in directory.iterdir())
    assert there == [".bookkeeper.lock", "carried.json", "history.sqlite3"]
