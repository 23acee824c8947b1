"""The decision: role, scopes, then whose records are in reach."""

from __future__ import annotations

import pytest

from exchange.consent.decision import decide
from exchange.problems import Denied
from exchange.request import Need
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient
from tests.sample.requester import HOSPITAL, INSTITUTE, POST, a_requester, an_administrator
from tests.sample.shelf import put

READ = Need((("Observation", "r"),), target=("Observation", "o1"))
SEARCH = Need((("Observation", "s"),))
NAMED = Need((("Observation", "s"),), patients=(("p1",),))


@pytest.fixture
def record(transaction):
    """One patient of the post, with an observation."""
    put(transaction, a_requester(POST), a_patient("p1"), an_observation("o1", "p1"))
    return transaction.crypto.blind_index.patient_compartment("p1")


def refused(transaction, requester, need):
    with pytest.raises(Denied) as caught:
        decide(transaction, requester, need)
    return caught.value


# --- role -----------------------------------------------------------------------------------------------------------


def test_an_administrator_sees_no_chart(transaction, record):
    assert refused(transaction, an_administrator(), READ).reason.endswith("roles.administrator")
    assert refused(transaction, an_administrator(), SEARCH).reason.endswith("roles.administrator")


def test_a_clinic_system_sees_no_audit_event(transaction):
    for action in "rs":
        assert refused(transaction, a_requester(), Need((("AuditEvent", action),))).reason.endswith(
            "roles.system"
        )


@pytest.mark.parametrize("action", ["c", "u", "d"])
@pytest.mark.parametrize("requester", [a_requester(), an_administrator("system/*.cruds")])
def test_nobody_writes_an_audit_event(transaction, requester, action):
    refused(transaction, requester, Need((("AuditEvent", action),), is_write=True))


def test_an_administrator_reads_events_and_the_directory(transaction):
    assert decide(transaction, an_administrator(), Need((("AuditEvent", "s"),))).audit
    permit = decide(
        transaction, an_administrator(), Need((("Organization", "r"),), target=("Organization", "x"))
    )
    assert not permit.audit


def test_one_forbidden_part_forbids_the_whole(transaction):
    need = Need((("Organization", "s"), ("Observation", "s")))
    refused(transaction, an_administrator(), need)


def test_an_auditor_s_search_of_a_patient_covers_linked_records(transaction, record):
    put(transaction, a_requester(HOSPITAL), a_patient("p2"))
    blind = transaction.crypto.blind_index
    permit = decide(transaction, an_administrator(), Need((("AuditEvent", "s"),), patients=(("p1",),)))
    assert set(permit.compartments or ()) == {record, blind.patient_compartment("p2")}


# --- scopes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "action", "granted"),
    [
        ("system/Observation.r", "r", True),
        ("system/Observation.s", "r", False),
        ("system/Patient.rs", "r", False),
        ("system/*.s", "s", True),
        ("system/Observation.cud", "s", False),
        ("system/Patient.r system/Observation.r", "r", True),
    ],
)
def test_scopes_must_cover_type_and_verb(transaction, record, scopes, action, granted):
    need = READ if action == "r" else SEARCH
    if granted:
        decide(transaction, a_requester(POST, scopes), need)
    else:
        problem = refused(transaction, a_requester(POST, scopes), need)
        assert "Observation" in problem.reason
        assert "o1" not in str(problem)


def test_every_part_of_an_act_must_be_covered(transaction):
    need = Need((("Observation", "s"), ("Provenance", "s")))
    refused(transaction, a_requester(POST, "system/Observation.rs"), need)


def test_a_permit_reads_the_scopes_types_alone(transaction, record):
    permit = decide(transaction, a_requester(POST, "system/Observation.rs system/Patient.cu"), READ)
    assert permit.types == {"Observation"}
    assert permit.reads("Observation")
    assert not permit.reads("Patient")
    assert not permit.reads("AuditEvent")


# --- whose records --------------------------------------------------------------------------------------------------


def test_a_facility_sees_what_it_produced(transaction, record):
    permit = decide(transaction, a_requester(POST), READ)
    assert permit.compartments == (record,)
    assert permit.reason == "own records"


def test_another_facility_sees_nothing_while_consents_are_silent(transaction, record):
    permit = decide(transaction, a_requester(HOSPITAL), READ)
    assert permit.compartments == ()
    assert "no consent speaks" in permit.reason


def test_a_consent_opens_the_record_to_whom_it_names(transaction, record):
    put(transaction, a_requester(POST), a_consent("c1", "p1", permit=HOSPITAL))
    assert decide(transaction, a_requester(HOSPITAL), READ).compartments == (record,)
    assert decide(transaction, a_requester(HOSPITAL), READ).reason == "Consent/c1#0 permits"
    assert decide(transaction, a_requester(INSTITUTE), READ).compartments == ()


