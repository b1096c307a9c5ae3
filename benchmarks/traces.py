"""What following a trace adds to a task's lifecycle, beyond what OpenTelemetry's own calls cost, with nothing sampled.

CPU nanoseconds per lifecycle, net of the empty loop. ``opentelemetry`` is what a span that is current for its time
costs in any case: start it, be in its context, end it, leave. Two ways not to be sampled: below a request that is not,
where we make no span at all, and by the sampler's own decision, where there is one each time.
"""

import functools
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import lifecycle
from benchmarks.figure import Figure
from benchmarks.interleave import Samples, interleave, medians, peers, spread

STACKS: dict[str, dict[str, str]] = {
    "none": {}, "afterword": {}, "fix7": {},
    "opentelemetry": {}, "traced": {}, "opentelemetry_root": {}, "traced_root": {}, "traced_sampled": {},
}  # fmt: skip
_CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"


def measure(quick: bool) -> list[Figure]:
    rounds, n = (15, 1000) if quick else (61, 2000)
    with peers("traces", STACKS) as alive:
        turns = {name: functools.partial(peer.ask, "run", n) for name, peer in alive.items()}
        samples = interleave(turns, rounds)
    return [
        _beyond(samples, "", "below a request that nobody samples"),
        _beyond(samples, "_root", "of a run that its sampler leaves out"),
    ]


def _beyond(samples: Samples, which: str, called: str) -> Figure:
    bare, fix7 = samples["afterword"], samples["fix7"]
    traced, opentelemetry, none = samples[f"traced{which}"], samples[f"opentelemetry{which}"], samples["none"]
    ours = [t - a - o + z for t, a, o, z in zip(traced, bare, opentelemetry, none, strict=True)]
    theirs = [f - z for f, z in zip(fix7, none, strict=True)]
    middle = medians(samples)
    beyond, against = statistics.median(ours), statistics.median(theirs)
    detail = (
        f"{beyond:.0f} ns beyond accounting {middle['afterword'] - middle['none']:.0f} and OpenTelemetry"
        f" {middle[f'opentelemetry{which}'] - middle['none']:.0f} / {against:.0f} ns {spread(ours, theirs)};"
        f" sampled, without an exporter: {middle['traced_sampled'] - middle['none']:.0f} ns in all"
    )
    return Figure(f"trace {called} / Fix 7", beyond / against, "x", 0.30, 0.40, detail)


def serve(stack: str, directory: Path) -> dict[str, Callable[[int], float]]:
    if stack in lifecycle.STACKS:
        return lifecycle.serve(stack, directory)
    what, _, how = stack.partition("_")
    return lifecycle.timed(_opentelemetry(how) if what == "opentelemetry" else _traced(directory, how))


def _provider(how: str) -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    return TracerProvider(sampler=ParentBasedTraceIdRatio(0.0)) if how == "root" else TracerProvider()


def _context(how: str) -> Any:
    """Where the runs are handed over: in no trace, or in one that a client began."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if how == "root":
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": f"{_CLIENT}{int(how == 'sampled')}"})


def _opentelemetry(how: str) -> Callable[[int], None]:
    from opentelemetry import context, trace

    tracer, parent = _provider(how).get_tracer("benchmark"), _context(how)

    def run(n: int) -> None:
        context.attach(parent)
        for _ in range(n):
            span = tracer.start_span("nothing", context=parent)
            token = context.attach(trace.set_span_in_context(span, parent))
            span.end()
            context.detach(token)

    return run


def _traced(directory: Path, how: str) -> Callable[[int], None]:
    from fastapi import FastAPI
    from opentelemetry import context

    import afterword
    from afterword import words
    from afterword.hooks.dressing import look_for_tracer
    from afterword.hooks.process import PROCESS
    from afterword.ledger.accounts import Declaration

    parent = _context(how)
    afterword.instrument(FastAPI(), dir=directory, service="benchmark", tracer_provider=_provider(how))
    owner = PROCESS.owner
    if owner is None or not owner.open():
        raise RuntimeError("there is no ledger")
    look_for_tracer()
    account = owner.account("benchmarks.traces.nothing", words.BACKGROUND, Declaration())

    def run(n: int) -> None:
        context.attach(parent)
        schedule, start, succeed = account.schedule, account.start, account.succeed
        for _ in range(n):
            run = schedule()
            succeed(run, start(run))

    return run
