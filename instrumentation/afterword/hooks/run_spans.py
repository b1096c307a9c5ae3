"""The span of a run, from where it is handed over to its end: put around the calls of an account.

    schedule ── the place it was handed over at, into its slot: so a sidecar knows the trace
    start ───── its span: that which FastAPI or its instrumentation made for it, else one of ours ── ids into the slot
    end ─────── what came of it, on the span; one of ours is ended
    drop ────── a span from its handing over to now: there was none

The ledger is written first, the span after it: a kill in between costs a span, and never gives one twice.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextvars import Token
from typing import Any, Final

from afterword import spans, words
from afterword.hooks.handed_over import RUNS, RunSpan, detach, stay_at
from afterword.hooks.on_spans import ended_badly, exemplar, identity, wall
from afterword.hooks.process import PROCESS
from afterword.hooks.recognised import is_of_a_run
from afterword.hooks.tracer import BEHALF, NOWHERE, TRACING, Place
from afterword.ledger import layout
from afterword.ledger.accounts import Account
from afterword.ledger.layout import SLOT_PARENT, SLOT_SPAN, SLOT_TRACE
from afterword.ledger.records import exception_name
from afterword.ledger.slots import Run

_WORD: Final = (1 << 64) - 1


def dress(account: Account) -> None:
    """Let the runs of an account be traced from now on."""
    account.schedule = _scheduling(account, account.schedule)
    account.start = _starting(account, account.start)
    account.succeed = _succeeding(account, account.succeed)
    account.fail = _ending(account, account.fail, _failed, 1)
    account.cancel = _ending(account, account.cancel, _cancelled, 2)
    account.drop = _dropping(account, account.drop)
    account.collect = _collecting(account.collect)
    account.swallow = _swallowing(account.swallow)


def context_of(run: Run) -> Any:
    """The OpenTelemetry context in which the code of a run belongs; None if it is not traced."""
    entry = RUNS.get(run)
    return entry.context if isinstance(entry, RunSpan) else None


def _scheduling(account: Account, schedule: Callable[[], Run]) -> Callable[[], Run]:
    is_worker = account.kind == words.WORKER

    def traced() -> Run:
        run = schedule()
        if not TRACING.on:
            return run
        behalf = BEHALF.get()
        if behalf is None:
            try:
                place = TRACING.here()
            except Exception as error:  # noqa: BLE001 - a propagator is anybody's code
                TRACING.trouble(error)
                place = NOWHERE
        else:
            place = behalf.place or NOWHERE
        if run:
            RUNS[run] = place
        if run > 0:
            view = account.words
            if is_worker or not place.span:
                view[run + SLOT_TRACE] = view[run + SLOT_TRACE + 1] = 0
            else:
                view[run + SLOT_TRACE], view[run + SLOT_TRACE + 1] = place.high, place.low
                view[run + SLOT_SPAN] = 0
                view[run + SLOT_PARENT] = place.span
        return run

    return traced


def _starting(account: Account, start: Callable[[Run], int]) -> Callable[[Run], int]:
    def traced(run: Run) -> int:
        at = start(run)
        place = RUNS.get(run)
        if type(place) is Place and TRACING.on and BEHALF.get() is None:
            if place.unsampled and TRACING.obeys:
                RUNS[run] = stay_at(place)
            else:
                try:
                    RUNS[run] = _span_of(account, run, place, at, outside=False)
                except Exception as error:  # noqa: BLE001 - a provider is anybody's code
                    RUNS.pop(run, None)
                    TRACING.trouble(error)
        return at

    return traced


def begin_outside(account: Account, run: Run, at: int) -> None:
    """The span of a run that began at ``at`` (monotonic ns), made where its code is not: it was adopted meanwhile."""
    place = RUNS.get(run)
    if type(place) is Place and TRACING.on:
        try:
            RUNS[run] = _span_of(account, run, place, at, outside=True)
        except Exception as error:  # noqa: BLE001 - a provider is anybody's code
            RUNS.pop(run, None)
            TRACING.trouble(error)


def _span_of(account: Account, run: Run, place: Place, at: int, *, outside: bool) -> Any:
    """The span of a run that begins; of one that is not sampled, only what leads out of its context again."""
    api, is_worker = TRACING.api, account.kind == words.WORKER
    current = None if outside else TRACING.get_current()
    # The context it was handed over in: nobody has made a span since.
    span: Any = None if current is None or current is place.seen else api.get_current_span(current)
    theirs = span is not None and is_of_a_run(span)
    own_trace = TRACING.links or is_worker
    base, links = _above(place, own_trace=own_trace)
    if theirs:
        span.update_name(account.name)
        span.add_event(spans.STARTED)
        for link in links:
            span.add_link(link.context)
    elif outside or links:
        began = wall(at) if outside else None
        span = TRACING.tracer.start_span(account.name, context=base, links=links, start_time=began)
    else:
        span = TRACING.tracer.start_span(account.name, context=base)
    inside = base if is_worker else api.set_span_in_context(span, base)
    if not span.is_recording():
        if place.span and run > 0:
            _note_ids(account, run, span.get_span_context(), place, own_trace=own_trace)
        return None if outside else TRACING.attach(inside)
    entry = RunSpan(span, inside, theirs=theirs)
    span.set_attributes(identity(account, run))
    if run > 0:
        span.set_attribute(spans.WAIT, max(0, at - account.words[run + 1]) / 1e9)
        _note_ids(account, run, entry.span_context, place, own_trace=own_trace)
    if not outside:  # last: whatever raises above, nobody is left in a context that is not theirs
        entry.token = TRACING.attach(inside)
    return entry


def _above(place: Place, *, own_trace: bool) -> tuple[Any, Sequence[Any]]:
    """The context that a run's span begins in, and what that is linked to where it begins a trace of its own."""
    context = place.context if place.context is not None else TRACING.get_current()
    if not own_trace:
        return context, ()
    links = () if place.span_context is None else (TRACING.api.Link(place.span_context),)
    return TRACING.without_span(context), links