def test_a_withdrawn_consent_closes_it_again(transaction, record):
    put(transaction, a_requester(POST), a_consent("c1", "p1", permit=HOSPITAL))
    put(transaction, a_requester(POST), a_consent("c1", "p1", permit=HOSPITAL, status="inactive"))
    assert decide(transaction, a_requester(HOSPITAL), READ).compartments == ()


def test_a_purpose_that_the_consent_does_not_name_is_refused(transaction, record):
    put(transaction, a_requester(POST), a_consent("c1", "p1", permit=HOSPITAL))
    assert decide(transaction, a_requester(HOSPITAL, purpose="HRESCH"), READ).compartments == (record,)
    provision = {"type": "permit", "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}]}  # fmt: skip
    put(transaction, a_requester(POST), a_consent("c1", "p1", provision=provision))
    assert decide(transaction, a_requester(HOSPITAL, purpose="HRESCH"), READ).compartments == ()
    assert decide(transaction, a_requester(HOSPITAL, purpose="TREAT"), READ).compartments == (record,)


def test_a_denial_does_not_close_the_record_to_who_produced_it(transaction, record):
    put(transaction, a_requester(POST), a_consent("c1", "p1", deny=""))
    assert decide(transaction, a_requester(POST), READ).compartments == (record,)
    assert decide(transaction, a_requester(HOSPITAL), READ).compartments == ()


@pytest.fixture
def linked(transaction, record):
    """The same person at the hospital."""
    put(transaction, a_requester(HOSPITAL), a_patient("p2"), an_observation("o2", "p2"))
    return transaction.crypto.blind_index.patient_compartment("p2")


def test_a_consent_speaks_for_every_linked_record(transaction, record, linked):
    put(transaction, a_requester(POST), a_consent("c1", "p1", permit=INSTITUTE))
    permit = decide(transaction, a_requester(INSTITUTE), READ)
    assert set(permit.compartments or ()) == {record, linked}


def test_linked_records_with_opposite_consents_are_closed(transaction, record, linked):
    put(transaction, a_requester(POST), a_consent("c1", "p1", permit=INSTITUTE))
    put(transaction, a_requester(HOSPITAL), a_consent("c2", "p2", deny=INSTITUTE))
    assert decide(transaction, a_requester(INSTITUTE), READ).compartments == ()


def test_a_hidden_record_does_not_answer_for_its_person(transaction, record, linked):
    """The hospital has a record of the same person; asking by the post's id must not say so."""
    permit = decide(transaction, a_requester(HOSPITAL), Need((("Observation", "s"),), patients=(("p1",),)))
    assert permit.compartments == ()
    permit = decide(transaction, a_requester(HOSPITAL), Need((("Observation", "s"),), patients=(("p2",),)))
    assert permit.compartments == (linked,)


def test_each_criterion_asks_within_the_records_that_it_names(transaction, record, linked):
    put(transaction, a_requester(POST), a_patient("p3", dni="40000003", given=("Luz",)))
    own = a_requester(POST)
    third = transaction.crypto.blind_index.patient_compartment("p3")
    both = decide(transaction, own, Need((("Observation", "s"),), patients=(("p1",), ("p3",))))
    assert both.named == ((record,), (third,))
    assert set(both.compartments or ()) == {record, third}
    either = decide(transaction, own, Need((("Observation", "s"),), patients=(("p1", "p3"),)))
    assert [set(each) for each in either.named] == [{record, third}]
    hidden = decide(transaction, own, Need((("Observation", "s"),), patients=(("p1",), ("p2",))))
    assert (hidden.named, hidden.compartments) == (((record,), ()), (record,))


def test_hidden_and_absent_are_decided_alike(transaction, record):
    stranger = a_requester(INSTITUTE)
    hidden = decide(transaction, stranger, READ)
    absent = decide(transaction, stranger, Need((("Observation", "r"),), target=("Observation", "nothing")))
    assert hidden.compartments == absent.compartments == ()


def test_a_resource_about_two_patients_needs_both(transaction, record):
    requester = a_requester(POST)
    group = {
        "resourceType": "Appointment", "id": "a1", "status": "proposed",
        "participant": [
            {"actor": {"reference": "Patient/p1"}, "status": "accepted"},
            {"actor": {"reference": "Patient/p3"}, "status": "accepted"},
        ],
    }  # fmt: skip
    put(transaction, requester, a_patient("p3", dni="40000003", given=("Luz",)), group)
    put(transaction, requester, a_consent("c1", "p1", permit=HOSPITAL))
    need = Need((("Appointment", "r"),), target=("Appointment", "a1"))
    assert decide(transaction, a_requester(HOSPITAL), need).compartments == (record,)
    put(transaction, requester, a_consent("c3", "p3", permit=HOSPITAL))
    assert len(decide(transaction, a_requester(HOSPITAL), need).compartments or ()) == 2


def test_a_write_reaches_own_records_alone(transaction, record):
    permit = decide(transaction, a_requester(HOSPITAL), Need((("Observation", "u"),), is_write=True))
    assert permit.compartments is None
    assert permit.actors == ()
