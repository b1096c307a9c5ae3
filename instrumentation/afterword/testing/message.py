"""The sentences a failing test shows: one line for each task that did not end well."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from afterword import words
from afterword.testing.runs import Runs

#: What a word of the books means, in as few words as will do.
EXPLAINED: Final = {
    words.SIBLING_FAILED: "an earlier task of the same response raised",
    words.REQUEST_FAILED: "the request failed after it was added",
    words.RESPONSE_REPLACED: "another response was sent than the one that carried it",
    words.ADDED_TOO_LATE: "it was added when the response's tasks had run",
    words.WEBSOCKET: "nothing runs tasks that are added in a websocket",
    words.NEVER_AWAITED: "nobody awaited it",
    words.SHUTDOWN: "the request or the application was stopped first",
    words.DISCARDED: "whoever held it threw it away",
    words.LIFESPAN_SKIPPED: "the application's lifespan was not run",
}
EXPLAINED_CANCEL: Final = {
    words.CANCELLED_SHUTDOWN: "its event loop or the application stopped first",
    words.CANCELLED_REQUESTED: "somebody called cancel()",
    words.CANCELLED_REQUEST: "its request was cancelled",
    words.CANCELLED_INNER: "what it awaited was cancelled",
    words.CANCELLED_ORPHANED: "whoever spawned it had ended; a TestClient outside of `with` ends its event loop",
}
#: Stands for an exception where a run failed without one.
EXPLAINED_ERROR: Final = {
    words.NEVER_AWAITED_RESULT: "it returned a coroutine that nobody awaits",
    words.EFFECTS_MISSING: "the effects it declares were not reported",
    words.NOT_SUCCESSFUL: "its success= check said no",
    words.RETURNED: "a worker that ended before its application",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The books of a test as a sentence needs them. ``waited`` in seconds."""

    tasks: Mapping[str, Runs]
    excepted: Collection[str] = ()
    unknown: Collection[str] = ()
    open_before: Collection[str] = ()
    waited: float = 0.0
    on_event_loop: bool = False

    @property
    def bad(self) -> dict[str, Runs]:
        """The tasks that did not end well and are not excepted. What failed comes first, others may follow from it."""
        bad = {name: runs for name, runs in self.tasks.items() if runs.badly and name not in self.excepted}
        return dict(sorted(bad.items(), key=lambda entry: (not entry[1].failed, entry[0])))

    def __str__(self) -> str:
        bad, well = self.bad, sum(runs.well for runs in self.tasks.values())
        badly = sum(runs.badly for runs in bad.values())
        excepted = sum(self.tasks[name].badly for name in self.excepted if name in self.tasks)
        lines = [f"{badly} of {badly + well + excepted} runs did not end well:"]
        lines += [f"  {name}: {self._story(name, runs)}" for name, runs in bad.items()]
        end = f"{_runs(well)} ended well"
        lines.append(f"{end}, {excepted} excepted by except_for." if excepted else f"{end}.")
        lines += self._hints(bad)
        return "\n".join(lines)

    def _story(self, name: str, runs: Runs) -> str:
        story = ", ".join(_problems(runs, self.waited))
        return f"{story}; one was open before the test began" if name in self.open_before else story

    def _hints(self, bad: Mapping[str, Runs]) -> Iterator[str]:
        if self.unknown:
            yield f"except_for names {', '.join(self.unknown)}, which was not scheduled."
        if self.on_event_loop and any(runs.open for runs in bad.values()):
            yield (
                "This event loop stands still while the test waits here: "
                "put `await books.until_all_ended()` before the assertion."
            )


def _problems(runs: Runs, waited: float) -> Iterator[str]:
    if runs.failed:
        yield f"{runs.failed} failed{_classes(runs.errors)}"
    for reason, n in runs.dropped.items():
        yield f"{n} dropped ({_explained(reason, EXPLAINED)})"
    for reason, n in runs.cancelled_by.items():
        yield f"{n} cancelled ({_explained(reason, EXPLAINED_CANCEL)})"
    if runs.cancelled > runs.cancelled_by.total():
        yield f"{runs.cancelled - runs.cancelled_by.total()} cancelled"
    for reason, n in runs.lost.items():
        yield f"{n} lost ({reason})"
    if runs.swallowed:
        yield f"{runs.swallowed} succeeded but swallowed an error"
    for word, n in ((words.RUNNING, runs.running), (words.WAITING, runs.waiting)):
        if n:
            yield f"{n} still {word}" + (f" after {waited:g} s" if waited else "")


def _classes(errors: Counter[str]) -> str:
    several = len(errors) > 1
    told = [f"{n} x {name}" if several else name for name, n in errors.items()]
    told = [f"{name}: {EXPLAINED_ERROR[name]}" if name in EXPLAINED_ERROR else name for name in told]
    return f" ({', '.join(told)})" if told else ""


def _explained(reason: str, explanations: Mapping[str, str]) -> str:
    return f"{reason}: {explanations[reason]}" if reason in explanations else reason


def _runs(n: int) -> str:
    return f"{n} run" if n == 1 else f"{n} runs"
