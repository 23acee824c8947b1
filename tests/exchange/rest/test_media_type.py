"""Which format is wanted, by the tables of HTTP and of FHIR's http page."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.rest.media_type import (
    NotAcceptable,
    UnsupportedMediaType,
    accepts,
    body_kind,
    wanted_format,
)

FJ, FX = "application/fhir+json; charset=utf-8", "application/fhir+xml; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        ("", FJ), ("*/*", FJ), ("application/*", FJ), ("application/fhir+json", FJ), ("application/fhir+xml", FX),
        ("application/json", "application/json; charset=utf-8"), ("text/json", "text/json; charset=utf-8"),
        ("application/xml", "application/xml; charset=utf-8"), ("text/xml", "text/xml; charset=utf-8"), ("text/*", "text/json; charset=utf-8"),
        ("application/fhir+xml, application/fhir+json", FX), ("application/fhir+json, application/fhir+xml", FJ),
        ("application/fhir+json;q=0.5, application/fhir+xml", FX), ("application/fhir+xml;q=0.5, application/fhir+json;q=0.6", FJ),
        ("application/fhir+json;q=0, */*", "application/json; charset=utf-8"), ("*/*, application/fhir+xml", FX), ("*/*, application/fhir+xml;q=0.9", FJ),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/xml; charset=utf-8"), ("text/html, */*;q=0.1", FJ),
        ("APPLICATION/FHIR+XML; CHARSET=UTF-8", FX), ('application/fhir+xml;charset="utf-8"', FX), ("application/fhir+xml;charset=latin-1, application/fhir+json;q=0.1", FJ),
        ("application/fhir+json; fhirVersion=4.0", f"{FJ}; fhirVersion=4.0"), ("application/fhir+xml;fhirVersion=4.0.1;q=1", f"{FX}; fhirVersion=4.0.1"),
        ("application/fhir+json; fhirVersion=5.0, application/fhir+xml;fhirVersion=4.0", f"{FX}; fhirVersion=4.0"),
        ("nonsense, ;;q=, application/fhir+xml;q=x, application/fhir+json", FJ), (",".join(["text/html"] * 40 + ["application/fhir+xml"]), FX),
    ],
)  # fmt: skip
def test_accept(accept, told):
    assert wanted_format(accept, ()).media_type == told


@pytest.mark.parametrize(
    "accept",
    [
        "text/html", "application/fhir+turtle", "application/fhir+json;q=0", "*/*;q=0", "application/fhir+json; fhirVersion=3.0",
        "application/fhir+json; fhirVersion=5.0", "application/fhir+json;charset=utf-16", "application/fhir+json;q=2", "x", "image/*", "application/fhir", ",", "*",
    ],
)  # fmt: skip
def test_what_is_not_written_is_refused(accept):
    with pytest.raises(NotAcceptable):
        wanted_format(accept, ())


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("json", FJ), ("xml", FX), ("XML", FX), ("application/fhir+xml", FX), ("application/fhir xml", FX), ("application/fhir json", FJ),
        ("text/xml", "text/xml; charset=utf-8"), ("application/xml", "application/xml; charset=utf-8"), ("application/json", "application/json; charset=utf-8"),
        ("application/fhir+xml; charset=utf-8", FX), ("application/fhir xml; charset=utf-8", FX), ("application/fhir+json;fhirVersion=4.0", f"{FJ}; fhirVersion=4.0"),
    ],
)  # fmt: skip
def test_the_parameter_goes_before_the_header(wanted, told):
    assert wanted_format("text/html", (wanted,)).media_type == told
    assert wanted_format("", ("ttl", wanted)).media_type == told


@pytest.mark.parametrize(
    "wanted", ["", "html", "ttl", "*/*", "xml;charset=latin-1", "json; fhirVersion=5.0", "\x00", "text/html"]
)
def test_another_parameter_is_refused(wanted):
    with pytest.raises(NotAcceptable):
        wanted_format("application/fhir+json", (wanted,))


@pytest.mark.parametrize(
    ("told", "kind"),
    [("application/fhir+json", "json"), ("application/json; charset=UTF-8", "json"), ("text/json", "json"), ("Application/FHIR+XML;charset=us-ascii", "xml"),
     ("application/xml", "xml"), ("text/xml; fhirVersion=4.0", "xml")],
)  # fmt: skip
def test_a_body_says_what_it_is(told, kind):
    assert body_kind(told) == kind


@pytest.mark.parametrize("told", ["", "text/plain", "application/fhir+turtle", "json", "*/*", "application/*", "application/fhir+json; charset=utf-16", "application/xml; charset=ISO-8859-1",
                                  "application/fhir+json; fhirVersion=3.0", "application/fhir+json, text/plain"])  # fmt: skip
def test_another_body_is_refused(told):
    with pytest.raises(UnsupportedMediaType):
        body_kind(told)


@pytest.mark.parametrize(("accept", "name", "is_taken"), [
    ("", "text/plain", True), ("*/*", "text/plain", True), ("text/*", "text/plain", True), ("text/*;q=0", "text/plain", False), ("text/*, text/plain;q=0", "text/plain", False),
    ("application/pdf", "text/plain", False), ("text/html", "text/plain", False)])  # fmt: skip
def test_a_content_is_taken_or_not(accept, name, is_taken):
    assert accepts(accept, name) is is_taken


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=2).map(tuple))
def test_no_header_breaks_it(accept, formats):
    with contextlib.suppress(NotAcceptable):
        assert wanted_format(accept, formats).kind in ("json", "xml")
    accepts(accept, "text/plain")
