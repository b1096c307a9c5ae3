"""Starlette's and FastAPI's own test suites, bare and with every application instrumented: nothing may differ.

python -m tests.upstream             the suites' tests of what afterword hooks
python -m tests.upstream --all       every test they have
"""
