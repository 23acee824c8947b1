"""Registering records: which of them come to share a person, and what is left to people."""

from __future__ import annotations

import pytest

from tests.sample.observation import an_observation
from tests.sample.patient import a_patient
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester
from tests.sample.shelf import put


def persons(transaction) -> dict[str, int]:
    return dict(transaction.rows("SELECT patient_id, person FROM patient_record"))


def reviews(transaction) -> list[str]:
    return [row[0] for row in transaction.rows("SELECT reason FROM linkage_review ORDER BY 1")]


def test_records_of_one_person_at_three_facilities(transaction):
    put(transaction, a_requester(POST), a_patient("a"))
    put(transaction, a_requester(HOSPITAL), a_patient("b", family="Quispe"))
    put(transaction, a_requester(INSTITUTE), a_patient("c", given=("Rosa",)))
    assert len(set(persons(transaction).values())) == 1
    assert reviews(transaction) == []


def test_two_people_stay_two(transaction):
    put(transaction, a_requester(POST), a_patient("a"))
    put(transaction, a_requester(HOSPITAL), a_patient("b", dni="40000002"))
    assert len(set(persons(transaction).values())) == 2
    assert reviews(transaction) == []


def test_a_mother_s_document_on_her_child_waits_for_a_person(transaction):
    put(transaction, a_requester(POST), a_patient("mother"))
    put(
        transaction,
        a_requester(HOSPITAL),
        a_patient("child", given=("Luis",), birth_date="2015-06-01", gender="male"),
    )
    assert len(set(persons(transaction).values())) == 2
    assert reviews(transaction) == ["same document, birth dates do not agree"]


def test_the_same_pair_is_noted_once(transaction):
    put(transaction, a_requester(POST), a_patient("mother"))
    for gender in ("male", "female", "male"):
        put(transaction, a_requester(HOSPITAL), a_patient("child", birth_date="2015-06-01", gender=gender))
    assert len(reviews(transaction)) == 1


def test_a_late_record_joins_two_that_could_not_know_each_other(transaction):
    cnv = {"system": "urn:chasqui:pe:cnv", "value": "1234567890"}
    dni = {"system": "urn:oid:2.16.840.1.113883.4.904", "value": "40000001"}
    put(transaction, a_requester(POST), a_patient("by-cnv", identifier=[cnv]))
    put(transaction, a_requester(HOSPITAL), a_patient("by-dni", identifier=[dni]))
    assert len(set(persons(transaction).values())) == 2
    put(transaction, a_requester(INSTITUTE), a_patient("both", identifier=[cnv, dni]))
    assert len(set(persons(transaction).values())) == 1


def test_a_corrected_record_leaves_and_nobody_else_moves(transaction):
    put(transaction, a_requester(POST), a_patient("a"))
    put(transaction, a_requester(HOSPITAL), a_patient("b"))
    put(transaction, a_requester(INSTITUTE), a_patient("c"))
    put(transaction, a_requester(HOSPITAL), a_patient("b", dni="40000002"))
    found = persons(transaction)
    assert found["a"] == found["c"] != found["b"]


def test_the_first_record_leaves_too(transaction):
    put(transaction, a_requester(POST), a_patient("a"))
    put(transaction, a_requester(HOSPITAL), a_patient("b"))
    put(transaction, a_requester(INSTITUTE), a_patient("c"))
    put(transaction, a_requester(POST), a_patient("a", dni="40000002"))
    found = persons(transaction)
    assert found["b"] == found["c"] != found["a"]


def test_a_correction_that_agrees_again_comes_back(transaction):
    put(transaction, a_requester(POST), a_patient("a"))
    put(transaction, a_requester(HOSPITAL), a_patient("b"))
    put(transaction, a_requester(HOSPITAL), a_patient("b", dni="40000002"))
    put(transaction, a_requester(HOSPITAL), a_patient("b"))
    found = persons(transaction)
    assert found["a"] == found["b"]


def test_linking_changes_no_resource(transaction):
    put(transaction, a_requester(POST), a_patient("a"), an_observation("o", "a"))
    before = transaction.rows("SELECT * FROM resource ORDER BY id, type")
    put(transaction, a_requester(HOSPITAL), a_patient("b"))
    after = transaction.rows("SELECT * FROM resource WHERE id <> 'b' ORDER BY id, type")
    assert [[bytes(c) if isinstance(c, memoryview) else c for c in row] for row in before] == [
        [bytes(c) if isinstance(c, memoryview) else c for c in row] for row in after
    ]


def test_no_document_lies_readable(transaction):
    put(transaction, a_requester(POST), a_patient("a", dni="40000001"))
    for row in transaction.rows("SELECT hash::text FROM identity_key"):
        assert "40000001" not in row[0]
    assert len(transaction.rows("SELECT FROM identity_key")) == 1


def test_documents_that_were_removed_find_nothing_any_more(transaction):
    put(transaction, a_requester(POST), a_patient("a"))
    put(transaction, a_requester(POST), a_patient("a", dni=None))
    assert transaction.rows("SELECT FROM identity_key") == []


@pytest.mark.parametrize("changed", [{"deceasedBoolean": True}, {"gender": "unknown"}])
def test_a_change_that_still_agrees_stays_linked(transaction, changed):
    put(transaction, a_requester(POST), a_patient("a"))
    put(transaction, a_requester(HOSPITAL), a_patient("b"))
    put(transaction, a_requester(HOSPITAL), a_patient("b") | changed)
    found = persons(transaction)
    assert found["a"] == found["b"]
