"""The last bad endings of one process, run by run: a table that is written round, a record of 16 words each.

    0 sequence │ 1 what │ 2 scheduled │ 3 started │ 4 ended │ 5, 6 trace id │ 7 span id │ 8 run │ 9..14 reason │ 15 all
                   │                                                                     └ slot, or ~number without one
                   └ task 0..15 · ending 16..23 · bytes of the reason 24..31 · route plus one 32..63

Records are written over while others read, so the last word says whether all the others belong together. Times are
monotonic ns, 0 for never.
"""

import struct
from typing import Final, NamedTuple

from afterword import words
from afterword.ledger import layout
from afterword.ledger.slots import run_id

_WORDS: Final = layout.ENDING_STRIDE // 8
_WORD: Final = (1 << 64) - 1
_REASON_AT: Final = 9
REASON_BYTES: Final = 48
_RECORD: Final = struct.Struct(f"<{_WORDS}Q")


class BadEnding(NamedTuple):
    """One run that ended badly; ids 0 where nobody samples it."""

    #: Which bad ending of its process it was, the first is 1.
    sequence: int
    task: int
    #: One of `words.BAD_ENDINGS`.
    ending: str
    reason: str
    #: The number of its route in the ledger plus one, 0 for none.
    route: int
    #: Its slot, or ``~number`` of a run that had none.
    run: int
    scheduled: int
    started: int
    ended: int
    trace: int
    span: int

    def id(self, uuid: bytes) -> str:
        """Its name for people."""
        return f"{uuid[:4].hex()}-x{~self.run:x}" if self.run < 0 else run_id(uuid, self.run, self.scheduled)


def write(view: memoryview, table: layout.Section, found: BadEnding) -> None:
    """Put one in its place; the one that was there is forgotten."""
    raw = layout.clip(found.reason, REASON_BYTES)
    text = struct.unpack("<6Q", raw.ljust(REASON_BYTES, b"\0"))
    what = found.task | words.BAD_ENDINGS.index(found.ending) << 16 | len(raw) << 24 | found.route << 32
    record = (
        found.sequence, what, found.scheduled, found.started, found.ended, found.trace >> 64, found.trace & _WORD,
        found.span, found.run & _WORD, *text,
    )  # fmt: skip
    at = table.offset // 8 + (found.sequence - 1) % table.count * _WORDS
    for place, word in enumerate((*record, _check(record))):
        view[at + place] = word


def read(raw: bytes) -> list[BadEnding]:
    """Those of a whole table that are complete, the oldest first."""
    found = []
    for record in _RECORD.iter_unpack(raw):
        what, check = record[1], record[-1]
        ending = what >> 16 & 0xFF
        if not record[0] or check != _check(record[:-1]) or ending >= len(words.BAD_ENDINGS):
            continue
        reason = struct.pack("<6Q", *record[_REASON_AT : _REASON_AT + 6])[: what >> 24 & 0xFF]
        run = record[8] - (1 << 64) if record[8] >> 63 else record[8]
        found.append(
            BadEnding(
                sequence=record[0],
                task=what & 0xFFFF,
                ending=words.BAD_ENDINGS[ending],
                reason=layout.printable(reason.decode("utf-8", "replace")),
                route=what >> 32,
                run=run,
                scheduled=record[2],
                started=record[3],
                ended=record[4],
                trace=record[5] << 64 | record[6],
                span=record[7],
            )
        )
    return sorted(found)


def _check(record: tuple[int, ...]) -> int:
    check = 0x5AFE
    for word in record:
        check ^= word
    return check
