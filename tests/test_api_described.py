"""The API against its own description: whatever is asked, it answers as it says, and never without the token."""

from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)  # fmt: skip

from afterword.settings import Address
from afterword.sidecar.access import guarded
from afterword.sidecar.app import build
from tests import ledgers
from tests.sidecars import Writer

TOKEN = "an-open-secret-of-tests"  # noqa: S105 - of tests
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
AS_DESCRIBED = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    response_headers_conformance,
)  # fmt: skip
#: A stream has no end to wait for: tests/test_api.py reads it.
STREAM = "/api/events"
FEW = hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), database=None
)


@pytest.fixture
def full(directory):
    """A directory with something of everything: open runs, a death, a living process."""
    dead, living = Writer(directory), Writer(directory)
    dead.do("run")
    dead.do("wait", 3)
    dead.kill()
    living.do("end", 3)
    living.do("run", 2)
    mine = ledgers.owner(directory)
    ledgers.account(mine, "push", "worker")
    yield directory
    living.end()


@pytest.fixture
def described(full):
    """The description of a sidecar that asks for a token."""
    app = guarded(build(full), listen=Address("127.0.0.1", 9796), token=TOKEN, allowed_hosts=("testserver",))
    return schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=SHOWN)


def operations():
    """Every question there is, without the stream."""
    raw = build(Path("/nowhere")).openapi()
    return sorted((path, method.upper()) for path in raw["paths"] for method in raw["paths"][path] if path != STREAM)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), operations())
def test_every_answer_is_as_described(described, path, method, mode):
    """No error of the server's, no status and no shape that the description does not have, also of wrong questions."""
    operation = described[path][method]
    if mode.is_negative and not (operation.query or operation.path_parameters):
        pytest.skip("there is nothing to ask it wrongly")
    seen = set()

    @FEW
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        response = case.call_and_validate(headers=SHOWN, checks=AS_DESCRIBED)
        assert response.status_code != 401
        seen.add(response.status_code)

    ask()
    wrong = {422, 404} if "{" in path else {422}
    assert seen & (wrong if mode.is_negative else {200, 404})


@pytest.mark.parametrize(("path", "method"), operations())
def test_nothing_is_answered_without_the_token(described, path, method):
    """Whatever else is right about the question."""
    operation = described[path][method]

    @FEW
    @hypothesis.given(case=operation.as_strategy())
    def ask(case):
        response = case.call(headers={"Authorization": "Bearer another"})
        assert response.status_code in (400, 401), response.text

    ask()
