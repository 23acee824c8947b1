"""Tokens: alike within a record, different between records, the same in Python and in the database."""

from __future__ import annotations

import pytest

from exchange.crypto.blind_index import DERIVED, EVERYWHERE, Versions, token
from exchange.search.index import BUCKETS, index
from exchange.store.hub_keys import add
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient

RECORDS = (1, 2**62, 2**63 - 1, EVERYWHERE, -5)


def of(resource, transaction, record):
    return index(resource, ("p1",), transaction.crypto.blind_index, record)


@pytest.mark.parametrize("record", RECORDS)
def test_the_database_derives_the_same_token(store, record):
    with store.transaction() as transaction:
        for number in range(20):
            trapdoor = transaction.crypto.blind_index.trapdoor(f"Observation|code|{number}")
            sql = "SELECT " + DERIVED.format(trapdoor="%(trapdoor)s::bytea", record="%(record)s::bigint")
            found = transaction.rows(sql, {"trapdoor": trapdoor, "record": record})[0][0]
            assert found == token(trapdoor, record)
            assert found & 1 == 1  # of version 1


def test_equal_resources_of_two_records_share_no_token(store):
    with store.transaction() as transaction:
        one, other = (of(an_observation("o1", "p1"), transaction, record) for record in (11, 12))
        again = of(an_observation("o2", "p1"), transaction, 11)
    assert not set(one.tokens) & set(other.tokens)
    assert not set(one.population_tokens) & set(other.population_tokens)
    assert set(one.tokens) == set(again.tokens)


def test_two_people_share_a_document_s_token_and_no_name_s(store):
    with store.transaction() as transaction:
        one, other = (of(a_patient("p1", dni="40000001"), transaction, record) for record in (11, 12))
        document = transaction.crypto.blind_index.token("Patient|identifier|*|40000001", EVERYWHERE)
        shared = set(one.tokens) & set(other.tokens)
        stranger = of(a_patient("p1", dni="40000002", birth_date="1931-07-02"), transaction, 13)
    assert document in shared
    # By system and value, by value alone, and the bucket of the day of birth.
    assert len(shared) <= 5
    assert not set(one.tokens) & set(stranger.tokens)


def test_birth_days_fall_into_all_buckets(store):
    with store.transaction() as transaction:
        found = {
            tuple(sorted(set(made.population_tokens) & set(made.tokens)))
            for day in range(1, 29)
            for made in (of({"resourceType": "Patient", "id": "p1", "birthDate": f"1990-05-{day:02d}"}, transaction, 11),)
        }  # fmt: skip
    assert 20 < len(found) <= min(28, BUCKETS)
    assert all(len(each) == 1 for each in found)


def test_while_two_versions_are_written_a_row_bears_both_and_their_parity_tells_them(store):
    with store.transaction() as transaction:
        alone = of(an_observation("o1", "p1"), transaction, 11)
        add(transaction, transaction.crypto.make_key("index", 2))
        transaction.commit()
    store.crypto.look()
    store.crypto.blind_index.versions = Versions(1, (1, 2))
    with store.transaction() as transaction:
        both = of(an_observation("o1", "p1"), transaction, 11)
    assert {each for each in both.tokens if each & 1 == 1} == set(alone.tokens)
    assert len(both.tokens) == 2 * len(alone.tokens)
    assert list(both.tokens) == sorted(both.tokens)
