"""The 5,306 official examples of R4: read and written without loss in JSON and XML, valid - save those that break R4's
own rules - and told by a served hub as they came.

Where they come from: tests/sample/official.py. CHASQUI_EXAMPLES_EVERY takes each n-th.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal

import pytest
from lxml import etree

from exchange.fhir.resource import dump, parse
from exchange.fhir.validate import check
from exchange.fhir.xml_read import read_xml
from exchange.fhir.xml_table import attributes, fields
from exchange.fhir.xml_write import write_xml
from tests.conformance.examples import (
    KNOWN_INVALID,
    LARGEST_BYTES,
    PREFIX,
    TOO_LARGE,
    deliver,
)
from tests.passage.live_hub import MAX_BODY_BYTES
from tests.sample import official
from tests.sample.requester import POST

EVERY = int(os.environ.get("CHASQUI_EXAMPLES_EVERY", "1"))
DELIVERED = 200


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, bytes]]:
    """Name and text."""
    if official.archive() is None:
        pytest.skip(official.ABSENT)
    return [(name, text) for name, text in official.examples(every=EVERY) if name not in TOO_LARGE]


def test_each_is_read_without_loss(examples):
    for name, text in examples:
        resource = parse(text, max_bytes=LARGEST_BYTES)
        written = dump(resource)
        assert json.loads(written, parse_float=Decimal) == json.loads(text, parse_float=Decimal), name
        assert parse(written, max_bytes=LARGEST_BYTES) == resource, name


def test_each_goes_through_xml_without_loss(examples):
    for name, text in examples:
        resource = parse(text, max_bytes=LARGEST_BYTES)
        written = write_xml(resource)
        back = read_xml(written)
        assert json.loads(dump(back), parse_float=str) == json.loads(dump(resource), parse_float=str), name
        assert write_xml(back) == written, name
        assert read_xml(write_xml(resource, is_pretty=True)) == back, name


def test_each_in_xml_has_its_elements_in_order(examples):
    """By another parser, against the definitions."""
    for name, text in examples:
        root = etree.fromstring(
            write_xml(parse(text, max_bytes=LARGEST_BYTES)), etree.XMLParser(huge_tree=True)
        )
        _require_order(root, etree.QName(root).localname, name)


def _require_order(element, shape: str, name: str) -> None:
    known = fields(shape)
    assert set(element.attrib) <= {*attributes(shape)}, name
    places = []
    for child in element:
        field = known[etree.QName(child).localname]
        places.append(field.place)
        match field.kind:
            case "object":
                _require_order(child, field.type, name)
            case "resource":
                assert len(child) == 1, name
                _require_order(child[0], etree.QName(child[0]).localname, name)
            case "primitive":
                assert set(child.attrib) <= {"id", "value"}, name
                assert {etree.QName(each).localname for each in child} <= {"extension"}, name
            case "narrative":
                assert etree.QName(child).namespace == "http://www.w3.org/1999/xhtml", name
    assert places == sorted(places), name


def test_each_is_valid_or_known_not_to_be(examples):
    found = {}
    for name, text in examples:
        issues = check(parse(text, max_bytes=LARGEST_BYTES))
        if issues:
            found[name] = issues[0].expression
    expected = {name: KNOWN_INVALID[name]["expression"] for name, _ in examples if name in KNOWN_INVALID}
    assert found == expected


def test_each_is_told_by_a_hub_as_it_came(live, examples):
    """Some of them: `make examples` takes all."""
    step = max(1, len(examples) // DELIVERED)
    chosen = [(name, text) for name, text in examples[::step] if len(text) < MAX_BODY_BYTES]
    outcome = deliver(live.enter("examples", POST, id_prefix=PREFIX), chosen)
    assert outcome.changed == []
    assert outcome.unexpected == []
    assert outcome.accepted > len(chosen) * 0.9