def _note_ids(account: Account, run: Run, found: Any, place: Place, *, own_trace: bool) -> None:
    """The ids of a span into its run's slot: in another trace than the run was handed over in, all of them change."""
    view, sampled = account.words, found.trace_flags & 1
    trace = found.trace_id if sampled else 0
    if not own_trace and sampled and place.high == trace >> 64 and place.low == trace & _WORD:
        view[run + SLOT_SPAN] = found.span_id
        return
    worker = account.kind == words.WORKER
    origin = 0 if worker else view[run + layout.SLOT_ORIGIN]
    if not worker:
        view[run + layout.SLOT_ORIGIN] = 0  # until all of it is there, there is no trace
        view[run + SLOT_PARENT] = place.span
        if PROCESS.owner is not None and PROCESS.owner.ledger is not None:
            PROCESS.owner.ledger.note_linked(run, place.high, place.low)
    view[run + SLOT_TRACE], view[run + SLOT_TRACE + 1] = trace >> 64, trace & _WORD
    view[run + SLOT_SPAN] = found.span_id if sampled else 0
    if not worker:
        view[run + layout.SLOT_ORIGIN] = origin


def _ending(
    account: Account, end: Callable[..., None], tell: Callable[[RunSpan, Any], None], outcome: int
) -> Callable[..., None]:
    def traced(run: Run, since: int, *how: Any) -> None:
        entry = RUNS.pop(run, None)
        end(run, since, *how)
        if type(entry) is RunSpan:
            try:
                _finish(account, entry, since, outcome, tell, how)
            except Exception as error:  # noqa: BLE001 - a provider is anybody's code
                TRACING.trouble(error)
        elif type(entry) is Token:
            detach(entry)

    return traced


