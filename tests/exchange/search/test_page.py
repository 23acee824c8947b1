"""Page tokens: bound to a caller and a query, and no proof of anything."""

from __future__ import annotations

import pytest

from exchange.crypto.hub_crypto import make_hub_keys, open_hub_crypto
from exchange.problems import NotSupported
from exchange.search.grammar import parse
from exchange.search.page import open_page, seal_page
from tests.sample.root import RootInMemory

ROOT = RootInMemory(bytes(range(32)))
HUB = open_hub_crypto(ROOT, make_hub_keys(ROOT), [])
QUERY = (("code", "a"), ("_count", "2"))


def paged(token: str, query=QUERY, resource_type: str = "Observation"):
    return parse(resource_type, (*query, ("_page", token)))


def test_a_page_goes_on_where_it_stopped():
    token = seal_page(HUB, "client", "Observation", parse("Observation", QUERY), [12, "a-1"])
    assert open_page(HUB, "client", "Observation", paged(token)) == [12, "a-1"]


def test_the_first_page_starts_nowhere():
    assert open_page(HUB, "client", "Observation", parse("Observation", QUERY)) == []


def test_a_token_says_nothing_and_fits_one_query_of_one_client():
    token = seal_page(HUB, "client", "Observation", parse("Observation", QUERY), [12, "a-1"])
    assert "a-1" not in token
    for client, query in [
        ("another", paged(token)),
        ("client", paged(token, (("code", "b"), ("_count", "2")))),
        ("client", paged(token, (*QUERY, ("status", "final")))),
        ("client", paged(token, QUERY, "Condition")),
        ("client", paged(token[:-2])),
        ("client", paged("AAAA")),
        ("client", paged("ñ")),
        ("client", paged("1")),
    ]:
        with pytest.raises(NotSupported):
            open_page(
                HUB, client, "Condition" if query.resource_type == "Condition" else "Observation", query
            )
