"""The application's tracer, and where in a trace the code is that runs now.

Nothing of OpenTelemetry is imported before the application has loaded it, and nothing is traced before it has set a
provider. A provider that raises costs its spans, and nothing else.
"""

import json
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers

from afterword import spans
from afterword.hooks.call import CURRENT
from afterword.hooks.process import PROCESS
from afterword.hooks.recognised import is_an_operation
from afterword.ledger.layout import RESOURCE_BYTES
from afterword.ledger.saying import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterword.hooks.call import Call

#: Providers that stand in the place of one that was not set.
_UNSET: Final = frozenset({"ProxyTracerProvider", "NoOpTracerProvider", "DefaultTracerProvider"})
#: After so many errors of the provider, spans are left alone.
_PATIENCE: Final = 3
_WORD: Final = (1 << 64) - 1


class Place:
    """Where something was handed over: the OpenTelemetry context, and the span in it as numbers, 0 if not sampled."""

    __slots__ = ("context", "high", "low", "seen", "span", "span_context", "unsampled")

    def __init__(self, context: Any, span_context: Any, *, sampled: bool = True) -> None:
        self.context = self.seen = context
        self.span_context = span_context
        sampled = sampled and span_context is not None and span_context.trace_flags & 1
        trace = span_context.trace_id if sampled else 0
        self.high, self.low = trace >> 64, trace & _WORD
        self.span: int = span_context.span_id if sampled else 0
        self.unsampled = span_context is not None and not sampled


class Tracing:
    """Whether runs are traced, and by what."""

    def __init__(self) -> None:
        self.on = False
        #: Whether a run begins a trace of its own that is linked to where it comes from.
        self.links = False
        self.tracer: Any = None
        self.api: Any = None
        #: `opentelemetry.context.get_current`, and the place that was looked at last.
        self.get_current: Callable[[], Any] = dict
        self.attach: Callable[[Any], Any] = dict
        #: Whether nobody samples below what is not sampled.
        self.obeys = False
        self._last = NOWHERE
        self._given: Any = None
        self._errors = 0
        self._refused = False

    def begin(self) -> None:
        """With the first application: everything as it was at first."""
        self.__init__()  # type: ignore[misc]  # on purpose: all hooks hold this one

    def offer(self, app: Any, provider: Any) -> None:
        """What one more application was instrumented with, or FastAPI was given: it need not be the global one."""
        if self._given is None:
            self._given = provider
        if self._given is None:
            config = getattr(app, "_telemetry", None)
            if isinstance(config, dict):
                self._given = config.get("tracer_provider")

    def look(self) -> bool:
        """Whether a provider has been set since the last look: then runs are traced from now on."""
        owner = PROCESS.owner
        if self.on or self._refused or owner is None or owner.settings.trace == "off":
            return False
        api = sys.modules.get("opentelemetry.trace")
        # What the API keeps the global one in. Without that name it is asked, which takes microseconds.
        if api is None or (self._given is None and getattr(api, "_TRACER_PROVIDER", api) is None):
            return False
        try:
            provider = self._given if self._given is not None else api.get_tracer_provider()
            if type(provider).__name__ in _UNSET:
                return False
            self.tracer = provider.get_tracer(spans.SCOPE, owner.version)
            context = sys.modules["opentelemetry.context"]
            direct = getattr(context, "_RUNTIME_CONTEXT", context)  # what its functions call: one call less each time
            self.get_current, self.attach = direct.get_current, direct.attach
            self.obeys = _obeys(getattr(self.tracer, "sampler", None))
            self.api, self.links, self.on = api, owner.settings.trace == "link", True
            _note_resource(provider)
        except Exception as error:  # noqa: BLE001 - a provider is anybody's code
            self.refuse(error, "tracer_provider cannot be used")
        return self.on

    def refuse(self, error: BaseException, what: str) -> None:
        """Leave spans alone for good."""
        self.on, self._refused = False, True
        say(f"no spans are made: {what} ({type(error).__name__}: {error}). The application and its metrics are not "
            "affected.")  # fmt: skip

    def trouble(self, error: Exception) -> None:
        """One span could not be made or ended."""
        if PROCESS.raising and _is_ours(error):
            raise error
        self._errors += 1
        if self._errors == 1:
            say(f"a span could not be written ({type(error).__name__}: {error}); the application is not affected.")
        if self._errors >= _PATIENCE and self.on:
            self.refuse(error, f"tracer_provider failed {self._errors} times")

    # -- where we are

    def here(self) -> Place:
        """The place of the code that runs now; within a request that nobody traces, what its client sent."""
        context = self.get_current()
        last, call = self._last, CURRENT.get()
        if last.seen is context and (last.span_context is not None or call is None or call.scope is None):
            return last
        span = self.api.get_current_span(context)
        found = span.get_span_context()
        if found.is_valid:
            if is_an_operation(span):  # FastAPI's own part of a request: what it schedules is the request's
                self._last = place = Place(self._at(span.parent, context), span.parent)
                place.seen = context
            else:
                self._last = place = Place(context, found)
            return place
        self._last = place = Place(context, None)
        return place if call is None or call.scope is None else self._sent_by_client(call, context)

    def here_or_nowhere(self) -> Place:
        """As `here`; what goes wrong with it is told, and not raised."""
        try:
            return self.here()
        except Exception as error:  # noqa: BLE001 - a propagator is anybody's code
            self.trouble(error)
            return NOWHERE

    def _sent_by_client(self, call: "Call", context: Any) -> Place:
        place: Place | None = call.place
        if place is None or place.seen is not context:
            extract = _propagate().extract
            merged = extract(Headers(scope=call.scope), context=context)
            found = self.api.get_current_span(merged).get_span_context()
            sampled = found.is_valid and self._samples(merged, found.trace_id)
            place = call.place = Place(merged, found if found.is_valid else None, sampled=sampled)
            place.seen = context
        return place

    def _samples(self, context: Any, trace: int) -> bool:
        """Whether a run would be, below what a client sent: not every sampler does as that says."""
        sampler = getattr(self.tracer, "sampler", None)
        return sampler is None or sampler.should_sample(context, trace, spans.SCOPE).decision.is_sampled()

    def _at(self, span_context: Any, context: Any) -> Any:
        return self.api.set_span_in_context(self.api.NonRecordingSpan(span_context), context)

    def without_span(self, context: Any) -> Any:
        """A context in which the next span begins a trace."""
        return self.api.set_span_in_context(self.api.INVALID_SPAN, context)


