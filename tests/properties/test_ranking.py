"""Nobody is named by how often something stands in the index; what is alike in all records would name many.

The long run is `make rank-attack PEOPLE=200000`.
"""

from __future__ import annotations

import os

import pytest

from tests.properties import ranking
from tests.properties.oracle import a_store

PEOPLE = int(os.environ.get("CHASQUI_RANKED_PEOPLE", "5000"))
PLANTED = 10_000


@pytest.mark.slow
def test_a_dump_names_nobody_by_rank(server):
    with a_store(server) as store:
        found = ranking.run(store, PEOPLE)
    assert {name: each.beyond for name, each in found.items() if each.beyond > ranking.MOST_NAMED} == {}
    assert all(each.at_base > 0 for each in found.values())


@pytest.mark.slow
def test_a_surname_that_is_alike_in_all_records_names_many(server):
    with a_store(server) as store:
        found = ranking.run(store, PLANTED, alike=("Patient|family|",))
    assert found["surname"].beyond > 0.1
    assert found["diagnosis"].beyond <= ranking.MOST_NAMED


@pytest.mark.slow
def test_the_attacker_learns_all_that_ranks_tell(server):
    with a_store(server) as store:
        found = ranking.run(store, PLANTED, alike=None)
    named = {name for name, each in found.items() if each.beyond > 2 * ranking.MOST_NAMED}
    assert named >= {"surname", "given name", "sex", "diagnosis"}
