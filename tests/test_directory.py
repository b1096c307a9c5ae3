"""What may lie in a ledger directory: whatever it is, it costs one counter and one log line, never the rest."""

import fcntl
import logging
import os
import shutil
import socket
import struct
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterword.books.bookkeeper import Bookkeeper
from afterword.books.directory import problem_with
from afterword.books.scan import Scan
from afterword.ledger import layout
from tests.helpers import Books
from tests.ledgers import key, owner, path_of
from tests.sidecars import NOBODY, Writer

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: devices, other users, mounts")
FAR_AWAY = 1000.0  # seconds


@pytest.fixture
def writer(directory: Path) -> Iterator[Callable[..., Writer]]:
    """Starts processes that keep a ledger in ``directory``; all are ended with the test."""
    started: list[Writer] = []

    def start() -> Writer:
        started.append(Writer(directory))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def good(writer: Callable[..., Writer]) -> Writer:
    """A living process with 3 ended, 2 running and 1 waiting run: the rest, which must stay the same."""
    process = writer()
    process.do("end", 3)
    process.do("run", 2)
    process.do("wait", 1)
    return process


def numbers(scan: Scan) -> tuple[int, ...]:
    """What the good ledger says, as five numbers."""
    books = scan.totals.task(key())
    return (books.scheduled, books.started_total, books.waiting, books.running, books.lost.total())


GOOD = (6, 5, 1, 2, 0)


def a_ledger(raw: bytes) -> tuple[str, bytes]:
    """A copy of a ledger under a name and uuid of its own, with a matching checksum."""
    name = uuid.uuid4()
    return f"{name.hex}.ledger", sealed(raw[:48] + name.bytes + raw[64:])


def sealed(raw: bytes) -> bytes:
    """``raw`` with the checksum its header needs."""
    return raw[:2040] + struct.pack("<Q", zlib.crc32(raw[:2040])) + raw[2048:]


def test_the_uuid_lies_where_these_tests_write_it(good):
    """Guards the byte offset that the tests below use."""
    raw = good.path.read_bytes()
    assert raw[48:64].hex() == good.path.stem
    assert layout.unpack_header(sealed(raw), len(raw)).uuid.hex() == good.path.stem


# -- each kind of thing that is no ledger


def symlink(path: Path, good: Path) -> None:
    """A link to a ledger that is fine."""
    path.symlink_to(good)


def dangling(path: Path, _: Path) -> None:
    """A link to nothing."""
    path.symlink_to("nothing")


def pipe(path: Path, _: Path) -> None:
    """A plain open would wait for a writer for ever."""
    os.mkfifo(path)


def unix_socket(path: Path, _: Path) -> None:
    """Cannot be opened at all."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def device(path: Path, _: Path) -> None:
    """/dev/zero never ends."""
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))


def folder(path: Path, _: Path) -> None:
    """A directory with a ledger's name."""
    path.mkdir()


def hard_link(path: Path, _: Path) -> None:
    """Another name of a file that is not ours to read."""
    path.with_name("original").write_bytes(b"secret" * 1000)
    path.hardlink_to(path.with_name("original"))


def huge(path: Path, _: Path) -> None:
    """1 TiB, sparse."""
    path.touch()
    os.truncate(path, 1 << 40)


def foreign(path: Path, _: Path) -> None:
    """Bytes of somebody else's."""
    path.write_bytes(os.urandom(8192))


def renamed(path: Path, good: Path) -> None:
    """A copy of a living process's ledger: it must not be counted a second time."""
    shutil.copy(good, path)


def with_flag(path: Path, good: Path) -> None:
    """A flag that a reader would have to know."""
    raw = good.read_bytes()
    path.write_bytes(sealed(raw[:16] + struct.pack("<I", 1 << 7) + raw[20:]))


def newer(path: Path, good: Path) -> None:
    """A format of the future."""
    raw = good.read_bytes()
    path.write_bytes(sealed(raw[:12] + struct.pack("<I", layout.FORMAT + 1) + raw[16:]))


def of_nobody(path: Path, good: Path) -> None:
    """Somebody else's file."""
    shutil.copy(good, path)
    os.chown(path, NOBODY, NOBODY)


def empty(path: Path, _: Path) -> None:
    """0 bytes."""
    path.touch()


BAD: dict[Callable[[Path, Path], None], str] = {
    symlink: "link",
    dangling: "link",
    pipe: "not_a_file",
    unix_socket: "not_a_file",
    device: "not_a_file",
    folder: "not_a_file",
    hard_link: "link",
    huge: "too_large",
    foreign: "foreign",
    renamed: "renamed",
    empty: "foreign",
    of_nobody: "wrong_owner",
}


