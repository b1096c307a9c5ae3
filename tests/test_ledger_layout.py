"""The ledger's format: what is written is read back, what is damaged is named, old files stay readable."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword import words
from afterword.ledger import layout
from tests.ledgers import account, key, owner, path_of, run_to_the_end, totals

GOLDEN = Path(__file__).parent / "golden"
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


def test_the_default_ledger_is_about_half_a_mebibyte():
    """Small enough for every worker of a container with the usual 64 MiB of shared memory."""
    _, size = layout.sections()
    assert size <= 512 * 1024


def test_a_newer_incompatible_format_is_told_apart_from_damage():
    """The file is left alone, not called corrupt."""
    page = bytearray(layout.pack_header(header()))
    page[12] = layout.FORMAT + 1
    with pytest.raises(layout.LayoutError) as caught:
        layout.unpack_header(bytes(page), header().file_size)
    assert caught.value.reason == "newer"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.ledger")), ids=lambda path: path.stem)
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
    """A new format brings its file: python -m tests.golden."""
    assert (GOLDEN / f"format-{layout.FORMAT}.ledger").exists()


def test_an_open_run_takes_one_cache_line(directory):
    """64 bytes a slot: 100,000 open runs are 6.4 MB."""
    one = owner(directory, slots=100_000)
    assert path_of(one).stat().st_size < 100_000 * 64 + 300 * 1024
    run_to_the_end(account(one))
    one.close()
