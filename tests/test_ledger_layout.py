"""The ledger's format: what is written is read back, what is damaged is named, old files stay readable."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword import words
from afterword.books.model import RouteBooks, RouteKey
from afterword.ledger import layout
from afterword.ledger.reader import LedgerReader
from afterword.ledger.slots import note_origin
from afterword.ledger.snapshot import Runtime
from tests.ledgers import account, key, owner, path_of, run_to_the_end, snapshot, totals

GOLDEN = Path(__file__).parent / "golden"
RELEASED = sorted(GOLDEN.glob("*.ledger"))
PRINTABLE = st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=80)
WORD = st.integers(0, 2**64 - 1)


def header(**changes: Any) -> layout.Header:
    """A header of a small ledger."""
    table, size = layout.sections(64)
    plain = layout.Header(b"u" * 16, b"b" * 16, 1, 2, 3, 4, 5, 6, 7, "shop", "0.1", size, table)
    return replace(plain, **changes)


@given(uuid=st.binary(min_size=16, max_size=16), pid=WORD, wall=WORD, service=PRINTABLE, version=PRINTABLE)
def test_a_header_is_read_back_as_it_was_written(uuid, pid, wall, service, version):
    """Texts come back printable and cut to what fits, everything else unchanged."""
    written = header(uuid=uuid, pid=pid, wall_ns=wall, service=service, version=version)
    read = layout.unpack_header(layout.pack_header(written), written.file_size)
    assert replace(read, service="", version="") == replace(written, service="", version="")
    assert read.service == layout.clip(service, layout.SERVICE_BYTES).decode()
    assert read.version == layout.clip(version, layout.VERSION_BYTES).decode()


@given(at=st.integers(0, layout.LIVE_WORDS * 8 - 1), bit=st.integers(0, 7))
def test_every_single_bit_flip_of_the_header_is_found(at, bit):
    """The checksum covers all that was written once; nothing is trusted before it fits."""
    page = bytearray(layout.pack_header(header()))
    page[at] ^= 1 << bit
    with pytest.raises(layout.LayoutError) as caught:
        layout.unpack_header(bytes(page), header().file_size)
    assert caught.value.reason in ("foreign", "newer", "corrupt", "truncated")


@given(page=st.binary(max_size=4096), size=st.integers(0, 2**40))
def test_random_bytes_are_never_a_ledger(page, size):
    """Whatever is thrown at it, the reader answers with a reason."""
    with pytest.raises(layout.LayoutError):
        layout.unpack_header(page, size)
    with pytest.raises(layout.LayoutError):
        layout.unpack_header(layout.MAGIC + page, size)


@given(text=st.text(max_size=300), limit=st.integers(1, 200))
def test_a_clipped_text_fits_and_is_printable_utf8(text, limit):
    """Lone surrogates, control characters and long names cannot break a record or a terminal."""
    raw = layout.clip(text, limit)
    assert len(raw) <= limit
    assert raw.decode().isprintable() or not raw


def test_the_default_ledger_is_about_650_kibibytes():
    """Small enough for every worker of a container with the usual 64 MiB of shared memory."""
    _, size = layout.sections()
    assert size == 656 * 1024


def test_a_newer_incompatible_format_is_told_apart_from_damage():
    """The file is left alone, not called corrupt."""
    page = bytearray(layout.pack_header(header()))
    page[12] = layout.FORMAT + 1
    with pytest.raises(layout.LayoutError) as caught:
        layout.unpack_header(bytes(page), header().file_size)
    assert caught.value.reason == "newer"


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_ledgers_of_released_formats_can_still_be_read(path):
    """One file of each format that was ever released stays here for good."""
    read = totals(path, dead=True)
    mail, web = read.task(key()), read.task(key("shop.push_webhook", words.RESPONSE))
    assert (mail.scheduled, mail.started_total, mail.lost.total()) == (10, 8, 5)
    assert mail.lost_in(words.WAITING) == 1
    assert mail.dropped == {words.SIBLING_FAILED: 1}
    assert mail.errors == {"KeyError": 2}
    assert {outcome: sum(buckets) for outcome, buckets in mail.finished.items()} == {
        words.SUCCEEDED: 1,
        words.FAILED: 2,
        words.CANCELLED: 1,
    }
    assert (web.scheduled, web.importance, web.owner, web.deadline) == (3, words.BEST_EFFORT, "web team", 20.0)
    assert read.service("shop").exits.total() == 1


def test_there_is_a_golden_file_of_the_present_format():
    """A new format brings its file: python -m tests.golden NAME."""
    assert (GOLDEN / f"format-{layout.FORMAT}.ledger").exists()


def test_a_ledger_without_the_later_tables_has_no_routes_and_nothing_stuck():
    """Format 1 as it was first released: what it does not have is 0 or empty, also while its owner lives."""
    for dead in (True, False):
        read = snapshot(GOLDEN / "format-1.ledger", dead=dead, now_ns=1 << 62)
        assert not layout.OPTIONAL & read.header.sections.keys()
        assert read.routes == []
        assert read.runtime == Runtime()
        assert [(t.swallowed, t.collected, sum(t.cancelled), t.stuck) for t in read.tasks.values()] == [
            (0, 0, 0, [])
        ] * 2


def test_the_later_tables_of_a_released_ledger_can_still_be_read():
    """Routes with what they schedule and miss, where a run was stuck, and the counters beside the endings."""
    path = GOLDEN / "format-1-routes.ledger"
    read = totals(path, dead=True, boot_id=b"a later boot....")
    poll = read.task(key("shop.poll", words.ASYNCIO))
    assert (poll.swallowed, poll.every) == (1, 60.0)
    assert poll.lost == {(words.LOST_COLLECTED, words.RUNNING): 1, (words.LOST_REBOOT, words.RUNNING): 2}
    assert read.task(key()).cancelled == {words.CANCELLED_REQUEST: 1}
    traffic = read.route(RouteKey("shop", "/register/{name}", "POST"))
    assert traffic == RouteBooks(7, 2, Counter({"shop.poll": 6}), Counter({"shop.poll": 3}))
    (stuck,) = (task.stuck for task in snapshot(path, dead=False).tasks.values() if task.stuck)
    assert stuck == ["shop/app.py:12 in poll"]


def test_traced_runs_of_a_released_ledger_can_still_be_read():
    """Which trace, which span, which route; exemplars, and what the process's spans say about it."""
    path = GOLDEN / "format-1-spans.ledger"
    reader = LedgerReader(path, frozenset({path.stat().st_uid}))
    try:
        read = reader.snapshot(dead=True)
        traced = [run for run in reader.open_slots() if run.trace]
        assert [(r.phase, f"{r.trace:x}", r.span, r.parent, read.route_name(r.route)) for r in traced] == [
            (words.RUNNING, "abc0000000000000def", 0x1234, 0xFEED, "POST /register/{name}"),
            (words.WAITING, "abc0000000000000def", 0, 0xFEED, "POST /register/{name}"),
        ]
        assert [(e.of, e.span, e.took) for e in read.exemplars] == [(2, 0x77, 60_000_000), (32, 0x78, 60_000_000)]
        assert reader.resource() == '{"service.name":"shop"}'
    finally:
        reader.close()