@pytest.mark.parametrize(
    ("make", "reason"),
    [pytest.param(make, reason, marks=[AS_ROOT] * (make in (device, of_nobody))) for make, reason in BAD.items()],
)
def test_what_is_no_ledger_is_counted_by_reason_told_once_and_left_where_it_is(
    make, reason, directory, good, books, caplog
):
    """And the ledger beside it is read as if it were alone."""
    path = directory / f"{uuid.uuid4().hex}.ledger"
    make(path, good.path)
    bookkeeper = Bookkeeper(directory)
    with caplog.at_level(logging.WARNING):
        scans = [bookkeeper.scan() for _ in range(3)]
    assert [numbers(scan) for scan in scans] == [GOOD] * 3
    assert [dict(scan.listing.unreadable) for scan in scans] == [{reason: 1}] * 3
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [f"{path.name!r} is left aside"]
    assert books.by("afterword_sidecar_unreadable_ledgers", "reason") == {reason: 1}
    assert os.path.lexists(path)


@pytest.mark.parametrize("make", [with_flag, newer])
def test_a_ledger_of_a_newer_afterword_is_left_for_the_one_that_can_read_it(make, directory, good, caplog):
    """Application and sidecar can be upgraded apart; nothing that is not understood is deleted."""
    path = directory / f"{uuid.uuid4().hex}.ledger"
    make(path, good.path)
    before = path.read_bytes()
    bookkeeper = Bookkeeper(directory)
    scans = [bookkeeper.scan() for _ in range(2)]
    assert [dict(scan.listing.unreadable) for scan in scans] == [{"newer": 1}] * 2
    assert "written by a newer afterword" in caplog.text
    assert numbers(scans[-1]) == GOOD
    assert path.read_bytes() == before


def test_everything_bad_at_once_costs_nothing_but_its_counters(directory, good):
    """The crowd of all of the above."""
    makers = [make for make in BAD if (os.geteuid() == 0 or make not in (device, of_nobody))]
    for make in makers:
        make(directory / f"{uuid.uuid4().hex}.ledger", good.path)
    scan = Bookkeeper(directory).scan()
    assert numbers(scan) == GOOD
    assert scan.listing.unreadable.total() == len(makers)


# -- bytes cut off and bytes turned over


def test_a_ledger_cut_short_anywhere_costs_nothing_but_a_counter(directory, good):
    """At every 8 bytes of the header, and every so often behind it."""
    raw = good.path.read_bytes()
    sizes = [*range(0, 4096, 8), 4095, 4097, *range(4104, len(raw), 9973), len(raw) - 1, len(raw) + 1]
    for size in sizes:
        name, copy = a_ledger(raw)
        (directory / name).write_bytes(copy[:size].ljust(size, b"\0"))
    scan = Bookkeeper(directory).scan()
    assert numbers(scan) == GOOD
    assert scan.listing.unreadable.keys() <= {"truncated", "foreign"}
    assert scan.listing.unreadable.total() == len(sizes)


@pytest.mark.usefixtures("good")
def test_a_ledger_cut_short_under_an_open_reader_costs_nothing_but_a_counter(directory, writer):
    """A mapped reader would die of SIGBUS."""
    victim = writer()
    victim.do("end", 5)
    bookkeeper = Bookkeeper(directory)
    assert bookkeeper.scan().totals.task(key()).scheduled == 6 + 5
    for size in (5000, 2100, 100, 0):
        os.truncate(victim.path, size)
        scan = bookkeeper.scan()
        assert numbers(scan) == GOOD, size
        assert scan.listing.unreadable.total() == 1


def test_a_flipped_bit_in_any_byte_of_the_header_is_noticed(directory, good):
    """Every byte of what is written once, up to and with its checksum."""
    raw = good.path.read_bytes()
    for at in range(layout.LIVE_WORDS * 8):
        name, copy = a_ledger(raw)
        flipped = copy[:at] + bytes([copy[at] ^ 1 << at % 8]) + copy[at + 1 :]
        (directory / name).write_bytes(flipped[: layout.HEADER_SIZE])
        os.truncate(directory / name, len(raw))
    scan = Bookkeeper(directory).scan()
    assert numbers(scan) == GOOD
    assert scan.listing.unreadable.total() == layout.LIVE_WORDS * 8
    assert scan.listing.unreadable.keys() <= {"corrupt", "foreign", "newer", "renamed", "truncated"}


def live_and_used_bytes(raw: bytes, sections: dict[int, layout.Section]) -> Iterator[int]:
    """The bytes behind the header that a reader looks at: live words, and the first records of each table."""
    yield from range(layout.LIVE_WORDS * 8, layout.LIVE_WORDS * 8 + 64)
    for section in sections.values():
        yield from range(section.offset, min(section.offset + 2 * section.stride, len(raw)))


