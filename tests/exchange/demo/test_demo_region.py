"""The region is the same every time, its truth holds, and its hard cases are there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import date

import pytest

from exchange.demo.people import dni_of
from exchange.demo.region import Region, build_region

REFERENCE = date(2026, 6, 30)


@pytest.fixture(scope="module")
def region() -> Region:
    return build_region(seed=20260630, people=1500, reference_date=REFERENCE)


def _digest(region: Region) -> str:
    told = [repr((person, region.records(person), region.history(person))) for person in region.people()]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def test_same_seed_same_region() -> None:
    first = build_region(seed=4, people=120, reference_date=REFERENCE)
    again = build_region(seed=4, people=120, reference_date=REFERENCE)
    other = build_region(seed=5, people=120, reference_date=REFERENCE)
    assert _digest(first) == _digest(again) != _digest(other)


def test_hash_order_changes_nothing() -> None:
    script = (
        "from datetime import date; import hashlib, json\n"
        "from exchange.demo.region import build_region\n"
        "from exchange.demo.bundles import patient_bundles\n"
        "r = build_region(seed=4, people=40, reference_date=date(2026, 6, 30))\n"
        "told = [repr((p, r.records(p), r.history(p))) for p in r.people()]\n"
        "told += [json.dumps(b) for b in patient_bundles(r, resources_per_patient=30)]\n"
        "print(hashlib.sha256(''.join(told).encode()).hexdigest())\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_a_larger_region_begins_with_the_smaller() -> None:
    small = list(build_region(seed=4, people=50, reference_date=REFERENCE).people())
    large = list(build_region(seed=4, people=90, reference_date=REFERENCE).people())
    assert large[:50] == small
    assert len(large) == 90


def test_documents_are_text_and_belong_to_one_person(region: Region) -> None:
    numbers = Counter((one.kind, one.number) for person in region.people() for one in person.documents)
    assert set(numbers.values()) == {1}
    dnis = [number for kind, number in numbers if kind == "DNI"]
    assert all(len(number) == 8 and number.isdigit() for number in dnis)
    assert any(number.startswith("0") for number in dnis)
    assert not any(number.startswith("0099") for number in dnis)
    assert len({dni_of(1, slot, 0) for slot in range(50_000)}) == 50_000


def test_truth_names_every_record_once(region: Region) -> None:
    named = [record for truth in region.truth() for record in truth.records]
    assert len(named) == len(set(named))
    found = [
        record.key
        for facility in (region.primary, region.secondary, region.tertiary)
        for _, record in region.records_at(facility)
    ]
    assert sorted(found) == sorted(named)


def test_about_half_are_known_in_two_places(region: Region) -> None:
    places = Counter(len({facility for facility, _ in truth.records}) for truth in region.truth())
    assert 0.40 < (places[2] + places[3]) / sum(places.values()) < 0.52
    assert places[3] / sum(places.values()) > 0.08


def test_hard_cases_are_present_at_known_rates(region: Region) -> None:
    traits: Counter[str] = Counter()
    defects: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for person in region.people():
        traits.update(person.traits)
        kinds.update(document.kind for document in person.documents)
        defects.update(defect for record in region.records(person) for defect in record.defects)
    for trait in (
        "twin",
        "newborn",
        "homonym",
        "foreign",
        "indigenous",
        "junior",
        "compound",
        "third-surname",
    ):
        assert traits[trait] >= 5, trait
    assert 0.006 < traits["twin"] / 1500 < 0.04
    assert {"DNI", "CE", "PASS", "PTP", "CNV"} <= set(kinds)
    for defect in (
        "second-surname-dropped",
        "second-given-dropped",
        "typo",
        "surnames-swapped",
        "surname-glued",
        "date-one-day-off",
        "date-missing",
        "document-missing",
        "mothers-document",
        "placeholder",
        "mother-only",
        "certificate-before-dni",
        "duplicate",
    ):
        assert defects[defect] >= 1, defect


def test_some_twins_are_one_digit_apart(region: Region) -> None:
    dnis: dict[int, list[str]] = {}
    for person in region.people():
        document = person.document_of("DNI")
        if "twin" in person.traits and document:
            dnis.setdefault(person.family, []).append(document.number)
    pairs = [pair for pair in dnis.values() if len(pair) == 2]
    apart = [sum(a != b for a, b in zip(*pair, strict=True)) for pair in pairs]
    assert 1 in apart
    assert max(apart) > 1


def test_homonyms_share_names_and_nothing_else(region: Region) -> None:
    people = list(region.people())
    for person in people:
        if "homonym" in person.traits and "compound" not in person.traits:
            others = [one for one in people if one.name == person.name and one.slot != person.slot]
            if others:
                assert all(one.documents != person.documents for one in others)
                return
    pytest.fail("no homonyms")


def test_shared_person_is_plain_everywhere() -> None:
    region = build_region(seed=1, people=300, reference_date=REFERENCE)
    person = region.shared_person()
    records = region.records(person)
    dni = person.document_of("DNI")
    assert dni is not None
    assert {record.renipress for record in records} == {
        region.primary.renipress,
        region.secondary.renipress,
        region.tertiary.renipress,
    }
    assert {(record.name, record.birth_date, record.document) for record in records} == {
        (person.name, person.birth_date, dni)
    }
    assert all(region.history(person).at(record.renipress) for record in records)


def test_every_seed_has_a_shared_person() -> None:
    for seed in range(12):
        region = build_region(seed=seed, people=1, reference_date=REFERENCE)
        assert region.shared_person().name.display.isascii()


def test_history_stays_within_life_and_reference_date(region: Region) -> None:
    numbers = set()
    for person in list(region.people())[:400]:
        history = region.history(person)
        known = {record.renipress for record in region.records(person)}
        for visit in history.visits:
            assert person.birth_date <= visit.started_at.date() <= REFERENCE
            assert visit.renipress in known
            assert visit.diagnoses
            assert visit.number not in numbers
            numbers.add(visit.number)


def test_names_fit_windows_1252(region: Region) -> None:
    for person in region.people():
        json.dumps(person.name.display).encode("cp1252")
        person.name.display.encode("cp1252")
    assert any("Ñ" in person.name.display for person in region.people())


def test_facilities_are_well_formed(region: Region) -> None:
    codes = [facility.renipress for facility in region.facilities]
    assert len(set(codes)) == len(codes) >= 12
    for facility in region.facilities:
        assert len(facility.renipress) == 8
        assert len(facility.code_of_nine) == 9
        assert facility.ubigeo.startswith("13")
        assert facility.his_id != facility.renipress.lstrip("0")
    assert (region.primary.level, region.secondary.level, region.tertiary.level, region.asking.level) == (
        "I-2",
        "II-1",
        "III-E",
        "III-1",
    )


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        build_region(seed=1, people=0, reference_date=REFERENCE)


def test_referrals_climb_one_level(region: Region) -> None:
    climbs = Counter(
        (visit.renipress, visit.referral.to_renipress)
        for person in region.people()
        for visit in region.history(person).visits
        if visit.referral
    )
    assert set(climbs) == {
        (region.primary.renipress, region.secondary.renipress),
        (region.secondary.renipress, region.tertiary.renipress),
    }


def test_newborns_are_known_by_certificate_mother_and_birth_order(region: Region) -> None:
    newborns = [person for person in region.people() if "newborn" in person.traits]
    for person in newborns:
        assert {document.kind for document in person.documents} == {"CNV"}
        for record in region.records(person):
            assert record.birth_order is not None
            assert record.mother.document is not None
            assert (
                record.document is None
                or record.document.kind == "CNV"
                or "mothers-document" in record.defects
            )
