"""Instrumenting applications whose code does not mention afterword: `afterword run` and `opentelemetry-instrument`.

``launch`` starts a command with ``site/`` first on PYTHONPATH, so that every Python below it runs ``sitecustomize``.
That one and ``otel`` wait for Starlette (``await_starlette``); from then on ``hook`` instruments what is called.
"""
