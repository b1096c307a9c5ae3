"""Reads all ledgers of a directory, books the dead, folds them away. Any number may read; one folds at a time.

The order of a scan is what makes it exact without a lock: list and read the ledgers first, look at
the carried totals last. A ledger folded in between is in those totals by name and is not counted
again; one folded earlier is not in the list.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from afterword.books import carried as carried_
from afterword.books.births import known_tasks, series_with_birth
from afterword.books.carried import Carried, CarriedCorruptError
from afterword.books.directory import LedgerDirectory, Listing, now_on_both_clocks, paused_since
from afterword.books.ended import kept_by, left_open
from afterword.books.history import History
from afterword.books.history_copy import HistoryCopy
from afterword.books.lost_runs import lost_runs, tell_lost, with_exemplars
from afterword.books.model import TaskKey, Totals
from afterword.books.one_ledger import Clock, clock_of, of_dead, of_living
from afterword.books.only_one import only_bookkeeper
from afterword.books.open_runs import OpenRun, overdue_runs
from afterword.books.outbox import Batch, Outbox, resource_of, span_of
from afterword.books.scan import Dead, Reading, Scan
from afterword.ledger import file
from afterword.ledger.layout import LayoutError
from afterword.ledger.reader import LedgerReader, Liveness
from afterword.ledger.snapshot import Snapshot

_LOGGER: Final = logging.getLogger("afterword.sidecar")
#: Task names one directory may have, over all processes and all time.
MAX_TASKS: Final = 1000
_ATTEMPTS: Final = 3
#: For so long dead ledgers wait for the history, in seconds.
_HOLD: Final = 30.0
T = TypeVar("T")


class Bookkeeper:
    """The books of one directory. Safe to use from several threads and several processes."""

    def __init__(self, directory: Path, *, folds: bool = True) -> None:
        """Keep the books of a directory.

        Args:
            directory: Where the ledgers are; it may be missing.
            folds: False for somebody who only reads, and writes nothing at all.
        """
        self.path = directory
        self._folds = folds
        self._directory = LedgerDirectory(directory)
        self._lock = threading.Lock()
        self._carried = Carried()
        self._carried_stamp: tuple[int, int, int] | None = None
        self._born: dict[str, float] = {}
        self._fold_errors = 0
        self._admitted: set[TaskKey] = set()
        self._refused: set[TaskKey] = set()
        self.outbox = Outbox(directory)
        self.history = History(directory) if folds else HistoryCopy(directory)
        #: Whether a death is noticed when it happens, from now on; and when each was (Unix ns).
        self.watched = False
        self._died: dict[str, int] = {}
        #: Dead ledgers that are not folded because the history cannot be written, and since when (Unix seconds).
        self.held: dict[str, float] = {}
        self._boot_id = file.boot_id()
        self._time_namespace = file.namespace("time")

    def scan(self) -> Scan:
        """Read everything, book and fold what is dead, and return the books."""
        with self._lock:
            began = time.monotonic()
            listing, reading, known = self._look_and_read()
            now = time.time()
            totals = self._sum(reading)
            newly_born = self._births(totals, now)
            unfolded = {uuid: dead for uuid, dead in reading.dead.items() if uuid not in self._carried.folded}
            if not self._folds:
                self.history.put({uuid: dead.ended for uuid, dead in unfolded.items()})
            elif (unfolded or newly_born or self._left_over(listing)) and known:
                self._fold(unfolded, listing, now)
            return Scan(
                totals=totals,
                born={**self._born, **self._carried.born},
                listing=listing,
                ledgers=len(listing.ledgers),
                at=now,
                seconds=time.monotonic() - began,
                fold_errors=self._fold_errors,
                spans=self.outbox.counts(),
            )

    def overdue_runs(self) -> list[OpenRun]:
        """The overdue runs of all processes that live."""
        return [run for found in self.of_living(overdue_runs) for run in found]

    def of_living(self, look: Callable[[LedgerReader, Snapshot, Clock], T]) -> list[T]:
        """What ``look`` finds in each process that lives. One that cannot be read now is left out: a scan tells."""
        found = []
        with self._lock:
            for reader in self._directory.look().ledgers.values():
                with contextlib.suppress(OSError, LayoutError):
                    if reader.liveness() is Liveness.ALIVE:
                        clock = clock_of(reader.header, self._boot_id, self._time_namespace)
                        found.append(look(reader, reader.snapshot(dead=False, now_ns=clock.now_ns), clock))
        return found

    def keep_endings(self) -> None:
        """Put into the history what the processes of the last scan have kept since; where there is nothing, cheap."""
        with self._lock:
            for reader in self._directory.known():
                with contextlib.suppress(OSError, LayoutError):
                    uuid = reader.header.uuid.hex()
                    if self.history.unread(uuid, reader.n_endings()):
                        clock = clock_of(reader.header, self._boot_id, self._time_namespace)
                        snapshot = reader.snapshot(dead=False, now_ns=clock.now_ns)
                        self.history.put({uuid: list(kept_by(snapshot, clock, reader.bad_endings()))})

    def sweep(self) -> None:
        """Remove leftovers of processes that died while they began."""
        with self._lock, contextlib.suppress(OSError):
            self._directory.sweep(time.time())
            self.outbox.sweep(time.time())
            self.history.sweep({reader.header.uuid.hex() for reader in self._directory.known()})

    # -- reading

    def _look_and_read(self) -> tuple[Listing, Reading, bool]:
        """Again after a pause: a fold since the look may be forgotten by name already."""
        for attempt in itertools.count(1):
            began = now_on_both_clocks()
            listing = self._directory.look()
            reading = self._read(listing)
            self.history.refresh()  # behind the look: what was folded since is in there by now
            self.history.put(reading.kept)
            known = self._refresh_carried()
            if attempt == _ATTEMPTS or not paused_since(began):
                return listing, reading, known
        raise AssertionError

    def _read(self, listing: Listing) -> Reading:
        reading = Reading()
        for uuid, reader in list(listing.ledgers.items()):
            liveness = reader.liveness()
            listing.unknown += liveness is Liveness.UNKNOWN
            try:
                clock = clock_of(reader.header, self._boot_id, self._time_namespace)
                snapshot = reader.snapshot(dead=liveness is Liveness.DEAD, now_ns=clock.now_ns)
                if liveness is Liveness.DEAD:
                    reading.dead[uuid] = self._dead(uuid, reader, snapshot, clock)
                else:
                    reading.living.add(of_living(snapshot, clock))
                    if self.history.unread(uuid, reader.n_endings()):
                        reading.kept[uuid] = list(kept_by(snapshot, clock, reader.bad_endings()))
            except LayoutError as error:
                self._directory.set_aside(uuid, error, listing)
            except OSError:
                listing.unknown += 1
        return reading

    def _dead(self, uuid: str, reader: LedgerReader, snapshot: Snapshot, clock: Clock) -> Dead:
        totals = of_dead(snapshot, clock, self._boot_id)
        if self.watched:
            self._died.setdefault(uuid, time.time_ns())
        lost = lost_runs(reader, snapshot, clock, self._boot_id, self._died.get(uuid))
        with_exemplars(totals, lost)
        spans = [span_of(run) for run in lost if run.trace] if self.outbox.wanted else []
        ended = [*kept_by(snapshot, clock, reader.bad_endings()), *left_open(snapshot, lost)]
        return Dead(totals, lost, ended, Batch(resource_of(snapshot.header, reader.resource()), spans))

    def _sum(self, reading: Reading) -> Totals:
        totals = Totals()
        totals.add(self._carried.totals)
        for uuid, dead in reading.dead.items():
            if uuid not in self._carried.folded:
                totals.add(dead.totals, self._admits)
        totals.add(reading.living, self._admits)
        for key in self._refused:
            totals.service(key.service).overflow["sidecar_tasks"] += 1
        return totals

    def _admits(self, key: TaskKey) -> bool:
        """First come, first served, for good: a name must not change its place from scan to scan."""
        if key in self._admitted:
            return True
        if len(self._admitted) < MAX_TASKS:
            self._admitted.add(key)
            return True
        if len(self._refused) < 10 * MAX_TASKS:
            self._refused.add(key)
        return False

    def _refresh_carried(self) -> bool:
        """Take over what another bookkeeper wrote. False if that is not known now: then nothing may be replaced."""
        try:
            found = (self.path / carried_.FILE_NAME).stat(follow_symlinks=False)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._carried_stamp:
                self._carried = carried_.load(self.path)
                self._carried_stamp = stamp
                self._admitted |= self._carried.totals.tasks.keys() | known_tasks(self._carried.born)
        except FileNotFoundError:
            self._carried, self._carried_stamp = Carried(), None
        except CarriedCorruptError as error:
            self._set_carried_aside(error)
        except OSError as error:
            self._trouble(f"{carried_.FILE_NAME} cannot be read", error)
            return False
        return True

    def _set_carried_aside(self, error: CarriedCorruptError) -> None:
        self._fold_errors += 1
        self._carried, self._carried_stamp = Carried(), None
        if not self._folds:
            return
        _LOGGER.error("%s is corrupt (%s): set aside, totals start from zero", carried_.FILE_NAME, error)
        with contextlib.suppress(OSError), only_bookkeeper(self.path) as mine:
            if mine:
                carried_.set_aside(self.path, time.time())

    def _births(self, totals: Totals, now: float) -> bool:
        """Note when each series that carries ``_created`` was first seen. True if one is new.

        One that an earlier release carried without its birth is as old as the directory: what it counted is no news.
        """
        known = self._carried.born
        new = {key for key in series_with_birth(totals) if key not in known and key not in self._born}
        if new:
            old = new.intersection(series_with_birth(self._carried.totals))
            self._born |= dict.fromkeys(new, now) | dict.fromkeys(old, min(known.values(), default=now))
        return bool(new)

    # -- folding

    def _left_over(self, listing: Listing) -> bool:
        """Ledgers that are in the totals already and only wait to be unlinked."""
        return any(uuid in self._carried.folded for uuid in listing.ledgers)

    def _fold(self, dead: dict[str, Dead], listing: Listing, now: float) -> None:
        """Write totals and uuids first, unlink after. On any failure the ledgers stay and are counted as they are."""
        try:
            with only_bookkeeper(self.path) as mine:
                if mine:
                    self._fold_alone(dead, listing, now)
        except OSError as error:
            self._trouble("dead ledgers could not be folded; they stay where they are", error)

    def _fold_alone(self, dead: dict[str, Dead], listing: Listing, now: float) -> None:
        if not self._refresh_carried():
            return
        fresh = {uuid: left for uuid, left in dead.items() if uuid not in self._carried.folded}
        fresh = self._kept_in_history(fresh, now)
        unsaved = {key: at for key, at in self._born.items() if key not in self._carried.born}
        if fresh or unsaved:
            merged = Carried(Totals(), {**unsaved, **self._carried.born}, dict(self._carried.folded))
            merged.totals.add(self._carried.totals)
            for uuid, left in fresh.items():
                self._keep_spans(uuid, left.spans)
                merged.totals.add(left.totals, self._admits)
                merged.folded[uuid] = now
            merged.forget_old_folds(now, keep=listing.ledgers.keys())
            carried_.save(self.path, merged)
            self._refresh_carried()
            for left in fresh.values():
                tell_lost(left.lost)
        for uuid in [uuid for uuid in listing.ledgers if uuid in self._carried.folded]:
            listing.ledgers[uuid].path.unlink(missing_ok=True)
            self._directory.forget(uuid)
            self._died.pop(uuid, None)
            self.history.forget(uuid)
            self.held.pop(uuid, None)

    def _kept_in_history(self, dead: dict[str, Dead], now: float) -> dict[str, Dead]:
        """Those whose bad endings are kept; the others lie where they are and are counted there, for some time."""
        if self.history.put({uuid: left.ended for uuid, left in dead.items()}):
            return dead
        given_up = {uuid: left for uuid, left in dead.items() if now - self.held.setdefault(uuid, now) > _HOLD}
        for left in given_up.values():
            self.history.give_up(left.ended)
        return {uuid: left for uuid, left in dead.items() if uuid in given_up or not left.ended}

    def _keep_spans(self, uuid: str, batch: Batch) -> None:
        try:
            self.outbox.put(uuid, batch)
        except OSError as error:
            self.outbox.dropped["unwritable"] += len(batch.spans)
            self._trouble("spans of lost runs cannot be kept", error)

    def _trouble(self, what: str, error: OSError) -> None:
        self._fold_errors += 1
        if self._fold_errors == 1:
            _LOGGER.warning("%s: %s", what, error)
