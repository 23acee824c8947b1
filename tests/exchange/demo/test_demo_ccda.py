"""The institute's documents are well-formed C-CDA, identified as Peru does it, and tell the same story twice."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from lxml import etree

from exchange.demo.ccda import documents, write_documents
from exchange.demo.cda import local_root
from exchange.demo.region import build_region

REGION = build_region(seed=7, people=200, reference_date=date(2026, 6, 30))
NS = {"c": "urn:hl7-org:v3", "xsi": "http://www.w3.org/2001/XMLSchema-instance"}
SECTIONS = {
    "48765-2": "2.16.840.1.113883.10.20.22.2.6.1",
    "10160-0": "2.16.840.1.113883.10.20.22.2.1.1",
    "11450-4": "2.16.840.1.113883.10.20.22.2.5.1",
    "47519-4": "2.16.840.1.113883.10.20.22.2.7.1",
    "30954-2": "2.16.840.1.113883.10.20.22.2.3.1",
    "11369-6": "2.16.840.1.113883.10.20.22.2.2.1",
    "8716-3": "2.16.840.1.113883.10.20.22.2.4.1",
}


@pytest.fixture(scope="module")
def everything() -> dict[str, bytes]:
    return dict(documents(REGION))


def test_same_bytes_again(everything: dict[str, bytes], tmp_path: Path) -> None:
    paths = write_documents(REGION, tmp_path)
    assert {path.name: path.read_bytes() for path in paths} == everything


def test_one_document_for_every_patient(everything: dict[str, bytes]) -> None:
    numbers = {record.hc_number for _, record in REGION.records_at(REGION.tertiary)}
    assert {name.removeprefix("CCD_").removesuffix(".xml") for name in everything} == numbers


def test_header_and_sections(everything: dict[str, bytes]) -> None:
    surnames = set()
    roots = set()
    for content in everything.values():
        root = etree.fromstring(content)
        templates = root.xpath("c:templateId/@root", namespaces=NS)
        assert "2.16.840.1.113883.10.20.22.1.2" in templates
        assert len(root.xpath("c:recordTarget/c:patientRole/c:id", namespaces=NS)) in {1, 2}
        roots.update(root.xpath("c:recordTarget/c:patientRole/c:id/@root", namespaces=NS))
        surnames.add(len(root.xpath("c:recordTarget/c:patientRole/c:patient/c:name/c:family", namespaces=NS)))
        assert root.xpath("string(c:custodian//c:id/@extension)", namespaces=NS) == "00090031"
        assert root.xpath("c:componentOf/c:encompassingEncounter/c:effectiveTime/c:low/@value", namespaces=NS)
        sections = {
            section.xpath("string(c:code/@code)", namespaces=NS): section
            for section in root.xpath("//c:section", namespaces=NS)
        }
        assert set(sections) == set(SECTIONS)
        for code, section in sections.items():
            assert SECTIONS[code] in section.xpath("c:templateId/@root", namespaces=NS)
            assert "".join(section.find("c:text", NS).itertext()).strip()
            entries = section.xpath("c:entry", namespaces=NS)
            assert (section.get("nullFlavor") == "NI") == (not entries)
    assert {1, 2} <= surnames
    assert {"2.16.840.1.113883.4.904", local_root("00090031", "hc")} <= roots


def test_every_narrative_reference_has_its_target(everything: dict[str, bytes]) -> None:
    for content in everything.values():
        root = etree.fromstring(content)
        targets = set(root.xpath("//@ID"))
        references = root.xpath("//c:reference/@value", namespaces=NS)
        assert references
        assert {one.removeprefix("#") for one in references} <= targets


def test_entry_identifiers_are_unique(everything: dict[str, bytes]) -> None:
    seen: list[str] = []
    for content in everything.values():
        seen += etree.fromstring(content).xpath(
            "//c:entry//c:id[@extension][contains(@extension,'-')]/@extension", namespaces=NS
        )
    assert len(seen) == len(set(seen)) > 100


def test_results_are_typed_quantities(everything: dict[str, bytes]) -> None:
    values = [
        one
        for content in everything.values()
        for one in etree.fromstring(content).xpath("//c:observation/c:value[@xsi:type='PQ']", namespaces=NS)
    ]
    assert len(values) > 100
    for one in values:
        float(one.get("value"))
        assert one.get("unit")
