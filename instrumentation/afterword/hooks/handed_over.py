"""The runs that are traced: where each was handed over while it waits, its span while it is on."""

from typing import TYPE_CHECKING, Any, Final

from afterword.hooks.process import PROCESS
from afterword.hooks.recognised import is_of_a_run
from afterword.hooks.tracer import TRACING, Place
from afterword.ledger.slots import Run

if TYPE_CHECKING:
    from afterword.ledger.open_ledger import OpenLedger


class RunSpan:
    """The span of a run that is on, and recorded."""

    __slots__ = ("context", "span", "span_context", "theirs", "token")

    def __init__(self, span: Any, context: Any, *, theirs: bool) -> None:
        self.span, self.context, self.theirs = span, context, theirs
        self.span_context = span.get_span_context()
        self.token: Any = None


#: By run: where it waits to begin, its span, or what leads out again of the context of one that nobody samples.
RUNS: Final[dict[Run, Any]] = {}
PROCESS.at_standing_aside.append(RUNS.clear)


def describe(run: Run) -> tuple[str, str]:
    """A run's name for people, and the route that scheduled it, as ``METHOD template`` or an empty text."""
    ledger = ledger_of(run)
    return ("", "") if ledger is None else ledger.describe(run, ledger.context.words)


def ledger_of(run: Run) -> "OpenLedger | None":
    """The ledger that a run is booked in: an earlier one of this process may hold it."""
    owner = PROCESS.owner
    return None if owner is None else owner.ledger_of(run) or owner.ledger


def attach_handed_over(run: Run) -> Any:
    """Be where a waiting run was handed over, for others make its span: a token for `detach`, or None."""
    place = RUNS.get(run)
    if type(place) is not Place or place.context is None:
        return None
    try:
        if place.unsampled and TRACING.obeys:
            return stay_at(place)
        if is_of_a_run(TRACING.api.get_current_span()):
            return None  # somebody further out was here, and it is made
        return attach(TRACING.without_span(place.context) if TRACING.links else place.context)
    except Exception as error:  # noqa: BLE001 - a provider is anybody's code
        TRACING.trouble(error)
        return None


def stay_at(place: Place) -> Any:
    """Be where something was handed over that nobody samples: a token for `detach`, or None where we are there."""
    return None if TRACING.get_current() is place.context else attach(place.context)


def attach(context: Any) -> Any:
    """Be in an OpenTelemetry context until `detach`."""
    return TRACING.attach(context)


def detach(token: Any) -> None:
    """Be where we were before; of a context that was closed from outside nothing is left to restore."""
    if token is None:
        return
    var = getattr(token, "var", None)
    if var is None:  # of a context that is kept by other means than context variables
        import opentelemetry.context

        opentelemetry.context.detach(token)
        return
    try:  # noqa: SIM105 - once a run
        var.reset(token)
    except ValueError:
        pass
