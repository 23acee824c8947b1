"""The forms under which values are indexed, and the forms that a search asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.problems import NotSupported
from exchange.search import reference, string, token
from exchange.search.escape import split_escaped, unescape

URL = "http://127.0.0.1:8780/fhir"
CODING = {"system": "http://loinc.org", "code": "8480-6"}
PLAIN = {"code": "8480-6"}


# --- token: https://hl7.org/fhir/R4/search.html#token ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "coding", "holds"),
    [
        ("8480-6", CODING, True),
        ("8480-6", PLAIN, True),
        ("http://loinc.org|8480-6", CODING, True),
        ("http://loinc.org|8480-6", PLAIN, False),
        ("http://loinc.org|", CODING, True),
        ("http://loinc.org|", PLAIN, False),
        ("|8480-6", CODING, False),
        ("|8480-6", PLAIN, True),
        ("8480", CODING, False),
        ("http://snomed.info/sct|8480-6", CODING, False),
    ],
)
def test_token_forms(search, coding, holds):
    assert token.test(search, "code", "")("Coding", coding) is holds
    assert token.test(search, "code", "")("CodeableConcept", {"coding": [{"code": "x"}, coding]}) is holds
    form = token.wanted(search, "code")
    if form is not None:
        assert (form in set(token.forms("Coding", coding))) is holds


@pytest.mark.parametrize(
    ("fhir_type", "value", "search"),
    [
        ("boolean", True, "true"),
        ("boolean", False, "false"),
        ("code", "final", "final"),
        ("id", "a", "a"),
        ("Identifier", {"system": "urn:x", "value": "7"}, "urn:x|7"),
        ("ContactPoint", {"system": "phone", "value": "044-1"}, "044-1"),
    ],
)
def test_tokens_of_other_types(fhir_type, value, search):
    assert token.test(search, "x", "")(fhir_type, value)


@pytest.mark.parametrize("search", ["", "|", "a|b|c"])
def test_a_token_that_asks_for_nothing(search):
    with pytest.raises(NotSupported):
        token.wanted(search, "code")


def test_what_has_no_code_has_no_form():
    assert list(token.forms("CodeableConcept", {"text": "high"})) == []
    assert list(token.forms("Identifier", {"system": "urn:x"})) == []


# --- string: https://hl7.org/fhir/R4/search.html#string --------------------------------------------------------------

NAME = {"family": "Ñahui de la Cruz", "given": ["José María", None, "Ana"], "text": "Dr. Ñahui"}


@pytest.mark.parametrize(
    ("search", "modifier", "holds"),
    [
        ("nahui", "", True),
        ("ÑAHUI", "", True),
        ("ñah", "", True),
        ("na", "", True),
        ("ahui", "", False),
        ("cruz", "", True),
        ("de la cruz", "", True),
        ("la  cruz", "", True),
        ("jose m", "", True),
        ("maria", "", True),
        ("ahui", "contains", True),
        ("hui de", "contains", True),
        ("xyz", "contains", False),
        ("Ana", "exact", True),
        ("ana", "exact", False),
        ("José María", "exact", True),
        ("José", "exact", False),
    ],
)
def test_string_modifiers(search, modifier, holds):
    assert string.test(search, modifier)("HumanName", NAME) is holds


texts = st.text(st.sampled_from("aAáñ bcdeſß-'"), max_size=12)


@given(texts, texts, st.sampled_from(["", "exact", "contains"]))
def test_what_matches_is_in_the_bucket_that_is_asked(held, sought, modifier):
    if string.test(sought, modifier)("string", held):
        bucket = string.wanted(sought, modifier)
        assert bucket is None or bucket in set(string.forms("string", held))


def test_a_bucket_says_three_letters_and_no_more():
    assert set(string.forms("string", "Chuquiruna Huaman")) == {"^chu", "^hua"}


def test_every_part_of_an_address_is_searched():
    address = {
        "line": ["Jr. Bolívar 123", None],
        "city": "Otuzco",
        "district": "Usquil",
        "state": "La Libertad",
    }
    for search in ("otuzco", "usquil", "bolivar", "123", "libertad"):
        assert string.test(search, "")("Address", address)


# --- reference: https://hl7.org/fhir/R4/search.html#reference --------------------------------------------------------

TARGETS = ("Patient", "Group")


def holds(held: dict, search: str, modifier: str = "", own=()) -> bool:
    asked = set(reference.wanted(search, "subject", modifier, TARGETS, URL))
    return bool(asked & set(reference.forms("Reference", held, own, URL)))


@pytest.mark.parametrize("held", ["Patient/p1", f"{URL}/Patient/p1", "Patient/p1/_history/3"])
@pytest.mark.parametrize("search", ["Patient/p1", "p1", f"{URL}/Patient/p1"])
def test_one_reference_in_all_its_ways_of_writing(held, search):
    assert holds({"reference": held}, search)
    assert holds({"reference": held}, "p1", "Patient")
    assert not holds({"reference": held}, "p1", "Group")


@pytest.mark.parametrize(
    "held", ["Group/p1", "Patient/p2", "https://elsewhere.example/fhir/Patient/p1", "#p1"]
)
def test_another_resource_is_another(held):
    assert not holds({"reference": held}, "Patient/p1")


def test_an_absolute_reference_is_found_as_it_stands():
    assert holds(
        {"reference": "https://elsewhere.example/fhir/Patient/p1"},
        "https://elsewhere.example/fhir/Patient/p1",
    )


def test_by_identifier():
    held = {"identifier": {"system": "urn:x", "value": "7"}}
    assert holds(held, "urn:x|7", "identifier")
    assert holds(held, "7", "identifier")
    assert not holds(held, "urn:y|7", "identifier")
    assert not holds(held, "7")


def test_a_reference_to_the_record_s_own_patient_has_one_form_in_every_record():
    held = {"reference": "Patient/p1"}
    assert list(reference.forms("Reference", held, ("p1",), URL)) == [reference.OWN_PATIENT]
    assert list(reference.forms("Reference", held, ("p2",), URL)) == ["Patient/p1"]


@pytest.mark.parametrize(("search", "modifier"), [("", ""), ("Group/1", "Patient")])
def test_references_that_cannot_be_asked_for(search, modifier):
    with pytest.raises(NotSupported):
        reference.wanted(search, "subject", modifier, TARGETS, URL)


def test_a_canonical_is_found_with_and_without_its_version():
    forms = set(reference.forms("canonical", "http://example.org/q|2", (), URL))
    assert {"=http://example.org/q|2", "=http://example.org/q"} <= forms


# --- escapes: https://hl7.org/fhir/R4/search.html#escaping ------------------------------------------------------------


@given(
    st.lists(st.text(st.sampled_from(r"ab\,|$"), max_size=8), min_size=1, max_size=5), st.sampled_from(",|")
)
def test_what_was_escaped_comes_back(parts, separator):
    escaped = []
    for part in parts:
        text = part
        for letter in "\\,|$":
            text = text.replace(letter, "\\" + letter)
        escaped.append(text)
    found = split_escaped(separator.join(escaped), separator)
    assert [unescape(each) for each in found] == parts
