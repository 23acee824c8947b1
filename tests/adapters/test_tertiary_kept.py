"""Whatever an entry of a document tells of codes, dates and quantities is found again in its FHIR, and nothing more."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.code_map import CodeMap
from adapters.settings import IdentifierRule
from adapters.source_record import Mapped, Origin
from adapters.tertiary import Institute, map_document
from exchange.fhir import peru
from tests.adapters.conftest import ID_KEY, LIMA, RENIPRESS, as_fhir, check_valid
from tests.conformance.peru import failures

INSTITUTE = Institute(
    Origin(RENIPRESS, RENIPRESS, "ccda", ID_KEY), LIMA, CodeMap(), (IdentifierRule("hc", "2.25.99"),)
)
ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED, LOINC, CIE10 = "2.16.840.1.113883.6.96", "2.16.840.1.113883.6.1", "2.16.840.1.113883.6.3"
HEAD = """<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<id root="2.25.77001" extension="D1"/><effectiveTime value="20260315101500-0500"/><recordTarget><patientRole>{ids}
<patient><name><given>ROSA</given><family>ÑIQUE</family></name></patient></patientRole></recordTarget>
<component><structuredBody><component><section><code code="{section}" codeSystem="{loinc}"/>{entries}</section></component>
</structuredBody></component></ClinicalDocument>"""
OWN = '<id root="2.16.840.1.113883.4.904" extension="01234567"/><id root="2.25.99" extension="HC9"/>'


def document(*entries, ids=OWN, section="30954-2"):
    told = "".join(f"<entry>{entry}</entry>" for entry in entries)
    raw = HEAD.format(ids=ids, section=section, loinc=LOINC, entries=told).encode()
    outcome = map_document(INSTITUTE, raw, "2026-03-20T00:00:00Z")
    assert isinstance(outcome, Mapped), outcome
    check_valid([outcome])
    return outcome


def only(outcome, kind):
    return [item for item in as_fhir(outcome) if item["resourceType"] == kind]


def coded(tag, code, system=SNOMED, words="", kind=""):
    declared = f' xsi:type="{kind}"' if kind else ""
    return f'<{tag}{declared} code="{code}" codeSystem="{system}" displayName="{words}"/>'


def template(number):
    return f'<templateId root="{ROOT}{number}"/>'


def allergy(agent="", *, negated=True, kind="416098002", concern="active", inside="", when=""):
    made = (
        f'<observation moodCode="EVN" negationInd="{str(negated).lower()}">{template(7)}<id root="2.25.3"/>'
        f'<statusCode code="completed"/>{when}{coded("value", kind, kind="CD")}'
        f"<participant><participantRole><playingEntity>{agent}</playingEntity></participantRole></participant>"
        f"{inside}</observation>"
    )
    if not concern:
        return made
    return (
        f'<act moodCode="EVN">{template(30)}<statusCode code="{concern}"/>'
        f"<entryRelationship>{made}</entryRelationship></act>"
    )


def told_allergy(*args, **more):
    [found] = only(document(allergy(*args, **more), section="48765-2"), "AllergyIntolerance")
    return found


@pytest.mark.parametrize(
    ("kind", "agent", "code"),
    [
        ("416098002", '<code nullFlavor="NA"/>', "409137002"),
        ("416098002", coded("code", "410942007"), "409137002"),
        ("414285001", '<code nullFlavor="NA"/>', "429625007"),
        ("426232007", "", "428607008"),
        ("419199007", coded("code", "105590001"), "716186003"),
    ],
)
def test_none_known_is_of_the_kind_that_is_denied(kind, agent, code):
    """No allergy to food is not no allergy."""
    found = told_allergy(agent, kind=kind)
    assert [item["code"] for item in found["code"]["coding"]] == [code]
    assert found["verificationStatus"]["coding"][0]["code"] == "confirmed"


@pytest.mark.parametrize(
    "agent", [coded("code", "372687004", words="Amoxicilina"), "<name>Amoxicilina</name>"]
)
def test_one_substance_that_is_denied_is_not_all(agent):
    found = told_allergy(agent)
    assert found["code"]["text"] == "Amoxicilina"
    assert found["verificationStatus"]["coding"][0]["code"] == "refuted"
    assert "716186003" not in str(found)
    assert "409137002" not in str(found)


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "active"),
        ({"concern": ""}, "active"),
        ({"concern": "completed"}, "resolved"),
        ({"when": '<effectiveTime><low value="2019"/><high value="2020"/></effectiveTime>'}, "resolved"),
        ({"concern": "completed", "inside": f'<entryRelationship><observation>{template(28)}{coded("value", "55561003", kind="CD")}</observation></entryRelationship>'}, "active"),
        ({"inside": f'<entryRelationship><observation>{template(28)}{coded("value", "73425007", kind="CD")}</observation></entryRelationship>'}, "inactive"),
    ],
)  # fmt: skip
def test_an_allergy_is_over_only_where_that_is_told(more, state):
    found = told_allergy(coded("code", "372687004", words="Amoxicilina"), negated=False, **more)
    assert found["clinicalStatus"]["coding"][0]["code"] == state


def test_a_number_of_nobodys_is_not_called_a_history():
    told = document("<act/>", ids=OWN + '<id root="2.16.840.1.113883.4.1" extension="111-22-3333"/>')
    [patient] = only(told, "Patient")
    other = patient["identifier"][-1]
    assert other["system"] == "urn:oid:2.16.840.1.113883.4.1"
    assert other["type"] == {"text": "Otro número de identificación"}
    assert "profile" not in patient["meta"]
    [patient] = only(document("<act/>"), "Patient")
    assert patient["meta"]["profile"] == [peru.PATIENT_PROFILE]
    assert failures(patient) == []


@pytest.mark.parametrize(("system", "is_national"), [(CIE10, True), (SNOMED, False)])
def test_a_problem_with_its_onset_is_conditionpe_where_it_has_cie10(system, is_national):
    problem = (
        f'<act moodCode="EVN">{template(3)}<entryRelationship><observation moodCode="EVN">{template(4)}<id root="2.25.2"/>'
        '<effectiveTime><low value="2020"/></effectiveTime>'
        f"{coded('value', 'E11.9' if is_national else '44054006', system, 'Diabetes', 'CD')}</observation></entryRelationship></act>"
    )
    [found] = only(document(problem), "Condition")
    assert (found["meta"].get("profile") == [peru.CONDITION_PROFILE]) == is_national
    assert (found.get("onsetPeriod") == {"start": "2020"}) == is_national
    assert (found.get("onsetDateTime") == "2020") != is_national
    assert failures(found) == []
    [found] = only(
        document(problem.replace("<effectiveTime>", '<effectiveTime nullFlavor="UNK">')), "Condition"
    )
    assert "profile" not in found["meta"]


def test_a_relative_without_a_code_is_told_in_words():
    organizer = (
        f'<organizer moodCode="EVN">{template(45)}<id root="2.25.22"/><subject><relatedSubject>'
        f"{coded('code', '', '2.16.840.1.113883.5.111', 'Madre')}</relatedSubject></subject></organizer>"
    )
    [found] = only(document(organizer, section="10157-6"), "FamilyMemberHistory")
    assert found["relationship"] == {"text": "Madre"}


DAY = st.dates(date(2001, 1, 1), date(2026, 1, 1))
NUMBER = st.decimals(min_value="0.1", max_value=900, places=1)
SPAN = st.tuples(DAY, DAY).map(sorted)
UNIT = st.sampled_from(["mg/dL", "g/L", "mm[Hg]", "10*3/uL"])
CODE = st.integers(10**6, 10**8).map(str)


def span(began, ended):
    return f'<effectiveTime xsi:type="IVL_TS"><low value="{began:%Y%m%d}"/><high value="{ended:%Y%m%d}"/></effectiveTime>'


def period(began, ended):
    return {"start": str(began), "end": str(ended)}


@settings(max_examples=40, deadline=None)
@given(CODE, SPAN, NUMBER, UNIT, NUMBER, NUMBER)
def test_a_result_is_found_again(code, when, number, unit, low, high):
    entry = (
        f'<observation moodCode="EVN">{template(2)}<id root="2.25.5"/>{coded("code", code, LOINC)}'
        f'<statusCode code="completed"/>{span(*when)}<value xsi:type="PQ" value="{number}" unit="{unit}"/>'
        f'<referenceRange><observationRange><value xsi:type="IVL_PQ"><low value="{low}" unit="{unit}"/>'
        f'<high value="{high}" unit="{unit}"/></value></observationRange></referenceRange></observation>'
    )
    [found] = only(document(entry), "Observation")
    assert found["code"]["coding"] == [{"system": peru.LOINC_SYSTEM, "code": code}]
    assert found["effectivePeriod"] == period(*when)
    quantity = {"unit": unit, "system": peru.UCUM_SYSTEM, "code": unit}
    assert found["valueQuantity"] == {"value": number, **quantity}
    assert found["referenceRange"] == [
        {"low": {"value": low, **quantity}, "high": {"value": high, **quantity}}
    ]


@settings(max_examples=40, deadline=None)
@given(CODE, SPAN, NUMBER, st.sampled_from(["h", "d", "wk"]), NUMBER, NUMBER, st.booleans())
def test_a_medicine_is_found_again(code, when, dose, unit, every, rate, is_first):
    often = f'<effectiveTime xsi:type="PIVL_TS"><period value="{every}" unit="{unit}"/></effectiveTime>'
    times = often + span(*when) if is_first else span(*when) + often
    entry = (
        f'<substanceAdministration moodCode="EVN">{template(16)}<id root="2.25.6"/><statusCode code="active"/>{times}'
        f'<doseQuantity value="{dose}" unit="mg"/><rateQuantity value="{rate}" unit="mL/h"/>'
        f"<consumable><manufacturedProduct><manufacturedMaterial>{coded('code', code)}</manufacturedMaterial>"
        f"</manufacturedProduct></consumable></substanceAdministration>"
    )
    [found] = only(document(entry, section="10160-0"), "MedicationStatement")
    assert found["medicationCodeableConcept"]["coding"] == [
        {"system": "http://snomed.info/sct", "code": code}
    ]
    assert found["effectivePeriod"] == period(*when)
    [told] = found["dosage"]
    assert told["timing"] == {"repeat": {"frequency": 1, "period": every, "periodUnit": unit}}
    [amounts] = told["doseAndRate"]
    assert amounts["doseQuantity"]["value"] == dose
    assert amounts["rateQuantity"]["value"] == rate
    [planned] = only(document(entry.replace("EVN", "RQO"), section="18776-5"), "MedicationRequest")
    [told] = planned["dosageInstruction"]
    assert told["timing"]["repeat"]["boundsPeriod"] == period(*when)
    assert told["timing"]["repeat"]["period"] == every


@settings(max_examples=40, deadline=None)
@given(CODE, SPAN, DAY, NUMBER)
def test_what_was_done_and_given_is_found_again(code, when, day, dose):
    done = (
        f'<procedure moodCode="EVN">{template(14)}<id root="2.25.26"/>{coded("code", code)}'
        f'<statusCode code="completed"/>{span(*when)}</procedure>'
    )
    given_dose = (
        f'<substanceAdministration moodCode="EVN">{template(52)}<id root="2.25.27"/><statusCode code="completed"/>'
        f'<effectiveTime value="{day:%Y%m%d}"/><doseQuantity value="{dose}" unit="mL"/><consumable><manufacturedProduct>'
        f"<manufacturedMaterial>{coded('code', '03', '2.16.840.1.113883.12.292')}<lotNumberText>L{code}</lotNumberText>"
        f"</manufacturedMaterial></manufacturedProduct></consumable></substanceAdministration>"
    )
    told = document(done, given_dose)
    [procedure], [vaccine] = only(told, "Procedure"), only(told, "Immunization")
    assert procedure["code"]["coding"][0]["code"] == code
    assert procedure["performedPeriod"] == period(*when)
    assert vaccine["vaccineCode"]["coding"][0] == {"system": peru.CVX_SYSTEM, "code": "03"}
    assert vaccine["occurrenceDateTime"] == str(day)
    assert vaccine["doseQuantity"]["value"] == Decimal(dose)
    assert vaccine["lotNumber"] == f"L{code}"
