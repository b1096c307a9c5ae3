"""The API against its own description: whatever is asked, it answers as it says, and never without the token."""

from pathlib import Path

import hypothesis
import pytest

from afterword.sidecar.app import build
from tests.helpers import Children, ledger_directory
from tests.sidecars import Sidecar, Writer

schemathesis = pytest.importorskip("schemathesis")  # one of the development tools
openapi_checks = pytest.importorskip("schemathesis.specs.openapi.checks")

TOKEN = "an-open-secret-of-tests"  # noqa: S105 - of tests
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
AS_DESCRIBED = (
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.response_headers_conformance,
)
#: A stream has no end to wait for: tests/test_api.py reads it.
STREAM = "/api/events"
FEW = hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), database=None
)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """The description of a real sidecar that asks for a token, over something of everything."""
    children = Children(tmp_path_factory.mktemp("described"))
    with ledger_directory() as directory:
        dead, living = Writer(directory), Writer(directory)
        dead.do("run")
        dead.do("wait", 3)
        dead.kill()
        living.do("end", 3)
        living.do("run", 2)
        sidecar = Sidecar(children, directory, AFTERWORD_TOKEN=TOKEN)
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{sidecar.port}/api/openapi.json", headers=SHOWN)
        living.end()
        children.end()


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
