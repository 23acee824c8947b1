"""A short run of `make fuzz`: whatever is asked, the hub answers, and not with a failure of its own."""

from __future__ import annotations

import pytest

from tests.conformance.fuzz import fuzz
from tests.passage.world import patient_of
from tests.sample.requester import POST


@pytest.mark.slow
def test_no_request_makes_the_hub_fail(live):
    client = live.clients["posta"]
    client.request("PUT", "Patient/posta-p1", body=patient_of(POST, 1)).raise_for_status()
    told: list[str] = []
    assert fuzz(client, 5, told.append) == []
    assert len(told) > 25
    assert client.request("GET", "Patient/posta-p1").status_code == 200
