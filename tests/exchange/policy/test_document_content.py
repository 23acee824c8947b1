"""Documents have the highest label of their content; what is not parsed is restricted."""

from __future__ import annotations

import base64
import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.demo.ccda import documents
from exchange.demo.region import build_region
from exchange.policy.adopted import policy
from exchange.policy.sensitivity import NORMAL, Label, label

CIE10 = "http://hl7.org/fhir/sid/icd-10"
RESTRICTED = Label("R")
HIV = Label("R", frozenset({"HIV"}))
HEAD = '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'


def coded(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def a_binary(content_type: str, content: bytes | str, **more):
    return {"resourceType": "Binary", "id": "b", "contentType": content_type, "data": coded(content)} | more


def a_reference(**attachment):
    return {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "content": [{"attachment": attachment}],
    }


def cda(section: str = "", body: str = "") -> str:
    inner = body or f"<structuredBody><component><section>{section}</section></component></structuredBody>"
    return f'{HEAD}<code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/><component>{inner}</component></ClinicalDocument>'


def entry(code: str, oid: str = "2.16.840.1.113883.6.3", element: str = "value") -> str:
    return f'<text>x</text><entry><observation><{element} code="{code}" codeSystem="{oid}"/></observation></entry>'


def labelled(resource, linked=None) -> Label:
    return label(resource, policy(), linked)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("text/plain", "todo bien"), ("application/pdf", b"%PDF-1.7"), ("image/png", b"\x89PNG"), ("application/zip", b"PK"),
        ("", "x"), ("application/octet-stream", "x"), ("application/fhir+json", "no json"), ("application/fhir+json", "[]"),
        ("application/fhir+xml", "<Patient xmlns='http://hl7.org/fhir'/>"), ("text/xml", "<other/>"), ("text/xml", "<broken"),
        ("text/xml", b"\xff\xfe\x00"), ("application/fhir+json", "[" * 100_000), ("text/html", "<p>"),
    ],
)  # fmt: skip
def test_what_is_not_parsed_is_restricted(content_type, content):
    assert labelled(a_binary(content_type, content)) == RESTRICTED
    attached = {"contentType": content_type, "data": coded(content)}
    assert labelled(a_reference(**attached)) == RESTRICTED
    report = {"resourceType": "DiagnosticReport", "id": "r", "presentedForm": [attached]}
    assert labelled(report) == RESTRICTED
    assert labelled({"resourceType": "Media", "id": "m", "content": attached}) == RESTRICTED


def test_data_that_is_no_base64_is_restricted():
    assert (
        labelled({"resourceType": "Binary", "id": "b", "contentType": "text/xml", "data": "%%%"})
        == RESTRICTED
    )


def test_fhir_documents_have_the_label_of_what_they_hold():
    def bundle(code):
        condition = {
            "resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": CIE10, "code": code}]},
        }  # fmt: skip
        composition = {
            "resourceType": "Composition", "id": "k", "status": "final", "type": {"text": "Informe"}, "date": "2026-01-01",
            "author": [{"display": "Dra. Flores"}], "title": "Informe", "section": [{"entry": [{"reference": "Condition/c"}]}],
        }  # fmt: skip
        return {
            "resourceType": "Bundle",
            "type": "document",
            "timestamp": "2026-01-01T00:00:00Z",
            "identifier": {"system": "urn:d", "value": "1"},
            "entry": [{"resource": composition}, {"resource": condition}],
        }

    for code, expected in (("I10", NORMAL), ("B24", HIV)):
        assert labelled(bundle(code) | {"id": "b"}) == expected
        for kind in ("application/fhir+json", "application/json; charset=utf-8"):
            assert labelled(a_binary(kind, json.dumps(bundle(code)))) == expected
            assert labelled(a_reference(contentType=kind, data=coded(json.dumps(bundle(code))))) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["B24", CIE10, "Condition"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["meta", "security", "code", "coding", "system", "section", "entry", "contained", "resourceType",
                             "data", "contentType", "url", "reference", "medicationReference", "confidentiality"]),
            inner, max_size=4,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(
    st.sampled_from(
        ["Condition", "Composition", "Bundle", "Binary", "MedicationRequest", "Organization", "NoSuch"]
    ),
    JSON,
)
def test_whatever_stands_in_a_document_has_a_label(kind, content):
    told = {"resourceType": kind, "id": "x"} | (
        content if isinstance(content, dict) else {"extension": content}
    )
    found = labelled(a_binary("application/fhir+json", json.dumps(told)))
    assert found.confidentiality in ("N", "R", "V")