def test_bad_endings_of_a_released_ledger_can_still_be_read():
    """Which run, how, by which route, in which trace; and the frames of a run that is stuck."""
    path = GOLDEN / "format-1-endings.ledger"
    reader = LedgerReader(path, frozenset({path.stat().st_uid}))
    try:
        read, uuid = reader.snapshot(dead=True), reader.header.uuid
        failed, dropped = reader.bad_endings()
        assert reader.n_endings() == 2
        assert failed[:5] == (1, 0, words.FAILED, "KeyError", 1)
        assert failed[6:] == (10, 20, 30, 0xABC << 64 | 0xDEF, 0x99)
        assert failed.id(uuid) == f"{uuid[:4].hex()}-{failed.run:x}-a"
        assert read.route_name(failed.route) == "POST /register/{name}"
        assert (dropped.sequence, dropped.ending, dropped.reason) == (2, words.DROPPED, words.SIBLING_FAILED)
        assert dropped.id(uuid) == f"{uuid[:4].hex()}-x7"
        stacks = [text.split(layout.STACK_SEPARATOR) for text in reader.stuck().values()]
        assert ["shop/app.py:12 in send", "lib/http.py:7 in post", "shop/app.py:12 in send"] in stacks
    finally:
        reader.close()


def test_words_that_an_earlier_run_left_in_a_slot_are_not_taken_for_a_runs_own(directory):
    """A kill between a run's commit and the words of its trace leaves those of the run before it."""
    one = owner(directory)
    mail = account(one)
    run = mail.schedule()
    note_origin(mail.words, run, 3)
    mail.words[run + layout.SLOT_TRACE] = 7
    mail.drop(run, 0)
    later = None
    while later != run:
        later = mail.schedule()
    reader = LedgerReader(path_of(one), frozenset({path_of(one).stat().st_uid}))
    try:
        reader.snapshot(dead=False)
        found = {slot.run: slot for slot in reader.open_slots()}
    finally:
        reader.close()
    assert (found[run].trace, found[run].route) == (0, 0)


@pytest.mark.parametrize("number", sorted(layout.OPTIONAL))
def test_each_later_table_may_be_missing_alone(number):
    """A ledger of some release in between, or of another implementation, is read for what it has."""
    table = {n: section for n, section in header().sections.items() if n != number}
    page = layout.pack_header(header(sections=table))
    assert layout.unpack_header(page, header().file_size).sections == table


def test_a_table_that_no_release_was_without_may_not_be_missing():
    """Such a file contradicts itself, and is not half read."""
    for number in layout.SECTION_STRIDES.keys() - layout.OPTIONAL:
        table = {n: section for n, section in header().sections.items() if n != number}
        with pytest.raises(layout.LayoutError):
            layout.unpack_header(layout.pack_header(header(sections=table)), header().file_size)


