"""The index of an event that is put together from remembered parts is the one that indexing it whole gives."""

from __future__ import annotations

import pytest

from exchange.audit.event import fixed_part, varying_part
from exchange.audit.event_index import event_index
from exchange.problems import Denied
from exchange.request import Request, Touched
from exchange.search.index import index
from tests.sample.requester import HOSPITAL, POST, a_requester

REQUESTS = [
    Request("read", "Observation", "o1", described="GET /fhir/Observation/o1", request_id="r-1"),
    Request("search-type", "Observation", described="GET /fhir/Observation?x"),
    Request("transaction", described="POST /fhir", request_id="r-2"),
    Request("operation", operation="everything"),
]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("requester", [None, a_requester(POST), a_requester(HOSPITAL, purpose="ETREAT")])
@pytest.mark.parametrize("touched", [None, Touched(7, ("Observation/o1",)), Touched(7, ("Patient/p2",)), Touched(7, ("Patient/p1",)), Touched(7, ("Observation/o1", "Observation/o2"))])  # fmt: skip
@pytest.mark.parametrize("problem", [None, Denied("no", reason="because")])
def test_it_is_the_same(transaction, request_, requester, touched, problem):
    for patient_id in ("p1", "p2", "") if touched else ("",):
        fixed = fixed_part(
            request_, requester, "reason", problem, is_about_patient=bool(patient_id), is_named=bool(touched)
        )
        varying = varying_part("e1", transaction.now, request_, touched, patient_id)
        made = event_index(transaction, fixed, varying, patient_id)
        again = event_index(transaction, fixed, varying, patient_id)
        whole = index(fixed | varying, (patient_id,), transaction.crypto.blind_index)
        assert set(made.tokens) == set(again.tokens) == set(whole.tokens)
        assert (made.clinical_at, list(made.ranges)) == (whole.clinical_at, list(whole.ranges))
