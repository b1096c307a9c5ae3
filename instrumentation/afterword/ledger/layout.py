"""The ledger's byte layout: one file per process, every live word 64 bits wide and aligned.

    offset                                                             words are little-endian
    0     ┌──────────────────────────────────────────────────────────────────────────────────┐
          │ header, written once: magic, format, flags, sizes, uuid, boot, pid, clocks,      │
          │ sections (id, offset, count, stride), service, version, CRC-32 of all of this    │
    2048  │ live words: state, records in use, bounds hit, own errors, the loop, the pool     │
    4096  ├──────────────────────────────────────────────────────────────────────────────────┤
          │ TASKS      256 x 192 B   name, kind, what it declares; word 0 commits a record   │
          │ FINISHED   256 x 64 w    4 endings x 16: succeeded, failed, cancelled by run     │
          │                          time bucket, dropped by reason; in the 5 lanes that no  │
          │                          bucket needs: swallowed, who cancelled, collected       │
          │ SUMS       256 x 8 w     run time per outcome, wait time, last of each outcome   │
          │ STARTED    256 x 16 w    by wait time bucket; their sum is `started`             │
          │ SCHEDULED  256 w                                                                 │
          │ EXCEPTIONS 256 x 64 B    class name, count; word 0 commits a record              │
          │ SLOTS     4096 x 64 B    one cache line per open run                             │
          │ ROUTES     512 x 128 B   method and template, responses with and without a task  │
          │ LINKS      512 x 32 B    route, task: responses that scheduled it, that missed it│
          │ STACKS      16 x 512 B   where an overdue run is stuck                           │
          │ RESOURCE     1 x 2 KiB   what the process's spans say about it, as JSON          │
          │ EXEMPLARS  512 x 64 B    the last traced run of a bucket, of an ending           │
          │ LINKED    4096 x 16 B    only with trace = "link": the trace a run is linked to  │
          │ ENDINGS    256 x 128 B   the last bad endings one by one, written round          │
          └──────────────────────────────────────────────────────────────────────────────────┘

    a slot:   ctl │ scheduled at │ started at │ parent span │ origin      │ trace id (2) │ span id
              of a worker:                      progress at │ stall limit   (times: monotonic ns)

    a ctl word and a counter word share their bits, so one addition makes both:
     63                                    22 21    17  16  15       4 3     0
    ┌────────────────────────────────────────┬────────┬────┬──────────┬───────┐
    │ ordinal: the counter's new value       │ bucket │ 0  │ task     │ state │
    └────────────────────────────────────────┴────────┴────┴──────────┴───────┘

The ctl store commits a transition, the counter store follows. A kill between the two leaves an
ordinal ahead of its counter; a reader repairs the counter with max(). See docs/ledger-format.md.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from afterword.contract import BUCKET_BOUNDS

MAGIC: Final = b"AFTRWORD"
FORMAT: Final = 1
HEADER_SIZE: Final = 4096
BYTE_ORDER_MARK: Final = 0x0102030405060708

#: Bits a reader must know to read the file at all; none is defined yet.
KNOWN_INCOMPATIBLE: Final = 0

MAX_TASKS: Final = 256
#: The last task records are kept for ``__other__``, one per kind.
RESERVED_TASKS: Final = 8
MAX_EXCEPTIONS: Final = 256
#: Exception classes a task is told with, in a ledger and in the books; the rest goes under ``__other__``.
EXCEPTIONS_PER_TASK: Final = 15
DEFAULT_SLOTS: Final = 4096
MAX_ROUTES, MAX_LINKS, MAX_STACKS, MAX_EXEMPLARS, MAX_ENDINGS = 512, 512, 16, 512, 256
MAX_FILE_SIZE: Final = 64 * 1024 * 1024

TASK_STRIDE, FINISHED_STRIDE, SUMS_STRIDE, STARTED_STRIDE, SCHEDULED_STRIDE = 192, 64 * 8, 8 * 8, 16 * 8, 8
EXCEPTION_STRIDE, SLOT_STRIDE, ROUTE_STRIDE, LINK_STRIDE, STACK_STRIDE = 64, 64, 128, 32, 512
RESOURCE_STRIDE, EXEMPLAR_STRIDE, LINKED_STRIDE, ENDING_STRIDE = 2048, 64, 16, 128
NAME_BYTES, OWNER_BYTES, EXCEPTION_BYTES = 120, 40, 48
SERVICE_BYTES, VERSION_BYTES = 240, 56
ROUTE_BYTES, STACK_BYTES, RESOURCE_BYTES = 104, 488, 2040

#: In a record of STACKS: the place in one line, then its frames, the innermost first, each behind this.
STACK_SEPARATOR: Final = " \N{LEFTWARDS ARROW} "

# Sections, by id.
(TASKS, FINISHED, SUMS, STARTED, SCHEDULED, EXCEPTIONS, SLOTS, ROUTES, LINKS, STACKS, RESOURCE, EXEMPLARS, LINKED,
 ENDINGS) = range(1, 15)  # fmt: skip
SECTION_STRIDES: Final = {
    TASKS: TASK_STRIDE, FINISHED: FINISHED_STRIDE, SUMS: SUMS_STRIDE, STARTED: STARTED_STRIDE,
    SCHEDULED: SCHEDULED_STRIDE,
    EXCEPTIONS: EXCEPTION_STRIDE,
    SLOTS: SLOT_STRIDE,
    ROUTES: ROUTE_STRIDE,
    LINKS: LINK_STRIDE,
    STACKS: STACK_STRIDE,
    RESOURCE: RESOURCE_STRIDE,
    EXEMPLARS: EXEMPLAR_STRIDE,
    LINKED: LINKED_STRIDE,
    ENDINGS: ENDING_STRIDE,
}  # fmt: skip
#: Tables that a ledger of an earlier release, or without `LINKED` of another setting, does not have.
OPTIONAL: Final = frozenset({ROUTES, LINKS, STACKS, RESOURCE, EXEMPLARS, LINKED, ENDINGS})

# States of a slot.
FREE, IS_WAITING, IS_RUNNING, IS_SUCCEEDED, IS_FAILED, IS_CANCELLED, IS_DROPPED = range(7)
ENDING_LANES: Final = 16
BUCKETS: Final = len(BUCKET_BOUNDS) + 1
#: Lanes beyond the buckets, counted from a task's first: swallowed errors in the row of the succeeded, runs that the
#: garbage collector ended (no endings at all) in the row of the failed, who cancelled in the row of the cancelled.
LANE_SWALLOWED, LANE_COLLECTED, LANE_CANCELLED = BUCKETS, 2 * ENDING_LANES - 1, 2 * ENDING_LANES + BUCKETS
BOUNDS_NS: Final = tuple(round(bound * 1e9) for bound in BUCKET_BOUNDS)

STATE_MASK: Final = 0xF
TASK_SHIFT, BUCKET_SHIFT, ORDINAL_SHIFT = 4, 17, 22
TASK_MASK, BUCKET_MASK = 0xFFF, 0x1F
ONE: Final = 1 << ORDINAL_SHIFT

# Words of SUMS: run time of the three outcomes (ns), wait time (ns), when each outcome last happened.
SUM_RUN, SUM_WAIT, SUM_LAST = 0, 3, 4

# Live words of the header, as indices into the file's 64-bit words.
LIVE_WORDS: Final = 2048 // 8
(
    W_STATE,
    W_TASKS,
    W_EXCEPTIONS,
    W_SLOTS,
    W_SLOTS_FULL,
    W_TASKS_FULL,
    W_EXCEPTIONS_FULL,
    W_INTERNAL_ERRORS,
    W_CONTINUED,
    #: The task whose code is on the event loop: its number plus one, 0 for none of ours.
    W_ON_LOOP,
    #: The loop's last tick, and how far apart ticks are (monotonic ns, ns); 0 while no loop is watched.
    W_TICK,
    W_TICK_EVERY,
    #: How late the last tick was (ns).
    W_LAG,
    W_POOL_LIMIT,
    W_POOL_BUSY,
    W_POOL_WAITING,
    #: When the process was asked to stop (monotonic ns); 0 while it was not.
    W_STOPPING,
    W_ROUTES,
    W_LINKS,
    W_STACKS,
    W_ROUTES_FULL,
    W_EXEMPLARS,
    #: How many bad endings were written; the table holds the last of them.
    W_ENDINGS,
) = range(LIVE_WORDS, LIVE_WORDS + 23)
N_LIVE_WORDS: Final = 23
STATE_NEW, STATE_LIVE, STATE_CLOSED, STATE_FAILED = range(4)

# Words of a slot. Those of a worker, and in their place those of every other run: the span it hangs under, and its
# origin: the low bits of `scheduled at`, by which the words of the trace are its own (0 where nothing is traced), and
# its route (number plus one, 0 for none). The trace is 0 when nobody samples it, the span id until there is a span.
SLOT_PROGRESS, SLOT_STALL = 3, 4
SLOT_PARENT, SLOT_ORIGIN, SLOT_TRACE, SLOT_SPAN = 3, 4, 5, 7
ROUTE_BITS: Final = 16
ROUTE_MASK: Final = (1 << ROUTE_BITS) - 1
ORIGIN_MASK: Final = (1 << 64 - ROUTE_BITS) - 1

# What an exemplar is of: a bucket of the run time (its number), a failure, and a drop (plus its reason).
EXEMPLAR_FAILED, EXEMPLAR_DROPPED = 32, 64

_FIXED = struct.Struct("<8sIIQQQQ16s16sQQQQQQQQ")
_SECTION = struct.Struct("<QQQQ")
_SECTIONS_AT, _MAX_SECTIONS = 256, 16
_SERVICE_AT, _VERSION_AT, _CRC_AT = 1024, 1280, 2040


class LayoutError(ValueError):
    """The bytes are no ledger this version can read; ``reason`` is a short, countable word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Section:
    """Where a table lies: ``offset`` and ``stride`` in bytes, ``count`` records."""

    offset: int
    count: int
    stride: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a process writes about itself once; clocks in nanoseconds, sizes in bytes."""

    uuid: bytes
    boot_id: bytes
    pid: int
    pid_namespace: int
    time_namespace: int
    process_started: int
    uid: int
    wall_ns: int
    monotonic_ns: int
    service: str
    version: str
    file_size: int
    sections: dict[int, Section]


def sections(slots: int = DEFAULT_SLOTS, *, linked: bool = False) -> tuple[dict[int, Section], int]:
    """The tables of a new file one after the other, and the file's size, in whole pages."""
    counts = {
        EXCEPTIONS: MAX_EXCEPTIONS, SLOTS: slots, ROUTES: MAX_ROUTES, LINKS: MAX_LINKS, STACKS: MAX_STACKS,
        RESOURCE: 1, EXEMPLARS: MAX_EXEMPLARS, LINKED: slots if linked else 0,
        ENDINGS: MAX_ENDINGS,
    }  # fmt: skip
    offset = HEADER_SIZE
    table = {}
    for number, stride in SECTION_STRIDES.items():
        count = counts.get(number, MAX_TASKS)
        if not count:
            continue
        table[number] = Section(offset, count, stride)
        offset += -(-count * stride // 64) * 64
    return table, -(-offset // 4096) * 4096


def pack_header(header: Header) -> bytes:
    """The header's written-once part: ``LIVE_WORDS * 8`` bytes, CRC included."""
    page = bytearray(LIVE_WORDS * 8)
    _FIXED.pack_into(
        page, 0, MAGIC, HEADER_SIZE, FORMAT, 0, 0, BYTE_ORDER_MARK, header.file_size, header.uuid, header.boot_id,
        header.pid, header.pid_namespace, header.time_namespace, header.process_started, header.uid,
        header.wall_ns, header.monotonic_ns, len(header.sections),
    )  # fmt: skip
    for place, (number, section) in enumerate(header.sections.items()):
        _SECTION.pack_into(
            page, _SECTIONS_AT + place * _SECTION.size, number, section.offset, section.count, section.stride
        )
    _pack_text(page, _SERVICE_AT, header.service, SERVICE_BYTES)
    _pack_text(page, _VERSION_AT, header.version, VERSION_BYTES)
    struct.pack_into("<Q", page, _CRC_AT, zlib.crc32(page[:_CRC_AT]))
    return bytes(page)


def unpack_header(page: bytes, file_size: int) -> Header:
    """Read and check a header; nothing in the file is trusted before this returns.

    Raises:
        LayoutError: reason ``foreign``, ``newer``, ``corrupt`` or ``truncated``.
    """
    if page[:8] != MAGIC:
        raise LayoutError("foreign", "it does not begin with a ledger's magic")
    if len(page) < LIVE_WORDS * 8 or file_size < HEADER_SIZE:
        raise LayoutError("truncated", f"{file_size} bytes are less than a header")
    (_, header_size, format_, incompatible, _, mark, size, uuid, boot_id, pid, pid_namespace, time_namespace,
     process_started, uid, wall_ns, monotonic_ns, n_sections) = _FIXED.unpack_from(page)  # fmt: skip
    if incompatible & ~KNOWN_INCOMPATIBLE or format_ > FORMAT:
        raise LayoutError("newer", f"format {format_}, flags {incompatible:#x}: written by a newer afterword")
    if zlib.crc32(page[:_CRC_AT]) != struct.unpack_from("<Q", page, _CRC_AT)[0]:
        raise LayoutError("corrupt", "the header's checksum does not match")
    if mark != BYTE_ORDER_MARK or header_size != HEADER_SIZE or n_sections > _MAX_SECTIONS:
        raise LayoutError("corrupt", "the header contradicts itself")
    if size != file_size:
        raise LayoutError("truncated", f"{file_size} bytes where the header says {size}")
    return Header(
        uuid, boot_id, pid, pid_namespace, time_namespace, process_started, uid, wall_ns, monotonic_ns,
        unpack_text(page, _SERVICE_AT, SERVICE_BYTES), unpack_text(page, _VERSION_AT, VERSION_BYTES), size,
        _unpack_sections(page, n_sections, size),
    )  # fmt: skip


def _unpack_sections(page: bytes, n_sections: int, file_size: int) -> dict[int, Section]:
    """Unknown sections are skipped (a newer writer may add tables), known ones must fit."""
    found = {}
    for place in range(n_sections):
        number, offset, count, stride = _SECTION.unpack_from(page, _SECTIONS_AT + place * _SECTION.size)
        if number in SECTION_STRIDES:
            fits = offset % 8 == 0 and offset >= HEADER_SIZE and offset + count * stride <= file_size
            if not fits or stride != SECTION_STRIDES[number] or count > MAX_FILE_SIZE // stride:
                raise LayoutError("corrupt", f"section {number} does not fit the file")
            found[number] = Section(offset, count, stride)
    tables = [found.get(number) for number in (TASKS, FINISHED, SUMS, STARTED, SCHEDULED)]
    if SECTION_STRIDES.keys() - found.keys() - OPTIONAL or len({table and table.count for table in tables}) != 1:
        raise LayoutError("corrupt", "a section is missing or the tables differ in length")
    return found


def _pack_text(page: bytearray, at: int, text: str, limit: int) -> None:
    raw = clip(text, limit)
    struct.pack_into("<Q", page, at, len(raw))
    page[at + 8 : at + 8 + len(raw)] = raw


def unpack_text(page: bytes, at: int, limit: int) -> str:
    """A text with its length in the word before it; a wrong length is cut to what fits."""
    length = min(struct.unpack_from("<Q", page, at)[0], limit)
    return printable(page[at + 8 : at + 8 + length].decode("utf-8", "replace"))


def clip(text: str, limit: int) -> bytes:
    """``text`` as printable UTF-8 of at most ``limit`` bytes, never cut inside a character."""
    raw = printable(text).encode("utf-8", "backslashreplace")
    return raw if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore").encode()


def printable(text: str) -> str:
    """Control characters as escapes: a name must not move a terminal or split a log line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