def test_an_open_run_takes_one_cache_line(directory):
    """64 bytes a slot: 100,000 open runs are 6.4 MB."""
    one = owner(directory, slots=100_000)
    assert path_of(one).stat().st_size < 100_000 * 64 + 404 * 1024
    run_to_the_end(account(one))
    one.close()


class _Stores:
    """Words as a record is written to them: what was stored, in its order."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.stores: list[tuple[int, int]] = []

    def __getitem__(self, index: int) -> int:
        return self.view[index]

    def __setitem__(self, index: int, value: int) -> None:
        self.stores.append((index, value))
        self.view[index] = value


def test_a_record_that_a_kill_cuts_off_is_no_record(directory):
    """Routes, links and places of stuck runs: before the last store of each, a reader finds nothing or the old."""
    one = owner(directory, slots=64)
    mail, ledger = account(one), one.ledger
    run = mail.schedule()
    mail.start(run)
    view = ledger.context.words
    ledger.context.words = stores = _Stores(view)  # stands in for the memoryview

    def undone_from(first):
        return [(index, 0) for index, _ in stores.stores[first:]]

    route = ledger.route("GET /a")
    ledger.link(route, mail)
    ledger.note_stack(run, "app.py:1 in first")
    for index, value in undone_from(0):
        view[index] = value
    seen = []
    for index, value in stores.stores:
        view[index] = value
        read = snapshot(path_of(one), dead=False)
        names, tasks = [r.name for r in read.routes], [r.tasks for r in read.routes]
        seen.append((names, tasks, read.tasks[0].stuck))
    none, routed, linked, stuck = ([], [], []), (["GET /a"], [{}], []), (["GET /a"], [{0: (0, None)}], []), None
    stuck = (["GET /a"], [{0: (0, None)}], ["app.py:1 in first"])
    assert [state for n, state in enumerate(seen) if n == 0 or state != seen[n - 1]] == [none, routed, linked, stuck]

    for n in range(layout.MAX_STACKS):  # the places are taken again, the oldest first
        del stores.stores[:]
        ledger.note_stack(run, f"app.py:{n} in second, with a much longer name than before")
        for index, value in stores.stores:
            view[index] = value
            found = snapshot(path_of(one), dead=False).tasks[0].stuck
            assert all(re.fullmatch(r"app\.py:\d+ in (first|second, with a much longer name than before)", place)
                       for place in found), found  # fmt: skip
    ledger.context.words = view
    one.close()


def test_more_routes_than_fit_are_counted(directory):
    """The tables of routes and links are bounded; what is beyond has no record, and the bound is told."""
    one = owner(directory, slots=64)
    ledger = one.ledger
    assert all(ledger.route(f"GET /{n}") > 0 for n in range(layout.MAX_ROUTES))
    assert ledger.route("GET /more") == ledger.route("GET /still-more") == -1
    assert ledger.route("GET /0") > 0
    read = totals(path_of(one), dead=False)
    assert len(read.routes) == layout.MAX_ROUTES
    assert read.service("shop").overflow == {"routes": 2}
    one.close()


def test_where_a_run_is_stuck_is_forgotten_with_the_run(directory):
    """The place belongs to a run, not to its slot: the next run in it is not stuck there."""
    one = owner(directory, slots=64)
    mail, ledger = account(one), one.ledger
    for n in range(3 * 64):
        run = mail.schedule()
        since = mail.start(run)
        ledger.note_stack(run, f"app.py:{n} in mail")
        assert totals(path_of(one), dead=False).task(key()).stuck == [f"app.py:{n} in mail"]
        mail.succeed(run, since)
        assert totals(path_of(one), dead=False).task(key()).stuck == []
    one.close()


def test_the_oldest_stuck_runs_keep_their_place(directory):
    """Somebody is reading where they are; a newcomer takes the place of one that has ended."""
    one = owner(directory)
    mail, ledger = account(one), one.ledger
    runs = [mail.schedule() for _ in range(layout.MAX_STACKS + 3)]
    began = {run: mail.start(run) for run in runs}
    for run in runs:
        ledger.note_stack(run, f"at {run}")
    reader = LedgerReader(path_of(one), frozenset({path_of(one).stat().st_uid}))
    try:
        assert {run for run, _ in reader.stuck()} == set(runs[: layout.MAX_STACKS])
        mail.succeed(runs[3], began[runs[3]])
        ledger.note_stack(runs[-1], "at last")
        ledger.note_stack(runs[0], "elsewhere")
        found = {run: text for (run, _), text in reader.stuck().items()}
    finally:
        reader.close()
    assert found.keys() == {*runs[: layout.MAX_STACKS], runs[-1]} - {runs[3]}
    assert (found[runs[-1]], found[runs[0]]) == ("at last", "elsewhere")
