"""What an image archive says as FHIR: read by eye in the golden files, admitted by the hub, defensive to the last byte."""

from __future__ import annotations

import copy
import json
from datetime import date

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.code_map import read_code_tables
from adapters.dicomweb import Archive, Known, known_of, map_cancelled, map_kept, map_study, parse
from adapters.dicomweb.model import Attributes
from adapters.settings.identifiers import IdentifierRule
from adapters.source_record import Mapped, Origin, Refused
from adapters.sources.owners import Nobody
from exchange.fhir.peru import MOTHERS_FAMILY_EXTENSION
from exchange.fhir.validate import check
from tests.adapters.conftest import GOLDEN, ID_KEY, LIMA, RENIPRESS, as_fhir, check_golden, check_valid

ORIGIN = Origin(RENIPRESS, "i00005196", "pacs", ID_KEY)
RULES = (IdentifierRule("dni", authority="RENIEC"), IdentifierRule("hc", authority="HBT"))
AT = "2026-03-06T12:00:00Z"
UID = "1.2.826.0.1.3680043.8.498.1"


def an_archive(tmp_path=None, **more) -> Archive:
    told = {"codes": read_code_tables(tmp_path), "region_url": "https://pacs.example.pe/dicom-web"}
    return Archive(ORIGIN, LIMA, rules=RULES, **told | more)


def value(vr, *values):
    return {"vr": vr, "Value": list(values)}


STUDY = {
    "00080020": value("DA", "20260305"),
    "00080030": value("TM", "143015.123"),
    "00080050": value("SH", "RX-2026-000123"),
    "00080061": value("CS", "CR", "SR"),
    "00080090": value("PN", {"Alphabetic": "CHÁVEZ ÑAUPARI^Elena^^Dra."}),
    "00081030": value("LO", "RX TÓRAX FRONTAL"),
    "00081032": value(
        "SQ",
        {
            "00080100": value("SH", "36643-5"),
            "00080102": value("SH", "LN"),
            "00080104": value("LO", "Chest 2V"),
        },
    ),
    "00100010": value(
        "PN",
        {"Alphabetic": "QUISPE MAMANI^ROSA^ELVIRA", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
    ),
    "00100020": value("LO", "04123456"),
    "00100021": value("LO", "RENIEC"),
    "00100030": value("DA", "19780214"),
    "00100040": value("CS", "F"),
    "00101002": value("SQ", {"00100020": value("LO", "HC-5521"), "00100021": value("LO", "HBT")}),
    "0020000D": value("UI", UID),
    "00201206": value("IS", 1),
    "00201208": value("IS", "2"),
}
SERIES = {
    "00080021": value("DA", "20260305"), "00080031": value("TM", "1431"), "00080060": value("CS", "CR"),
    "0008103E": value("LO", "PA"), "00180015": value("CS", "CHEST"), "0020000E": value("UI", UID + ".1"),
    "00200011": value("IS", "1"), "00201209": value("IS", 2),
}  # fmt: skip


def mapped(study=None, series=None, archive=None, owner=None) -> list:
    told = [SERIES] if series is None else series
    return list(map_study(archive or an_archive(), study or STUDY, told, AT, owner or Nobody()))


def changed(**tags) -> dict:
    study = copy.deepcopy(STUDY)
    for tag, told in tags.items():
        study.pop(tag.removeprefix("t"), None)
        if told is not None:
            study[tag.removeprefix("t")] = told
    return study


def imaging(outcomes) -> dict:
    return next(r for item in outcomes for r in as_fhir(item) if r["resourceType"] == "ImagingStudy")


def person(outcomes) -> dict:
    return next(r for item in outcomes for r in as_fhir(item) if r["resourceType"] == "Patient")


def check_admitted(outcomes) -> None:
    check_valid(outcomes)
    for outcome in outcomes:
        if isinstance(outcome, Mapped):
            assert [issue for resource in as_fhir(outcome) for issue in check(resource)] == []


def test_the_reviewed_studies():
    outcomes = []
    for item in json.loads((GOLDEN / "dicomweb" / "studies.json").read_text("utf-8")):
        outcomes += mapped(item["study"], item["series"])
    outcomes.append(
        map_cancelled(an_archive(), Known(UID, "paciente|dni|04123456", "RX-2026-000123", "2026-03-05"), AT)
    )
    check_admitted([item for item in outcomes if isinstance(item, Mapped)])
    check_golden("dicomweb/studies", outcomes)


def test_a_study_says_what_the_archive_says():
    study = imaging(mapped())
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": f"urn:oid:{UID}"}
    accession = study["identifier"][1]
    assert accession["type"]["coding"][0]["code"] == "ACSN"
    assert study["basedOn"] == [{"type": "ServiceRequest", "identifier": accession}]
    assert [each["code"] for each in study["modality"]] == ["CR", "SR"]
    assert study["started"] == "2026-03-05T14:30:15-05:00"
    assert study["referrer"] == {"display": "Dra. Elena CHÁVEZ ÑAUPARI"}
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 2)
    assert study["procedureCode"][0]["coding"][0] == {
        "system": "http://loinc.org",
        "code": "36643-5",
        "display": "Chest 2V",
    }
    part = study["series"][0]
    assert (part["uid"], part["number"], part["numberOfInstances"]) == (UID + ".1", 1, 2)
    assert part["started"] == "2026-03-05T14:31:00-05:00"
    assert part["bodySite"]["code"] == "CHEST"
    assert study["meta"]["tag"][0]["code"] == "unmapped"


