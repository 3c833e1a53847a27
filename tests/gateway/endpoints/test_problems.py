"""The catalogue of problems, its pages, and what machines and people get where no view answers."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.http import HttpRequest
from django.test import Client
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError

import gateway.endpoints
from edi_maps.findings import finding
from gateway.endpoints import error_handlers
from gateway.endpoints.problems import PROBLEMS, Problem, errors_of


def _slugs_raised() -> Iterator[str]:
    for file in Path(gateway.endpoints.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                slug = node.args[0]
                if isinstance(slug, ast.Constant):
                    yield str(slug.value)


def test_every_problem_raised_is_in_the_catalogue() -> None:
    raised = set(_slugs_raised())
    assert raised <= set(PROBLEMS)
    assert len(raised) > 10


@pytest.mark.parametrize("slug", PROBLEMS)
def test_every_problem_has_a_page_with_cause_remedy_and_who_acts(slug: str, client: Client) -> None:
    answer = client.get(f"/problems/{slug}")
    assert answer.status_code == 200
    for words in (PROBLEMS[slug].title, "Cause", "What to do", "Who acts next"):
        assert words.replace("'", "&#x27;") in answer.content.decode()


def test_the_index_leads_to_every_page(client: Client) -> None:
    page = client.get("/problems/").content.decode()
    assert all(f'href="/problems/{slug}"' in page for slug in PROBLEMS)


def test_a_problem_we_do_not_know_has_no_page(client: Client) -> None:
    assert client.get("/problems/bad-weather").status_code == 404


def test_the_document_carries_every_member_and_every_place() -> None:
    found = finding("sender_mismatch", pointer="#/lines/0/quantity", value="120", expected="100")
    said = Problem("invalid-document", "One place is wrong.", errors=errors_of([found]), order="/x").document("/v1/y")
    assert said == {
        "type": "/problems/invalid-document",
        "title": "The document has values we cannot accept",
        "status": 422,
        "detail": "One place is wrong.",
        "instance": "/v1/y",
        "fix": PROBLEMS["invalid-document"].fix,
        "actor": "partner",
        "errors": [
            {
                "code": "sender_mismatch",
                "severity": "error",
                "pointer": "#/lines/0/quantity",
                "value": "120",
                "detail": found.text,
                "fix": found.fix,
                "actor": "partner",
            }
        ],
        "order": "/x",
    }


def test_people_get_a_page_and_programs_a_problem_when_an_address_is_wrong(client: Client) -> None:
    assert client.get("/nowhere")["Content-Type"].startswith("text/html")
    for path in ("/v1/nowhere", "/portal-json/", "/as2/nowhere"):
        answer = client.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_a_defect_outside_the_rest_framework_is_told_likewise() -> None:
    request = HttpRequest()
    request.path = "/as2"
    answer = error_handlers.server_error(request)
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert json.loads(answer.content)["type"] == "/problems/internal-error"
    request.path = "/admin/"
    assert b"<h1>" in error_handlers.server_error(request).content


def test_a_host_that_is_not_ours_is_a_problem_for_programs(client: Client) -> None:
    answer = client.get("/v1/purchase-orders", headers={"Host": "evil.example"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    "exception", [ParseError("x"), ValidationError({"lines": [ErrorDetail("wrong", code="invalid")]})]
)
def test_what_the_rest_framework_raises_by_itself_is_a_problem_too(exception: Exception) -> None:
    handler = error_handlers.ProblemHandler(exception, {"request": None})  # type: ignore[typeddict-item]  # no view here
    answer = handler.run()
    assert answer is not None
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert answer.data["type"] == "/problems/unreadable"


def test_a_call_by_a_name_that_is_none_of_ours_is_one_short_line_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post("/as2", headers={"Host": "x" * 5_000})
    assert answer.status_code == 400
    assert "does not answer to the name in the Host header" in answer.json()["detail"]
    (line,) = [record for record in caplog.records if record.name == "django.security.DisallowedHost"]
    assert line.getMessage().startswith("not in GATEWAY_HOSTS: ")
    assert len(line.getMessage()) < 200
    assert line.exc_info is None