NOWHERE: Final = Place(None, None)
TRACING: Final = Tracing()
#: The child that is booked on behalf of, from outside of its own context.
BEHALF: Final[ContextVar[Any]] = ContextVar("afterword_behalf", default=None)


def _obeys(sampler: Any) -> bool:
    """Whether a sampler, which is OpenTelemetry's own and by default this one, samples nothing below what is not."""
    sampling = sys.modules.get("opentelemetry.sdk.trace.sampling")
    if sampling is None or not isinstance(sampler, sampling.ParentBased):
        return False
    below = (getattr(sampler, f"_{side}_parent_not_sampled", None) for side in ("remote", "local"))
    return all(each is sampling.ALWAYS_OFF for each in below)


def _propagate() -> Any:
    import opentelemetry.propagate

    return opentelemetry.propagate


def _is_ours(error: BaseException) -> bool:
    """Whether the error came from a line of ours rather than from the provider's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__


def _note_resource(provider: Any) -> None:
    """What the provider says about the process, for spans that this can no longer send itself."""
    owner = PROCESS.owner
    if owner is None:
        return
    attributes = dict(getattr(getattr(provider, "resource", None), "attributes", None) or {})
    kept: dict[str, Any] = {}
    for name in sorted(attributes, key=lambda name: (not name.startswith(("service.", "deployment.")), name)):
        value = attributes[name]
        if isinstance(value, str | bool | int | float):
            raw = json.dumps({**kept, name: value}, separators=(",", ":")).encode()
            if len(raw) <= RESOURCE_BYTES:
                kept[name] = value
    owner.note_resource(json.dumps(kept, separators=(",", ":")).encode())