def test_a_patient_is_known_by_who_gave_each_number():
    found = person(mapped())
    assert [each["value"] for each in found["identifier"]] == ["04123456", "HC-5521"]
    assert found["identifier"][0]["type"]["text"] == "DNI"
    name = found["name"][0]
    assert name["family"] == "QUISPE MAMANI"
    surnames = {each["url"]: each["valueString"] for each in name["_family"]["extension"]}
    assert surnames[MOTHERS_FAMILY_EXTENSION] == "MAMANI"
    assert name["given"] == ["ROSA", "ELVIRA"]
    scripts = {each["extension"][0]["valueCode"]: each["family"] for each in found["name"][1:]}
    assert scripts == {"IDE": "山田", "SYL": "やまだ"}
    assert (found["gender"], found["birthDate"]) == ("female", "1978-02-14")


def test_a_number_without_an_issuer_is_the_facilitys_own_and_no_document():
    found = person(mapped(changed(t00100021=None, t00101002=None)))
    assert found["identifier"][0]["system"] == f"urn:chasqui:ipress:{RENIPRESS}:hc"


def test_a_dni_of_seven_digits_is_no_dni():
    found = person(mapped(changed(t00100020=value("LO", "4123456"), t00101002=None)))
    assert found["identifier"][0]["system"].endswith(":documento-sin-validar")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"t00100020": None}, "A-612"),
        ({"t00100020": value("LO", "00000000")}, "A-612"),
        ({"t00100020": value("LO", " ")}, "A-612"),
        ({"t0020000D": None}, "A-611"),
        ({"t0020000D": value("UI", "1.2.x")}, "A-611"),
        ({"t0020000D": value("UI", "1.02")}, "A-611"),
    ],
)
def test_what_cannot_be_named_is_refused(change, code):
    outcome = mapped(changed(**change))[-1]
    assert isinstance(outcome, Refused)
    assert outcome.refusal.code == code


def test_a_refusal_repeats_no_value():
    for outcome in mapped(changed(t00100020=None)):
        assert "QUISPE" not in outcome.refusal.text + outcome.refusal.location


@pytest.mark.parametrize(
    ("day", "clock", "started"),
    [
        ("20260305", None, "2026-03-05"),
        ("2026.03.05", "14:30:15", "2026-03-05T14:30:15-05:00"),
        ("20260305", "99", "2026-03-05"),
        ("20261305", "1200", None),
        ("19000101", "1200", None),
        (None, "1200", None),
    ],
)
def test_no_precision_is_invented(day, clock, started):
    study = changed(t00080020=day and value("DA", day), t00080030=clock and value("TM", clock))
    assert imaging(mapped(study)).get("started") == started


def test_the_archives_own_offset_is_kept():
    assert imaging(mapped(changed(t00080201=value("SH", "+0100"))))["started"] == "2026-03-05T14:30:15+01:00"


def test_a_series_without_modality_or_uid_is_counted():
    nameless = {tag: told for tag, told in SERIES.items() if tag != "0020000E"}
    plain = {tag: told for tag, told in SERIES.items() if tag != "00080060"}
    outcome = mapped(series=[nameless, plain])[-1]
    assert ("series", "(sin UID)") in outcome.unmapped
    assert ("modality", "(vacía)") in outcome.unmapped
    assert [each["modality"]["code"] for each in imaging([outcome])["series"]] == ["OT"]