def test_documents_inside_of_documents_are_read_to_a_depth():
    inner = a_binary("application/fhir+json", json.dumps({"resourceType": "Patient", "id": "p"}))
    assert labelled(inner) == NORMAL
    for _ in range(2):
        inner = a_binary("application/fhir+json", json.dumps(inner))
    assert labelled(inner) == NORMAL
    assert labelled(a_binary("application/fhir+json", json.dumps(inner))) == RESTRICTED


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (entry("I10"), NORMAL), (entry("B24"), HIV), (entry("B20", "2.16.840.1.113883.6.90", "translation"), HIV),
        (entry("J05AR10", "2.16.840.1.113883.6.73", "code"), HIV), (entry("20447-9", "2.16.840.1.113883.6.1", "code"), HIV),
        (entry("R", "2.16.840.1.113883.5.25", "confidentialityCode"), RESTRICTED), (entry("N", "2.16.840.1.113883.5.25"), NORMAL),
        (entry("R", "2.16.840.1.113883.5.83", "interpretationCode"), NORMAL), (entry("B24", "2.25.1"), NORMAL),
        (entry("SDV", "2.16.840.1.113883.5.4"), Label("V", frozenset({"SDV"}))), ("<text>Paciente con VIH</text>", RESTRICTED),
        ("<text></text>", NORMAL), ("<text>x</text><component><section>" + entry("B24") + "</section></component>", HIV),
        ('<text>x</text><entry><observation><value representation="B64">AAAA</value></observation></entry>', RESTRICTED),
        ("<text>x</text><entry><observationMedia/></entry>", RESTRICTED),
    ],
)  # fmt: skip
def test_cda_documents_have_the_label_of_their_codes(section, expected):
    for kind in ("text/xml", "application/xml", "application/hl7-cda+xml"):
        assert labelled(a_binary(kind, cda(section))) == expected


def test_a_cda_without_a_structured_body_is_not_parsed():
    assert (
        labelled(a_binary("text/xml", cda(body="<nonXMLBody><text>AAAA</text></nonXMLBody>"))) == RESTRICTED
    )


def test_an_empty_section_says_nothing():
    text = cda("<text>Sin datos</text>").replace("<section>", '<section nullFlavor="NI">')
    assert labelled(a_binary("text/xml", text)) == NORMAL


def test_document_types_and_entities_are_refused():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + cda(entry("I10")).replace(
        "I10", "&b;"
    )
    assert labelled(a_binary("text/xml", bomb)) == RESTRICTED
    outside = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + cda("<text>&a;</text>")
    assert labelled(a_binary("text/xml", outside)) == RESTRICTED


def test_what_is_linked_is_looked_at_and_otherwise_restricted():
    held = {"Binary/b": a_binary("text/xml", cda(entry("I10"))), "Binary/h": a_binary("text/xml", cda(entry("B24"))),
            "Patient/p": {"resourceType": "Patient", "id": "p"}}  # fmt: skip
    attached = {"contentType": "text/xml"}
    assert labelled(a_reference(**attached, url="Binary/b"), held.get) == NORMAL
    assert labelled(a_reference(**attached, url="Binary/h"), held.get) == HIV
    for url in ("Binary/none", "Patient/p", "https://elsewhere.example/x.xml", "#b"):
        assert labelled(a_reference(**attached, url=url), held.get) == RESTRICTED
    assert labelled(a_reference(**attached, url="Binary/b")) == RESTRICTED
    assert labelled(a_reference(url="https://elsewhere.example/x"), held.get) == RESTRICTED
    assert labelled(a_reference(**attached, title="Informe"), held.get) == NORMAL


def test_a_composition_has_the_label_of_its_entries():
    held = {"Condition/n": {"resourceType": "Condition", "id": "n", "code": {"coding": [{"system": CIE10, "code": "I10"}]}},
            "Condition/h": {"resourceType": "Condition", "id": "h", "code": {"coding": [{"system": CIE10, "code": "B24"}]}}}  # fmt: skip

    def composition(*references):
        entries = [{"reference": each} for each in references]
        return {"resourceType": "Composition", "id": "k", "section": [{"section": [{"entry": entries}]}]}

    assert labelled(composition("Condition/n"), held.get) == NORMAL
    assert labelled(composition("Condition/n", "Condition/h"), held.get) == HIV
    assert labelled(composition("Condition/none"), held.get) == RESTRICTED
    assert labelled(composition(*["Condition/n"] * 300), held.get) == RESTRICTED
    assert labelled({"resourceType": "Composition", "id": "k"}) == NORMAL


def test_a_photograph_of_a_patient_is_no_document():
    photo = [{"contentType": "image/png", "data": coded(b"x")}]
    assert labelled({"resourceType": "Patient", "id": "p", "photo": photo}) == NORMAL
    assert labelled({"resourceType": "Patient", "id": "p", "photo": photo, "contained": []}) == NORMAL


def test_what_looks_like_an_attachment_and_is_none_is_left_alone():
    signed = {"type": [], "when": "2026-01-01T00:00:00Z", "who": {"display": "x"}, "data": coded(b"x")}
    provenance = {"resourceType": "Provenance", "id": "v", "signature": [signed]}
    assert labelled(provenance) == NORMAL
    sampled = {"origin": {"value": 0}, "period": 1, "dimensions": 1, "data": "1 2 3"}
    assert labelled({"resourceType": "Observation", "id": "o", "valueSampledData": sampled}) == NORMAL
    extended = {"resourceType": "Observation", "id": "o", "extension": [{"url": "urn:x", "valueString": "y"}]}
    assert labelled(extended) == NORMAL
    nested = {"url": "urn:x", "extension": [{"url": "a", "valueBoolean": True}]}
    assert labelled({"resourceType": "Observation", "id": "o", "extension": [nested]}) == NORMAL


def test_the_documents_of_an_institute_are_ordinary_where_their_content_is():
    region = build_region(seed=3, people=120, reference_date=date(2026, 11, 20))
    found = [labelled(a_binary("text/xml", content)) for _, content in documents(region)]
    assert NORMAL in found
    assert all(each == NORMAL or each.categories for each in found)
    assert sum(each == NORMAL for each in found) > len(found) / 2