def test_a_flipped_bit_in_any_used_byte_of_the_body_never_stops_a_scrape(directory, good):
    """It may be read wrongly, or set aside; what is served beside it stays the same, and parses."""
    raw = good.path.read_bytes()
    sections = layout.unpack_header(raw, len(raw)).sections
    service = raw[1024 : 1024 + 12]
    assert service.endswith(b"shop")
    odd = raw[: 1024 + 8] + b"OTHR" + raw[1024 + 12 :]
    bookkeeper, books = Bookkeeper(directory), Books(directory)
    flips = list(live_and_used_bytes(raw, sections))
    assert len(flips) > 1500
    for batch in _batches(flips, 200):
        for at in batch:
            name, copy = a_ledger(odd)
            (directory / name).write_bytes(copy[:at] + bytes([copy[at] ^ 1 << at % 8]) + copy[at + 1 :])
        assert numbers(bookkeeper.scan()) == GOOD
        assert books.scrape("afterword_tasks_scheduled_total", service="shop") == GOOD[0]
        assert books.text("application/openmetrics-text").endswith("# EOF\n")
        for path in directory.glob("*.ledger"):
            if path != good.path:
                path.unlink()


def _batches(values: list[int], size: int) -> Iterator[list[int]]:
    for begin in range(0, len(values), size):
        yield values[begin : begin + size]


# -- files that go, come back, or are replaced


def test_a_process_whose_ledger_is_deleted_goes_on_in_a_new_one(directory, good):
    """A cleaner removes what it does not know; the owner notices at its next check, and nothing is lost."""
    bookkeeper = Bookkeeper(directory)
    assert numbers(bookkeeper.scan()) == GOOD
    good.path.unlink()
    good.do("end", 2)
    assert numbers(bookkeeper.scan()) == (8, 7, 1, 2, 0)
    good.do("check")
    assert len(list(directory.glob("*.ledger"))) == 1
    good.do("end", 1)
    scan = bookkeeper.scan()
    assert numbers(scan) == (9, 8, 1, 2, 0)
    assert scan.totals.service("shop").processes == 1
    assert numbers(Bookkeeper(directory).scan()) == (1, 1, 0, 0, 0)  # it never saw the first one
    good.kill()
    assert numbers(bookkeeper.scan()) == (9, 8, 0, 0, 3)
    assert numbers(Bookkeeper(directory).scan()) == (9, 8, 0, 0, 3)
    assert list(directory.glob("*.ledger")) == []


def test_a_tool_that_refuses_system_calls_is_no_deletion(directory, monkeypatch):
    """Tests that forbid blocking calls on an event loop raise errors of their own: nothing is known, nothing moves."""

    def refuse(*_args, **_options):
        raise RuntimeError("a blocking call on the event loop")

    one = owner(directory, slots=64)
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", refuse)
        assert one.ledger.file.still_there()
    path_of(one).unlink()
    assert not one.ledger.file.still_there()
    one.close()


def test_a_directory_deleted_under_its_process_is_made_again(directory, good):
    """With a new ledger in it, in mode 0700."""
    bookkeeper = Bookkeeper(directory)
    bookkeeper.scan()
    shutil.rmtree(directory)
    assert numbers(bookkeeper.scan()) == GOOD
    good.do("end", 2)
    good.do("check")
    assert directory.stat().st_mode & 0o777 == 0o700
    assert numbers(bookkeeper.scan()) == (8, 7, 1, 2, 0)
    assert len(list(directory.glob("*.ledger"))) == 1


def test_a_copy_put_in_the_place_of_a_living_ledger_is_no_death(directory, good):
    """A backup that was restored holds no lock; the process lives and writes on."""
    bookkeeper = Bookkeeper(directory)
    bookkeeper.scan()
    shutil.copy(good.path, directory / "copy")
    (directory / "copy").rename(good.path)
    good.do("end", 2)
    scan = bookkeeper.scan()
    assert numbers(scan) == (8, 7, 1, 2, 0)
    assert dict(scan.listing.unreadable) == {"copy": 1}
    good.do("check")
    assert numbers(bookkeeper.scan()) == (8, 7, 1, 2, 0)
    good.kill()
    assert numbers(bookkeeper.scan()) == (8, 7, 0, 0, 3)
    assert list(directory.glob("*.ledger")) == []