def test_a_table_of_the_site_translates_body_sites(tmp_path):
    (tmp_path / "body-site.csv").write_text(
        "code;system;target;display\nCHEST;urn:x:sitios;T1;Tórax\n", "utf-8"
    )
    outcome = mapped(archive=an_archive(tmp_path))[-1]
    assert imaging([outcome])["series"][0]["bodySite"] == {
        "system": "urn:x:sitios",
        "code": "T1",
        "display": "Tórax",
    }
    assert outcome.unmapped == ()


def test_a_study_that_moves_is_taken_from_its_former_patient_first():
    class Former(Nobody):
        def __call__(self, thing_key):
            return "paciente|hc|7"

    outcomes = mapped(owner=Former())
    assert [item.record.patient_key for item in outcomes] == [
        "paciente|dni|04123456", "paciente|hc|7", "paciente|dni|04123456",
    ]  # fmt: skip
    taken, told = (imaging([item]) for item in outcomes[1:])
    assert (taken["status"], told["status"]) == ("entered-in-error", "available")
    assert taken["id"] != told["id"]
    check_admitted(outcomes)


def test_a_cancelled_study_has_the_id_that_it_was_told_with():
    outcome = mapped()[-1]
    known = known_of(outcome)
    cancelled = map_cancelled(an_archive(), known, AT)
    assert imaging([cancelled])["id"] == imaging([outcome])["id"]
    assert imaging([cancelled])["status"] == "cancelled"
    assert known_of(cancelled) is None
    assert known_of(mapped()[0]) is None


def test_a_kept_record_is_mapped_again_from_its_bytes():
    for outcome in (mapped()[-1], mapped(changed(t00100020=None))[-1]):
        again = map_kept(an_archive(), outcome.record)
        assert type(again) is type(outcome)
        if isinstance(outcome, Mapped):
            assert [each.resource for each in again.entries] == [each.resource for each in outcome.entries]


def test_an_archive_that_the_region_cannot_reach_has_no_endpoint():
    outcome = mapped(archive=an_archive(region_url=""))[-1]
    assert "endpoint" not in imaging([outcome])
    assert all(entry.resource["resourceType"] != "Endpoint" for entry in outcome.entries)


def test_json_in_windows_1252_is_read():
    body = (
        json.dumps([STUDY], ensure_ascii=False)
        .replace("山田^太郎", "x")
        .replace("やまだ^たろう", "y")
        .encode("cp1252")
    )
    assert Attributes(parse(body)[0]).person("00080090")["Alphabetic"][0] == "CHÁVEZ ÑAUPARI"


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'[{"0020', b"[" * 5000, b"\xff\xfe", b"null"])
def test_what_is_no_list_of_data_sets_is_said_to_be_none(body):
    with pytest.raises(ValueError, match="no "):
        parse(body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTE = JSON | st.fixed_dictionaries({"Value": st.lists(JSON | st.text(max_size=80), max_size=3)})


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_data_sets_or_a_refusal(body):
    try:
        found = parse(body)
    except ValueError:
        return
    for study in found:
        assert mapped(study, [study])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*STUDY, *SERIES, "00080102", "00080201"]), ATTRIBUTE), st.data())
def test_any_attributes_end_in_resources_that_the_hub_admits_or_in_a_refusal(spoilt, data):
    study = {**STUDY, **spoilt}
    series = [{**SERIES, **spoilt}] if data.draw(st.booleans()) else []
    outcomes = mapped(study, series)
    assert outcomes
    for outcome in outcomes:
        msgspec.json.encode(outcome.record.natural_key)
        if isinstance(outcome, Mapped):
            assert [issue for resource in as_fhir(outcome) for issue in check(resource)] == []


WORD = st.text(alphabet="ABCDEFGHIJKLMNÑOPQRSTUVWXYZ0123456789", min_size=1, max_size=16)


@settings(max_examples=80, deadline=None)
@given(WORD, WORD, WORD, st.dates(min_value=date(1950, 1, 1)), st.integers(0, 5000))
def test_every_code_date_and_quantity_is_found_again(accession, modality, description, day, count):
    study = changed(
        t00080050=value("SH", accession), t00080020=value("DA", f"{day:%Y%m%d}"), t00080030=None,
        t00081030=value("LO", description), t00201208=value("IS", count), t00080061=value("CS", modality),
    )  # fmt: skip
    told = imaging(mapped(study))
    assert told["identifier"][1]["value"] == accession
    assert modality in {each["code"] for each in told["modality"]}
    assert told["description"] == description
    assert told["started"] == day.isoformat()
    assert told["numberOfInstances"] == count
