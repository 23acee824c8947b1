"""The hot queries read by their indexes: what really goes to PostgreSQL is explained on a hub of some thousand resources.

The statements are caught on their way, in the connection that plans them; nothing is copied here, so nothing gets old.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from exchange.fhir import peru
from exchange.store.session import Transaction
from tests.passage.world import Caller, a_world, patient_of
from tests.sample.consent import a_consent
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST, a_requester
from tests.sample.shelf import put

PATIENTS, OBSERVATIONS, CODES = 250, 16, 150
READ_IN_WHOLE = ("Seq Scan", "Parallel Seq Scan")
LARGE = frozenset({"resource", "resource_history", "audit_event", "token_entry"})
SLICE, KEY, TOKENS = "resource_slice_idx", "resource_pkey", "token_entry_pkey"
LEADING = {SLICE: "compartment", KEY: "id = ", "resource_history_pkey": "id = ", TOKENS: "hash"}
"""What each index begins with: a condition that says nothing of it reads all of the index."""
DNI = peru.DNI_SYSTEM


@dataclass(frozen=True)
class Planned:
    """One statement and the nodes of its plan."""

    sql: str
    nodes: list[dict[str, Any]]

    @property
    def indexes(self) -> set[str]:
        return {each["Index Name"] for each in self.nodes if "Index Name" in each}

    @property
    def whole(self) -> set[str]:
        """The large tables and indexes that are read from end to end."""
        tables = {each["Relation Name"] for each in self.nodes if each["Node Type"] in READ_IN_WHOLE} & LARGE
        led = [
            (each["Index Name"], each.get("Index Cond", "")) for each in self.nodes if "Index Name" in each
        ]
        return tables | {name for name, condition in led if LEADING.get(name, "") not in condition}

    def conditions(self, index: str) -> list[str]:
        return [each.get("Index Cond", "") for each in self.nodes if each.get("Index Name") == index]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


@contextmanager
def explained() -> Iterator[list[Planned]]:
    """Every statement that reads, each explained by its own connection right before it runs."""
    found: list[Planned] = []
    execute = Transaction._execute

    def explaining(self: Transaction, sql: str, parameters: Any) -> None:
        last = [each for each in sql.split(";") if each.strip() and each.strip() != "COMMIT"][-1].strip()
        if last.startswith(("SELECT", "EXECUTE", "WITH")) and "pg_advisory" not in last:
            execute(self, "EXPLAIN (FORMAT JSON) " + last, parameters)
            plan = self._cursor.fetchone()[0][0]["Plan"]
            found.append(Planned(last, list(_nodes(plan))))
        execute(self, sql, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "_execute", explaining)
        yield found


@pytest.fixture(scope="module")
def world(server):
    with a_world(server) as made:
        post = a_requester(POST)
        chart: list[dict[str, Any]] = [
            {"resourceType": "Organization", "id": f"posta-org{number}", "name": f"Red {number}", "partOf": {"reference": f"Organization/posta-org{number // 10}"}}
            for number in range(300)
        ]  # fmt: skip
        for number in range(PATIENTS):
            patient = f"posta-p{number}"
            chart.append(patient_of(POST, number, managingOrganization={"reference": f"Organization/posta-org{number}"}))  # fmt: skip
            chart.append({"resourceType": "Encounter", "id": f"{patient}-e", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": f"Patient/{patient}"}})  # fmt: skip
            chart.append(a_consent(f"{patient}-c", patient, permit=HOSPITAL))
            chart += [
                an_observation(f"{patient}-o{place}", patient, code=f"c{(number * OBSERVATIONS + place) % CODES}", effective=f"2026-05-{place + 1:02d}",
                               performer=[{"reference": f"Organization/posta-org{number}"}], encounter={"reference": f"Encounter/{patient}-e"})
                for place in range(OBSERVATIONS)
            ]  # fmt: skip
        with made.database_store.transaction() as transaction:
            for start in range(0, len(chart), 500):
                put(transaction, post, *chart[start : start + 500])
            transaction.commit()
            again = [each for each in chart if each["resourceType"] == "Observation"][:1500]
            for start in range(0, len(again), 500):
                put(transaction, post, *(each | {"status": "amended"} for each in again[start : start + 500]))
            transaction.commit()
        with made.sql() as cursor:
            cursor.execute("VACUUM ANALYZE")
        yield made


def plans_of(caller: Caller, act: str, **more: Any) -> list[Planned]:
    """The plans of what an act reads. It runs twice: what is prepared or remembered stands then."""
    verb, _, rest = act.partition(" ")

    def once() -> None:
        said = caller.post(*more["body"], if_none_exist=rest) if verb == "POST" else caller.get(rest)
        assert said.status in (200, 201), said.text

    once()
    with explained() as found:
        once()
    assert found
    return found


# What is asked, and the indexes by which its resources are found.
HOT = {
    "a read by id": ("GET Observation/posta-p7-o3", {KEY}), "a patient, by date": ("GET Observation?patient=posta-p7&_sort=-date&_count=5", {SLICE}), "a patient, by date upwards": ("GET Observation?patient=posta-p7&_sort=date&_count=5", {SLICE}),
    "a patient and a code": ("GET Observation?patient=posta-p7&code=http://loinc.org|c112", {SLICE}), "a patient and a period": ("GET Observation?patient=posta-p7&date=ge2026-05-10", {SLICE}), "a count in a record": ("GET Observation?patient=posta-p7&_summary=count", {SLICE}),
    "a code across the region": ("GET Observation?code=http://loinc.org|c17", {TOKENS, SLICE}), "a code's count": ("GET Observation?code=http://loinc.org|c17&_summary=count", {TOKENS, SLICE}), "a document": (f"GET Patient?identifier={DNI}|40000017", {TOKENS, SLICE}),
    "a chain over a document": (f"GET Observation?patient.identifier={DNI}|40000017", {TOKENS, SLICE}), "a chain over a document, and a code": (f"GET Observation?subject:Patient.identifier={DNI}|40000017&code=c17", {TOKENS, SLICE}),
    "_has": ("GET Patient?_has:Observation:patient:code=http://loinc.org|c17", {TOKENS, SLICE}), "an include": ("GET Observation?patient=posta-p7&_include=Observation:performer&_include=Observation:subject", {SLICE, KEY}),
    "a reverse include": (f"GET Patient?identifier={DNI}|40000017&_revinclude=Observation:patient", {TOKENS, SLICE}), "a directory's parts": ("GET Organization?partof=Organization/posta-org3", {TOKENS, SLICE}), "what points to an organization": ("GET Organization?_id=posta-org7&_revinclude=Organization:partof", {TOKENS, SLICE}),
    "a whole record": ("GET Patient/posta-p7/$everything", {SLICE}), "an id in a search": ("GET Observation?_id=posta-p7-o3", {KEY}), "a past version": ("GET Observation/posta-p7-o3/_history/1", {KEY, "resource_history_pkey"}), "versions of one": ("GET Observation/posta-p7-o3/_history", {KEY, "resource_history_pkey"}),
}  # fmt: skip


@pytest.mark.parametrize("who", ["post", "hospital"])
@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_reads_by_its_indexes(world, name, who):
    act, indexes = HOT[name]
    found = plans_of(getattr(world, who), act)
    assert {each.sql: each.whole for each in found if each.whole} == {}
    assert indexes <= set().union(*(each.indexes for each in found))


@pytest.mark.parametrize("who", ["post", "hospital"])
@pytest.mark.parametrize(
    "name", [each for each in HOT if each.startswith("a patient") or each == "a count in a record"]
)
def test_a_search_that_names_a_patient_reads_by_the_compartment(world, name, who):
    """One key for each record, as an equality of the index: a distributed table is asked on one shard."""
    slices = [each for each in plans_of(getattr(world, who), HOT[name][0]) if SLICE in each.indexes]
    assert slices
    for planned in slices:
        for condition in planned.conditions(SLICE):
            assert re.search(r"\(compartment = (ANY )?\(?", condition), condition
            assert "type =" in condition


def test_a_condition_finds_its_document(world):
    body = patient_of(POST, 17)
    del body["id"]
    found = plans_of(world.post, f"POST identifier={DNI}|40000017", body=(body,))
    assert {each.sql: each.whole for each in found if each.whole} == {}
    assert TOKENS in set().union(*(each.indexes for each in found))


def test_a_later_page_costs_no_more_than_the_first(world):
    """It begins in the index where the page before it ended."""
    caller, path = world.post, "Observation?patient=posta-p7&_sort=-date&_count=5"
    with explained() as first:
        said = caller.get(path)
    with explained() as second:
        caller.get(said.next)
    costs = [max(each.nodes[0]["Total Cost"] for each in found if SLICE in each.indexes) for found in (first, second)]  # fmt: skip
    assert costs[1] <= 2 * costs[0]


def test_what_was_written_since_is_found_by_its_instant_or_its_commit(world):
    now = world.post.get("Patient/posta-p7").body["meta"]["lastUpdated"]
    found = plans_of(world.post, f"GET Observation/_history?_since={now}&_count=5")
    assert any("transaction_idx" in index for each in found for index in each.indexes)


def test_the_test_would_notice(world):
    """A search that no index knows reads everything that the caller may see: and is seen doing so."""
    found = plans_of(world.post, "GET Observation?value-quantity=gt1&_count=1")
    assert set().union(*(each.whole for each in found)) in ({"resource"}, {SLICE})
