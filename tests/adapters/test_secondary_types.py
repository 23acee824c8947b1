"""Orders, appointments, documents, vaccines and merges: what each event says, and what it does not."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2.message import parse
from adapters.secondary import map_message, separate
from adapters.settings import IdentifierRule
from adapters.settings.messages import MessageSettings, SenderRule
from adapters.source_record import Mapped, Refused
from tests.adapters.conftest import as_fhir, check_valid
from tests.adapters.test_secondary import AT, HOSPITAL, check_admitted, message, only, read

PID = "PID|1||1^^^^HC||A^B"
WHEN = "20260410093000-0500"


def order(control="NW", status="", specimen_action="", more=()):
    detail = f"OBR|1|P1||718-7^Hb^LN|||||||{specimen_action}"
    outcome = read(message("ORM^O01", PID, f"ORC|{control}|P1|||{status}", detail, *more))
    check_admitted([outcome])
    return only(outcome, "ServiceRequest")[0]


@pytest.mark.parametrize(
    ("control", "status", "expected"),
    [
        ("NW", "", "active"), ("CA", "", "revoked"), ("DC", "", "revoked"), ("HD", "", "on-hold"),
        ("RL", "", "active"), ("RE", "", "completed"), ("DE", "", "entered-in-error"), ("SC", "", "unknown"),
        ("SC", "CM", "completed"), ("SC", "IP", "active"), ("SC", "HD", "on-hold"), ("NW", "CA", "revoked"),
        ("SC", "ER", "entered-in-error"), ("??", "", "unknown"),
    ],
)  # fmt: skip
def test_an_order_stands_as_its_status_says_else_as_its_control_does(control, status, expected):
    assert order(control, status)["status"] == expected


def test_who_an_order_comes_from():
    assert order()["intent"] == "order"
    assert order("SN")["intent"] == "filler-order"
    assert order(specimen_action="G")["intent"] == "reflex-order"


def test_a_cancelled_order_is_the_one_that_was_placed_and_its_results_name_it():
    assert order("NW")["id"] == order("CA")["id"]
    result = read(message("ORU^R01", PID, "OBR|1|P1|F1|718-7^Hb^LN", "OBX|1|NM|718-7^Hb^LN||11||||||F"))
    (asked,) = only(result, "DiagnosticReport")[0]["basedOn"]
    assert asked["identifier"] == order()["identifier"][0]
    alone = read(message("ORU^R01", PID, "OBR|1||F1|718-7^Hb^LN", "OBX|1|NM|718-7^Hb^LN||11||||||F"))
    (asked,) = only(alone, "DiagnosticReport")[0]["basedOn"]
    assert asked["identifier"]["type"]["coding"][0]["code"] == "FILL"


@pytest.mark.parametrize(
    ("segments", "code"),
    [
        (("ORC|CA|P1",), "A-246"),
        (("NTE|1||x",), "A-246"),
        (("ORC|NW|P1", "OBR|1|P1||1^X^LN", "ORC|CA|P2"), "A-246"),
        (("ORC|NW|P1", "RXO|1^X"), "A-221"),
    ],
)
def test_an_order_that_would_rewrite_another_with_less_is_held(segments, code):
    outcome = read(message("ORM^O01", PID, *segments))
    assert (outcome.refusal.code, outcome.refusal.parks) == (code, False)


def visit_of(trigger, sch):
    return read(message(f"SIU^{trigger}", sch, PID))


def sch(status="", filler="F1", times=f"^^^{WHEN}", duration="20", unit="MIN"):
    fields = [""] * 26
    fields[0], fields[2], fields[9], fields[10], fields[11], fields[25] = (
        "SCH", filler, duration, unit, times, status,
    )  # fmt: skip
    return "|".join(fields).rstrip("|")


@pytest.mark.parametrize(
    ("trigger", "told", "expected"),
    [
        ("S12", "Booked", "booked"), ("S12", "", "booked"), ("S14", "Pending", "pending"),
        ("S13", "Overbook", "booked"), ("S14", "Started", "checked-in"), ("S14", "Complete", "fulfilled"),
        ("S14", "Noshow", "noshow"), ("S14", "Deleted", "entered-in-error"), ("S12", "Waitlist", "waitlist"),
        ("S15", "Booked", "cancelled"), ("S17", "", "entered-in-error"), ("S26", "Booked", "noshow"),
    ],
)  # fmt: skip
def test_an_appointment_stands_as_its_event_says_else_as_its_status_does(trigger, told, expected):
    outcome = visit_of(trigger, sch(told))
    check_valid([outcome])
    check_admitted([outcome])
    found = only(outcome, "Appointment")[0]
    assert found["status"] == expected
    assert found["id"] == HOSPITAL.origin.resource_id("Appointment", "cita|hc|1|F1")
    assert (found["start"], found["end"]) == ("2026-04-10T09:30:00-05:00", "2026-04-10T09:50:00-05:00")


@pytest.mark.parametrize(("duration", "unit", "minutes"), [("90", "S", 2), ("2", "HR", 120), ("15", "", 15)])
def test_a_duration_has_its_unit(duration, unit, minutes):
    found = only(visit_of("S12", sch(duration=duration, unit=unit)), "Appointment")[0]
    assert found["minutesDuration"] == minutes


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"filler": ""}, "A-247"),
        ({"times": ""}, "A-248"),
        ({"times": "^^^20260410"}, "A-248"),
        ({"duration": ""}, "A-248"),
        ({"unit": "QUINCENAS"}, "A-248"),
        ({"duration": "0"}, "A-248"),
    ],
)
def test_an_appointment_without_number_or_times_is_held_and_no_time_is_made_up(more, code):
    assert visit_of("S12", sch(**more)).refusal.code == code


def test_a_cancelled_appointment_needs_no_times():
    found = only(visit_of("S15", sch(times="")), "Appointment")[0]
    assert "start" not in found


def document(trigger, txa_17="", txa_19="", parent="", obx=("OBX|1|TX|||Texto",)):
    fields = [""] * 20
    fields[0], fields[2], fields[4], fields[12], fields[13] = "TXA", "EP^E^L", "20260317", "D1", parent
    fields[17], fields[19] = txa_17, txa_19
    outcome = read(message(f"MDM^{trigger}", PID, "|".join(fields), *obx))
    if isinstance(outcome, Mapped):
        check_valid([outcome])
        check_admitted([outcome])
    return outcome


@pytest.mark.parametrize(
    ("trigger", "txa_17", "txa_19", "status", "progress"),
    [
        ("T02", "LA", "AV", "current", "final"),
        ("T02", "DI", "", "current", "preliminary"),
        ("T02", "", "OB", "superseded", None),
        ("T04", "AU", "CA", "entered-in-error", "entered-in-error"),
        ("T08", "AU", "AV", "current", "amended"),
        ("T11", "AU", "AV", "entered-in-error", "entered-in-error"),
        ("T01", "IP", "", "current", "preliminary"),
    ],
)
def test_how_far_a_document_is(trigger, txa_17, txa_19, status, progress):
    found = only(document(trigger, txa_17, txa_19), "DocumentReference")[0]
    assert (found["status"], found.get("docStatus")) == (status, progress)


def test_a_document_points_to_the_one_that_it_replaces_or_appends_to():
    for trigger, code in (("T10", "replaces"), ("T06", "appends"), ("T08", "replaces")):
        (relation,) = only(document(trigger, parent="D0"), "DocumentReference")[0]["relatesTo"]
        assert (relation["code"], relation["target"]["identifier"]["value"]) == (code, "D0")
    assert "relatesTo" not in only(document("T08", parent="D1"), "DocumentReference")[0]
    assert "relatesTo" not in only(document("T02", parent="D0"), "DocumentReference")[0]


def test_an_announced_document_is_not_told_over_the_one_that_came():
    def entry(trigger):
        entries = document(trigger).entries
        return next(item for item in entries if item.resource["resourceType"] == "DocumentReference")

    assert entry("T01").only_if_absent
    assert not entry("T02").only_if_absent
    assert not entry("T11").only_if_absent
    assert entry("T01").resource["id"] == entry("T02").resource["id"]
    assert not only(document("T01"), "Binary")


PDF = b"%PDF-1.4\n" + bytes(range(256))
CODED = base64.b64encode(PDF).decode()


@pytest.mark.parametrize(
    ("value", "media"),
    [
        (f"SIGH^application^pdf^Base64^{CODED}", "application/pdf"),
        (f"SIGH^AP^PDF^Base64^{CODED}", "application/pdf"),
        (f"^TEXT^PDF^BASE64^{CODED[:40]}\n{CODED[40:80]}  {CODED[80:]}", "application/pdf"),
        (f"^^application/pdf^Base64^{CODED[:8]}\\.br\\{CODED[8:]}", "application/pdf"),
        (f"^^^Base64^{CODED}", "application/pdf"),
        (f"^IM^JPG^Hex^{PDF.hex()}", "image/jpeg"),
    ],
)
def test_an_attachment_is_kept_to_the_byte_with_its_kind(value, media):
    outcome = document("T02", obx=(f"OBX|1|ED|||{value}",))
    (binary,) = only(outcome, "Binary")
    (content,) = only(outcome, "DocumentReference")[0]["content"]
    attachment = content["attachment"]
    assert base64.b64decode(binary["data"]) == PDF
    assert binary["contentType"] == attachment["contentType"] == media
    assert attachment["size"] == len(PDF)
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(PDF).digest()


@pytest.mark.parametrize(
    "value",
    ["^AP^PDF^Base64^JVBERi0=x", "^AP^PDF^Base64^JVB", "^AP^PDF^Hex^zz", "^AP^PDF^Base64^", "^AP^PDF^UUE^x"],
)
def test_an_attachment_that_was_cut_is_held_with_its_place(value):
    refusal = document("T02", obx=("OBX|1|TX|||Texto", f"OBX|2|ED|||{value}")).refusal
    assert (refusal.code, refusal.location) == ("A-244", "OBX^2^5")


def test_a_pointer_is_followed_by_nobody_and_kept_where_it_is_an_address():
    outcome = document("T02", obx=("OBX|1|RP|||https://pacs.example/1^X^AP^PDF", "OBX|2|RP|||77^X^AP^PDF"))
    (content,) = only(outcome, "DocumentReference")[0]["content"]
    assert content["attachment"]["url"] == "https://pacs.example/1"
    assert document("T02", obx=("OBX|1|RP|||file:///etc/passwd^X^AP^PDF",)).refusal.code == "A-243"


def merges(*segments):
    raw = message("ADT^A40", "EVN|A40|20260316", *segments).replace("\n", "\r").encode()
    parts = separate(raw, parse(raw))
    return [map_message(HOSPITAL, part, AT) for part in parts]


def test_several_merges_in_one_message_are_several():
    outcomes = merges(
        "PID|1||N1^^^^HC||A^B",
        "PD1|x",
        "MRG|O1^^^^HC",
        "PID|2||N2^^^^HC||C^D",
        "MRG|O2^^^^HC",
        "MRG|O3^^^^HC",
    )
    assert [(item.record.patient_key, item.record.merged_patient_key) for item in outcomes] == [
        ("hc|N1", "hc|O1"), ("hc|N2", "hc|O2"), ("hc|N2", "hc|O3"),
    ]  # fmt: skip
    assert len({item.record.natural_key for item in outcomes}) == 3
    assert len({item.record.message_id(bytes(32)) for item in outcomes}) == 3
    # Each is kept as bytes of its own, so that it can be mapped again by itself.
    again = [map_message(HOSPITAL, item.record.original, AT) for item in outcomes]
    assert [item.entries for item in again] == [item.entries for item in outcomes]


def test_one_bad_merge_does_not_hold_the_others():
    outcomes = merges("PID|1||N1^^^^HC||A^B", "MRG|", "PID|2||N2^^^^HC||C^D", "MRG|O2^^^^HC")
    assert isinstance(outcomes[0], Refused)
    assert outcomes[0].refusal.code == "A-233"
    assert isinstance(outcomes[1], Mapped)


def test_a_message_of_one_merge_stays_its_own_bytes():
    raw = message("ADT^A40", PID, "MRG|O1^^^^HC~O1B^^^^MR").replace("\n", "\r").encode()
    assert separate(raw, parse(raw)) == [raw]
    assert separate(b"\x00", None) == [b"\x00"]


def test_results_of_several_patients_go_to_each_their_own():
    text = message(
        "ORU^R01", "NTE|1||de todos",
        "PID|1||P1^^^^HC||A^B", "OBR|1||F1|1^X^LN", "OBX|1|NM|1^X^LN||11||||||F",
        "PID|2||P2^^^^HC||C^D", "OBR|1||F2|1^X^LN", "OBX|1|NM|1^X^LN||22||||||F",
    )  # fmt: skip
    raw = text.replace("\n", "\r").encode()
    outcomes = [map_message(HOSPITAL, part, AT) for part in separate(raw, parse(raw))]
    found = [(item.record.patient_key, only(item, "Observation")[0]) for item in outcomes]
    assert [(key, one["valueQuantity"]["value"]) for key, one in found] == [("hc|P1", 11), ("hc|P2", 22)]
    assert [one["subject"]["reference"] for _, one in found] == [
        f"Patient/{HOSPITAL.origin.resource_id('Patient', key)}" for key, _ in found
    ]


@pytest.mark.parametrize(
    "kind", ["ADT^A01", "ORM^O01", "SIU^S12", "VXU^V04", "MDM^T02", "ADT^A40", "ORU^R01"]
)
def test_what_is_about_two_patients_is_about_neither(kind):
    outcome = read(message(kind, PID, "OBR|1||F1|1^X^LN", "PID|2||2^^^^HC||C^D", "MRG|3^^^^HC"))
    assert (outcome.refusal.code, outcome.refusal.location) == ("A-235", "PID^2")


LAB = SenderRule(
    "LIS", "LAB", charset="cp1252", surname_order="maternal",
    identifier_rules=(IdentifierRule("dni", type="MR"),),
)  # fmt: skip
RULED = replace(HOSPITAL, messages=MessageSettings("utf-8", (LAB,)))


def sent_by(application, facility, encoding, hospital=RULED):
    text = f"MSH|^~\\&|{application}|{facility}|C|G|2026||ADT^A28|1|P|2.5.1\rPID|1||01234567^^^^MR||ÑIQUE^ANA^PEÑA"
    raw = text.encode(encoding)
    return map_message(hospital.of_sender(raw), raw, AT)


def test_each_sender_has_rules_of_its_own():
    (patient,) = only(sent_by("LIS", "LAB", "latin-1"), "Patient")
    assert patient["identifier"][0]["system"] == "urn:oid:2.16.840.1.113883.4.904"
    assert patient["name"][0]["family"] == "ÑIQUE PEÑA"
    (patient,) = only(sent_by("SIGH", "LAB", "utf-8"), "Patient")
    assert patient["identifier"][0]["system"].endswith(":hc")
    assert patient["name"][0]["given"] == ["ANA", "PEÑA"]
    assert sent_by("SIGH", "LAB", "latin-1").refusal.code == "A-202"


def test_a_sender_without_a_rule_is_refused_where_the_site_says_so():
    strict = replace(HOSPITAL, messages=MessageSettings("", (LAB,), refuses_unknown=True))
    assert sent_by("SIGH", "LAB", "utf-8", strict).refusal.code == "A-222"
    assert isinstance(sent_by("LIS", "LAB", "latin-1", strict), Mapped)


CODE = st.from_regex(r"[A-Z]{2}[0-9]{3}", fullmatch=True)
NUMBER = st.decimals("0.01", "9999", places=2)
DAY = st.integers(0, 14_000_000).map(
    lambda minutes: datetime(2001, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(CODE, NUMBER, CODE, DAY), min_size=1, max_size=4), CODE, DAY)
def test_every_code_date_and_quantity_is_found_again(rows, code, day):
    def stamp(at):
        return f"{at:%Y%m%d%H%M%S}-0500"

    def told(at):
        return f"{at:%Y-%m-%dT%H:%M:%S}-05:00"

    results = [
        f"OBX|{n}|NM|{one}^X^L|{n}|{value}|{unit}|||||F|||{stamp(at)}"
        for n, (one, value, unit, at) in enumerate(rows, 1)
    ]
    doses = [
        segment
        for n, (one, value, unit, at) in enumerate(rows, 1)
        for segment in (f"ORC|RE||{n}", f"RXA|0|1|{stamp(at)}||{one}^X^L|{value}|{unit}")
    ]
    asked = [
        segment
        for n, (one, value, unit, at) in enumerate(rows, 1)
        for segment in (
            f"ORC|NW|{n}|||||||{stamp(at)}",
            f"OBR|1|{n}||{one}^X^L",
            f"OBX|1|NM|{unit}||{value}",
        )
    ]
    for kind, segments, is_whole in (
        ("ORU^R01", [f"OBR|1||F1|{code}^X^L|||{stamp(day)}", *results], True),
        ("VXU^V04", doses, True),
        ("ORM^O01", asked, True),
        ("SIU^S12", [f"SCH||{code}|||||||||^^^{stamp(day)}^{stamp(day + timedelta(hours=1))}"], False),
    ):
        outcome = read(message(kind, PID, *segments))
        check_admitted([outcome])
        text = json.dumps(as_fhir(outcome), default=str, ensure_ascii=False)
        if is_whole:
            for one, value, unit, at in rows:
                assert all(part in text for part in (one, str(value), unit, told(at))), kind
        if kind in {"ORU^R01", "SIU^S12"}:
            assert code in text
            assert told(day) in text


SEGMENTS = st.sampled_from(
    [
        "SCH",
        "TQ1",
        "AIS",
        "AIL",
        "AIP",
        "ORC",
        "OBR",
        "OBX",
        "SPM",
        "NTE",
        "DG1",
        "TXA",
        "RXA",
        "RXR",
        "PV1",
        "MRG",
    ]
)
FIELD = st.text('AZaz09 ^~&\\|<>.-+/"ñ', max_size=10) | st.sampled_from(
    [
        "20260101",
        WHEN,
        "ED",
        "RP",
        "TX",
        "CX",
        "N",
        "20",
        "MIN",
        "^^^20260101",
        "^AP^PDF^Base64^QUJD",
        "CA",
        "RE",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["SIU^S12", "SIU^S15", "ORM^O01", "OML^O21", "MDM^T01", "MDM^T10", "MDM^T11", "VXU^V04", "ORU^R01"]),
    st.lists(st.tuples(SEGMENTS, st.lists(FIELD, max_size=26)), max_size=8),
)  # fmt: skip
def test_any_segments_end_in_what_the_hub_takes_or_in_a_refusal(kind, segments):
    outcome = read(message(kind, PID, *("|".join([name, *fields]) for name, fields in segments)))
    assert isinstance(outcome, Mapped | Refused)
    check_admitted([outcome])
