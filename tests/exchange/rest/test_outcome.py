"""Every problem has a status, and an OperationOutcome that names elements and no values."""

from __future__ import annotations

import json

import pytest

from exchange import problems
from exchange.fhir.validate import check
from exchange.problems import Problem
from exchange.request import Answer
from exchange.rest.outcome import answer_response, problem_response

STATUSES = {
    "Malformed": 400, "NotSupported": 400, "TooCostly": 413, "Unauthenticated": 401, "NotFound": 404, "Gone": 410,
    "KeyDestroyed": 410, "Conflict": 409, "PreconditionFailed": 412, "Invalid": 422, "SealBroken": 500, "Unavailable": 503,
    "Denied": 403, "Problem": 500, "WrongMethod": 405,
    "Throttled": 429,
}  # fmt: skip


def test_every_problem_of_the_hub_is_listed_here():
    found = {
        each.__name__
        for each in vars(problems).values()
        if isinstance(each, type) and issubclass(each, Problem)
    }
    assert found == set(STATUSES)


@pytest.mark.parametrize("name", STATUSES)
def test_a_problem_has_its_status_and_a_valid_outcome(name):
    made = getattr(problems, name)
    problem = (
        made("some words", "Patient.name", reason="for the log")
        if name == "Denied"
        else made("some words", "Patient.name")
    )
    response = problem_response(problem)
    outcome = json.loads(response.body)
    assert response.status_code == STATUSES[name]
    assert check(outcome) == []
    assert "for the log" not in response.body.decode()
    assert ("www-authenticate" in response.headers) == (response.status_code == 401)
    assert ("retry-after" in response.headers) == (response.status_code in (429, 503))


def test_an_empty_batch_is_answered_by_an_empty_bundle():
    response = answer_response(Answer(bundle="batch-response"))
    assert json.loads(response.body) == {"resourceType": "Bundle", "type": "batch-response"}


def test_a_deletion_has_no_body():
    response = answer_response(Answer(outcome="deleted", version_id=2))
    assert (response.status_code, response.body, response.headers["etag"]) == (204, b"", 'W/"2"')
