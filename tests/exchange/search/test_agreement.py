"""SQL and memory agree: a search finds what its criteria hold of, for random criteria over a shelf of resources."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchange.fhir import peru
from exchange.fhir.datatype import fold
from exchange.fhir.resource import parse as parse_resource
from exchange.permit import Permit
from exchange.problems import NotSupported
from exchange.search.check import check
from exchange.search.grammar import parse
from exchange.search.matches import find
from exchange.settings import Settings
from exchange.store.hub import open_store, prepare_keys
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient
from tests.sample.requester import POST, a_requester
from tests.sample.root import RootInMemory
from tests.sample.shelf import put

OWNER = a_requester(POST)
PATIENTS = 24
FAMILIES = ("Quispe Mamani", "Quispe", "Ñahui de la Cruz", "Huamán Quispe", "Li", None)
GIVEN = (("Rosa", "Elvira"), ("José María",), ("Jo",), (), ("O'Hara",))
BIRTHS = ("1984-03-09", "1984-03", "1984", "2001-12-31", None)
DEATHS = ("2020-05-01", "2020-05-01T10:00:00-05:00", "2020-05-02T03:30:00Z", "2020", None, None, None)
CODES = ("8480-6", "8462-4", "8867-4", "a,b", "a|b")
SYSTEMS = (peru.LOINC_SYSTEM, "urn:x", "")
TIMES = (
    "2026-05-31T08:30:00-05:00",
    "2026-05-31",
    "2026-05",
    "2026",
    "2026-06-01T02:00:00Z",
    "2019-12-31",
    None,
)
STATUSES = ("final", "preliminary", "amended")


def cycle(values, number: int):
    return values[number % len(values)]


def patients() -> list[dict[str, Any]]:
    found = []
    for number in range(PATIENTS):
        more: dict[str, Any] = {}
        death = cycle(DEATHS, number)
        if death:
            more["deceasedDateTime"] = death
        elif number % 4 == 0:
            more["deceasedBoolean"] = number % 8 == 0
        if number % 3 == 0:
            more["telecom"] = [
                {"system": "phone", "value": f"04412{number}"},
                {"system": "email", "value": "a@b.pe"},
            ]
        if number % 5 == 0:
            more["address"] = [{"city": "Otuzco", "line": ["Jr. Bolívar 123"], "state": "La Libertad"}]
        if number % 6 == 0:
            more["generalPractitioner"] = [{"reference": "Practitioner/d1"}]
        if number % 7 == 0:
            more["active"] = bool(number % 2)
        found.append(
            a_patient(
                f"p{number}",
                family=cycle(FAMILIES, number),
                given=cycle(GIVEN, number // 2),
                dni=f"4000{number:04d}" if number % 2 else None,
                birth_date=cycle(BIRTHS, number // 3),
                gender=cycle(("female", "male", None), number),
                **more,
            )
        )
    return found


def observations() -> list[dict[str, Any]]:
    found = []
    for number in range(220):
        more: dict[str, Any] = {}
        if number % 4 == 0:
            more["performer"] = [
                {"reference": f"Practitioner/d{number % 3}"},
                {"reference": "Organization/" + POST},
            ]
        if number % 5 == 0:
            more["category"] = [
                {"coding": [{"system": "urn:cat", "code": cycle(("vital-signs", "laboratory"), number)}]}
            ]
        if number % 6 == 0:
            more["focus"] = [{"reference": f"Patient/p{number % PATIENTS}"}]
        if number % 7 == 0:
            del_value = {"valueString": cycle(("alto", "Bajo riesgo", "áspero"), number // 7)}
            more |= del_value
        if number % 8 == 0:
            more["identifier"] = [{"system": "urn:lab", "value": f"L{number % 5}"}]
        if number % 9 == 0:
            more["meta"] = {
                "tag": [{"system": "urn:tag", "code": "t"}],
                "profile": ["http://example.org/p|1.0"],
            }
        if number % 10 == 0:
            more["basedOn"] = [{"identifier": {"system": "urn:order", "value": str(number % 3)}}]
        if number % 11 == 0:
            more["effectivePeriod"] = {"start": "2026-05-30", **({"end": "2026-06-02"} if number % 2 else {})}
        observation = an_observation(
            f"o{number}",
            f"p{number % PATIENTS}",
            code=cycle(CODES, number // 3),
            system=cycle(SYSTEMS, number // 2),
            effective=None if "effectivePeriod" in more else cycle(TIMES, number),
            status=cycle(STATUSES, number),
        )
        if "valueString" in more:
            del observation["valueQuantity"]
        if not observation["code"]["coding"][0]["system"]:
            del observation["code"]["coding"][0]["system"]
        found.append(observation | more)
    return found


SHELF = {"Patient": patients(), "Observation": observations()}


@pytest.fixture(scope="module")
def shelf(server):
    """A store that holds the shelf; nobody writes to it afterwards."""
    with server.clone() as url:
        root = RootInMemory(bytes(32))
        prepare_keys(url, Settings(), root)
        store = open_store(url, Settings(), root)
        with store.transaction() as transaction:
            put(transaction, OWNER, *SHELF["Patient"], *SHELF["Observation"])
            transaction.commit()
            stored = transaction.rows("SELECT id, last_updated FROM resource")
            transaction.rollback()
        store.updated = dict(stored)
        yield store
        store.close()


def a_permit(now: int) -> Permit:
    return Permit(
        compartments=None, custodian=OWNER.custodian, actors=(), purpose="TREAT", decided_at=now, types=None,
        audit=False, reason="",
    )  # fmt: skip


def one_of(*values: str):
    return st.sampled_from(values)


def listed(values):
    return st.lists(values, min_size=1, max_size=3).map(",".join)


dates = one_of(
    "2026", "2026-05", "2026-05-31", "2026-05-31T08:30:00-05:00", "2026-06-01", "2019", "2020-05-01", "1984",
    "1984-03", "1984-03-09", "2020-05-02", "2020", "2001-12-31",
)  # fmt: skip
prefixed = st.builds(
    lambda prefix, date: prefix + date,
    one_of("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"),
    dates,
)
missing = one_of("true", "false")
names = one_of(
    "quispe",
    "Quispe",
    "QUISPE MAMANI",
    "ñah",
    "na",
    "de la",
    "huam",
    "li",
    "l",
    "rosa",
    "jose m",
    "maria",
    "o'h",
    "xyz",
    "ros",
    "jo",
)
tokens = one_of(
    "8480-6", f"{peru.LOINC_SYSTEM}|8480-6", f"{peru.LOINC_SYSTEM}|", "urn:x|8462-4", "|8867-4", "nothing", r"a\,b", r"a\|b",
)  # fmt: skip
patient_ids = one_of(
    "p1", "Patient/p2", "p3", "http://127.0.0.1:8780/fhir/Patient/p4", "nobody", "Group/g", "Patient/p6"
)

CRITERIA = {
    "Patient": st.one_of(
        st.tuples(one_of("family", "given", "name", "address", "address-city"), listed(names)),
        st.tuples(one_of("family:exact", "given:exact"), listed(one_of("Quispe Mamani", "quispe mamani", "Rosa", "José María", "Li"))),
        st.tuples(one_of("family:contains", "name:contains", "address:contains"), listed(one_of("uisp", "OSA", "a", "bolív"))),
        st.tuples(one_of("family:missing", "birthdate:missing", "gender:missing", "general-practitioner:missing"), missing),
        st.tuples(one_of("birthdate", "death-date"), listed(prefixed)),
        st.tuples(one_of("gender", "gender:not"), listed(one_of("female", "male", "unknown"))),
        st.tuples(one_of("active", "deceased"), one_of("true", "false")),
        st.tuples(one_of("identifier", "identifier:not"), listed(one_of("40000001", f"{peru.DNI_SYSTEM}|40000003", f"{peru.DNI_SYSTEM}|", "|40000005"))),
        st.tuples(one_of("phone", "telecom", "email"), listed(one_of("044120", "a@b.pe", "044123"))),
        st.tuples(st.just("general-practitioner"), listed(one_of("Practitioner/d1", "d1", "Organization/d1"))),
        st.tuples(st.just("_id"), listed(one_of("p1", "p2", "nobody"))),
        st.tuples(st.just("_lastUpdated"), listed(st.one_of(prefixed, one_of("ge2020", "lt2020")))),
    ),
    "Observation": st.one_of(
        st.tuples(one_of("code", "code:not", "combo-code"), listed(tokens)),
        st.tuples(one_of("status", "status:not"), listed(one_of(*STATUSES, "registered"))),
        st.tuples(st.just("date"), listed(prefixed)),
        st.tuples(one_of("date:missing", "category:missing", "value-string:missing", "focus:missing"), missing),
        st.tuples(one_of("category", "category:not"), listed(one_of("vital-signs", "urn:cat|laboratory", "urn:cat|"))),
        st.tuples(one_of("subject", "patient"), listed(patient_ids)),
        st.tuples(st.just("focus"), listed(patient_ids)),
        st.tuples(st.just("performer"), listed(one_of("Practitioner/d0", "d1", "Organization/" + POST))),
        st.tuples(st.just("based-on:identifier"), listed(one_of("urn:order|1", "2", "urn:no|1"))),
        st.tuples(one_of("value-string", "value-string:exact", "value-string:contains"), listed(one_of("alto", "bajo", "riesgo", "Bajo riesgo", "as"))),
        st.tuples(st.just("identifier"), listed(one_of("urn:lab|L1", "L2", "urn:lab|", "|L1"))),
        st.tuples(one_of("_tag", "_tag:not"), listed(one_of("t", "urn:tag|t", "urn:no|t"))),
        st.tuples(st.just("_profile"), listed(one_of("http://example.org/p", "http://example.org/p|1.0"))),
        st.tuples(st.just("_id"), listed(one_of("o1", "o2", "nothing"))),
    ),
}  # fmt: skip
KNOWN_TYPES = st.sampled_from(sorted(CRITERIA))
searches = KNOWN_TYPES.flatmap(
    lambda name: st.tuples(st.just(name), st.lists(CRITERIA[name], min_size=1, max_size=3).map(tuple))
)


def found_by_sql(store, resource_type: str, pairs, count: int = 1_000) -> tuple[set[str], int | None, int]:
    with store.transaction() as transaction:
        query = parse(resource_type, (*pairs, ("_count", str(count))))
        found = find(transaction, a_permit(transaction.now), query, {}, [])
        return {each.resource_id for each in found.matches}, found.total, transaction.now


def found_by_memory(store, resource_type: str, pairs, now: int) -> set[str]:
    checks = [check(node, resource_type, now) for node in parse(resource_type, pairs).nodes]
    return {
        each["id"]
        for each in SHELF[resource_type]
        if all(holds(each, store.updated[each["id"]]) for holds in checks)
    }


@settings(max_examples=400)
@given(searches)
@example(("Patient", (("death-date", "2020-05-01"),)))
@example(("Observation", (("subject", "Patient/p6,Group/g"),)))
@example(("Observation", (("focus", "Patient/p6"),)))
@example(("Patient", (("birthdate", "1984"),)))
def test_sql_finds_what_memory_holds(shelf, search):
    resource_type, pairs = search
    found, total, now = found_by_sql(shelf, resource_type, pairs)
    assert found == found_by_memory(shelf, resource_type, pairs, now)
    assert total in (None, len(found))


@settings(max_examples=60)
@given(
    searches,
    st.integers(1, 7),
    st.sampled_from(["", "_id", "-_lastUpdated", "-date", "date", "birthdate", "status"]),
)
def test_pages_are_one_list_cut_up(shelf, search, count, order):
    resource_type, pairs = search
    if order in ("-date", "date", "status") and resource_type != "Observation":
        return
    if order == "birthdate" and resource_type != "Patient":
        return
    asked = (*pairs, ("_count", str(count)), *([("_sort", order)] if order else []))
    everything, _, _ = found_by_sql(shelf, resource_type, pairs)
    seen: list[str] = []
    with shelf.transaction() as transaction:
        query = parse(resource_type, asked)
        position: list[Any] = []
        while True:
            found = find(transaction, a_permit(transaction.now), query, {}, position)
            assert len(found.matches) <= count
            seen += [each.resource_id for each in found.matches]
            position = found.next_position
            if not position:
                break
            assert found.matches
    assert len(seen) == len(set(seen))
    assert set(seen) == everything


@settings(max_examples=80)
@given(searches)
def test_the_count_is_exact(shelf, search):
    resource_type, pairs = search
    everything, _, _ = found_by_sql(shelf, resource_type, pairs)
    with shelf.transaction() as transaction:
        counted = find(
            transaction,
            a_permit(transaction.now),
            parse(resource_type, (*pairs, ("_summary", "count"))),
            {},
            [],
        )
        page = find(
            transaction, a_permit(transaction.now), parse(resource_type, (*pairs, ("_count", "1"), ("_total", "accurate"))), {}, []
        )  # fmt: skip
    assert counted.total == page.total == len(everything)


@pytest.mark.parametrize(
    ("resource_type", "order", "value"),
    [
        ("Observation", "date", lambda each: each.get("effectiveDateTime", "")[:4]),
        ("Patient", "family", lambda each: each.get("name", [{}])[0].get("family", "~")),
        ("Patient", "birthdate", lambda each: each.get("birthDate", "9999")[:4]),
        ("Patient", "_id", lambda each: each["id"]),
    ],
)
def test_an_order_is_kept(shelf, resource_type, order, value):
    with shelf.transaction() as transaction:
        for sign in ("", "-"):
            query = parse(resource_type, ((("_sort", sign + order)), ("_count", "1000")))
            found = find(transaction, a_permit(transaction.now), query, {}, [])
            values = [value(parse_resource(each.text)) for each in found.matches]
            told = [each for each in values if each and each not in ("9999", "~")]
            assert told == sorted(told, key=fold, reverse=bool(sign))


@pytest.mark.parametrize("text", ["soon", "1984-13", "1984-99", "1abc", "1984-03-99", "2026-02-30"])
@pytest.mark.parametrize("parameter", ["birthdate", "death-date"])
def test_a_birth_date_that_is_none_is_refused(shelf, parameter, text):
    with pytest.raises(NotSupported):
        found_by_sql(shelf, "Patient", ((parameter, text),))
