"""What `opentelemetry-instrument` finds of us: the same as `afterword run`, switched on by its own means."""

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # it is hidden from type checkers

from afterword.auto import await_starlette


class AfterwordInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # as above
    """Instruments the applications nobody decided about. Settings come from AFTERWORD_* and afterword.toml."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Without Starlette there is nothing to wait for."""
        return ("starlette >= 0.37",)

    def _instrument(self, **_: Any) -> None:
        await_starlette.begin()

    def _uninstrument(self, **_: Any) -> None:
        await_starlette.end()