@pytest.mark.usefixtures("good")
def test_a_reader_that_pauses_for_long_counts_nothing_twice(directory, writer, monkeypatch):
    """Another bookkeeper folds a death and in time forgets its name; one that slept must not book it again."""
    dies, dies_later = writer(), writer()
    dies.do("run", 4)
    sleeper, other = Bookkeeper(directory), Bookkeeper(directory)
    sleeper.scan()
    dies.kill()
    assert numbers(other.scan())[-1] == 4
    real_time, real_monotonic = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: real_time() + FAR_AWAY)
    monkeypatch.setattr(time, "monotonic", lambda: real_monotonic() + FAR_AWAY)
    dies_later.kill()
    assert numbers(other.scan())[-1] == 4
    assert numbers(sleeper.scan())[-1] == 4
    assert numbers(other.scan())[-1] == 4
    assert numbers(sleeper.scan()) == (10, 9, 1, 2, 4)


def test_a_pause_forgets_no_living_process_whose_ledger_was_deleted(directory, good, monkeypatch):
    """Deleted and alive is not deleted and dead."""
    bookkeeper = Bookkeeper(directory)
    bookkeeper.scan()
    good.path.unlink()
    real_time = time.time
    monkeypatch.setattr(time, "time", lambda: real_time() + FAR_AWAY)
    assert numbers(bookkeeper.scan()) == GOOD


# -- notes, newborns, and how many


def test_stale_leftovers_are_removed_and_nothing_else(directory, good):
    """Notes of dead processes and births that were killed; not what is young, locked or no plain file."""
    old = time.time() - 120
    for name in ("a.no_space.off", ".b.new", ".c.new", "d.no_space.off", "keep.txt", ".carried.json.new"):
        (directory / name).touch()
        if name not in (".c.new", "d.no_space.off"):
            os.utime(directory / name, (old, old))
    (directory / "folder.off").mkdir()
    (directory / "link.off").symlink_to(good.path)
    os.mkfifo(directory / "pipe.off")
    Bookkeeper(directory).sweep()
    left = {path.name for path in directory.iterdir()} - {good.path.name}
    assert left == {".c.new", "d.no_space.off", "keep.txt", "folder.off", "link.off", "pipe.off"}


@pytest.mark.usefixtures("good")
def test_a_note_counts_while_its_process_lives_and_its_reason_is_a_short_word(directory):
    """A process without a ledger is seen; a strange file name makes no strange series."""
    held = []
    for name in ("1.no_space.off", "2.no_space.off", "3.read_only.off", '4.{"\n"}.off', f"5.{'x' * 200}.off"):
        file = (directory / name).open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        held.append(file)
    (directory / "6.denied.off").touch()
    scan = Bookkeeper(directory).scan()
    assert dict(scan.listing.unaccounted) == {"no_space": 2, "read_only": 1, "error": 2}
    for file in held:
        file.close()
    assert not Bookkeeper(directory).scan().listing.unaccounted


@pytest.mark.usefixtures("good")
def test_ten_thousand_files_that_are_no_ledgers_hide_none(directory):
    """What sorts before the ledgers takes none of their places."""
    for n in range(10_001):
        (directory / f".{n:05}").touch()
        (directory / f"!{n:05}.txt").touch()
    assert numbers(Bookkeeper(directory).scan()) == GOOD


# -- whether applications can keep ledgers here


def test_a_usable_directory_has_no_problem(directory):
    """The normal case."""
    assert problem_with(directory) is None


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (Path.rmdir, "{}: No such file or directory"),
        (lambda path: (path.rmdir(), path.touch()), "{} is not a directory (a link counts as none)"),
        (lambda path: (path.rmdir(), path.symlink_to("/")), "{} is not a directory (a link counts as none)"),
        (lambda path: path.chmod(0o777), "{} is writable by others (mode 0777); it must be 0700"),
        (lambda path: path.chmod(0o1777), "{} is writable by others (mode 1777); it must be 0700"),
        (lambda path: path.chmod(0o770), "{} is writable by others (mode 0770); it must be 0700"),
    ],
)
def test_a_directory_that_applications_refuse_is_a_problem_with_a_sentence(spoil, sentence, directory):
    """The sidecar says what the applications say."""
    path = directory / "ledgers"
    path.mkdir()
    spoil(path)
    assert problem_with(path) == sentence.format(path)


@AS_ROOT
@pytest.mark.parametrize(
    ("owner", "mode", "sentence"),
    [
        (12345, 0o700, "{} belongs to uid 12345, not to 65534"),
        (0, 0o755, "{} is not writable for uid 65534"),
        (NOBODY, 0o500, "{} is not writable for uid 65534"),
        (NOBODY, 0o700, None),
    ],
)
def test_a_directory_of_somebody_else_is_a_problem(owner, mode, sentence, directory):
    """As seen by a user who is not root."""
    path = directory / "ledgers"
    path.mkdir()
    path.chmod(mode)
    directory.chmod(0o755)
    os.chown(path, owner, owner)
    os.seteuid(NOBODY)
    try:
        found = problem_with(path)
    finally:
        os.seteuid(0)
    assert found == (sentence and sentence.format(path))