def _succeeding(account: Account, succeed: Callable[[Run, int], None]) -> Callable[[Run, int], None]:
    """As `_ending`, for what happens most."""

    def traced(run: Run, since: int) -> None:
        entry = RUNS.pop(run, None)
        succeed(run, since)
        if type(entry) is Token:
            try:  # noqa: SIM105 - `detach`, without its call
                entry.var.reset(entry)
            except ValueError:
                pass
        elif type(entry) is RunSpan:
            try:
                _finish(account, entry, since, 0, _succeeded, ())
            except Exception as error:  # noqa: BLE001 - a provider is anybody's code
                TRACING.trouble(error)

    return traced


def _finish(
    account: Account, entry: RunSpan, since: int, outcome: int, tell: Callable[[RunSpan, Any], None], how: Any
) -> None:
    span = entry.span
    try:
        if span.is_recording():  # one of somebody else's may have ended
            tell(entry, how)
    finally:
        if not entry.theirs:
            span.end()
        detach(entry.token)
    if entry.span_context.trace_flags & 1:
        now = time.monotonic_ns()
        took = now - since
        bucket = bisect_left(layout.BOUNDS_NS, took)
        exemplar(account, bucket, entry.span_context, took, now)
        if outcome == 1:
            exemplar(account, layout.EXEMPLAR_FAILED, entry.span_context, took, now)


def _succeeded(entry: RunSpan, _how: Any) -> None:
    entry.span.set_attribute(spans.OUTCOME, words.SUCCEEDED)


def _failed(entry: RunSpan, how: Any) -> None:
    ended_badly(entry.span, words.FAILED, exception_name(how[0]))


def _cancelled(entry: RunSpan, how: Any) -> None:
    ended_badly(entry.span, words.CANCELLED, words.CANCEL_REASONS[how[0]])


def _dropping(account: Account, drop: Callable[[Run, int], None]) -> Callable[[Run, int], None]:
    def traced(run: Run, reason: int) -> None:
        place = RUNS.pop(run, None)
        scheduled = account.words[run + 1] if run > 0 else time.monotonic_ns()
        told = identity(account, run) if type(place) is Place and TRACING.on else None
        drop(run, reason)
        if told is not None and isinstance(place, Place):
            try:
                _tell_dropped(account, place, scheduled, told, reason)
            except Exception as error:  # noqa: BLE001 - a provider is anybody's code
                TRACING.trouble(error)

    return traced


def _tell_dropped(account: Account, place: Place, scheduled: int, told: dict[str, Any], reason: int) -> None:
    now = time.monotonic_ns()
    context, links = _above(place, own_trace=TRACING.links)
    began = wall(min(scheduled, now))
    span = TRACING.tracer.start_span(account.name, context=context, links=links, start_time=began)
    if span.is_recording():
        span.set_attributes(told)
        ended_badly(span, spans.DROPPED, words.DROP_REASONS[reason])
    span.end()
    found = span.get_span_context()
    if found.trace_flags & 1:
        exemplar(account, layout.EXEMPLAR_DROPPED + reason, found, 0, now)


def _collecting(collect: Callable[[Run], None]) -> Callable[[Run], None]:
    def traced(run: Run) -> None:
        entry = RUNS.pop(run, None)
        collect(run)
        if type(entry) is RunSpan and not entry.theirs:
            try:
                if entry.span.is_recording():
                    ended_badly(entry.span, spans.LOST, words.LOST_COLLECTED)
                    entry.span.set_attribute(spans.PHASE, words.RUNNING)
                entry.span.end()
            except Exception as error:  # noqa: BLE001 - a provider is anybody's code
                TRACING.trouble(error)

    return traced


def _swallowing(swallow: Callable[[Run], None]) -> Callable[[Run], None]:
    def traced(run: Run) -> None:
        swallow(run)
        entry = RUNS.get(run)
        if type(entry) is RunSpan and entry.span.is_recording():
            entry.span.set_attribute(spans.SWALLOWED, True)

    return traced
