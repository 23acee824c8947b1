"""The oracle: random searches over random shelves of the official examples, in the hub and naively; no difference.

    python -m tests.properties.oracle [CASES] [SEED]

prints how many were asked, refused and different, each difference with its search, and exits 1 when there is one.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from exchange.consent.decision import decide
from exchange.fhir.compartment import patient_references
from exchange.fhir.definitions import type_name
from exchange.fhir.resource import dump
from exchange.fhir.resource import parse as parse_resource
from exchange.interactions import admission
from exchange.interactions.admission import Admitted
from exchange.interactions.search import Search
from exchange.problems import Problem
from exchange.request import Request
from exchange.search import grammar
from exchange.search.order import MemoryOrder
from exchange.search.parameter import known_parameters
from exchange.search.resolution import Resolution
from exchange.search.tree import All, AnyOf, Chain, Coded, Criterion, Has, Node, Not
from exchange.settings import Settings
from exchange.store.hub import open_store, prepare_keys
from exchange.store.session import Store, Transaction
from exchange.store.versions import Version
from tests.properties import naive
from tests.properties.naive import Shelf
from tests.properties.queries import Queries
from tests.sample import official
from tests.sample.database import Server, a_server
from tests.sample.requester import POST, a_requester
from tests.sample.root import RootInMemory

OWNER = a_requester(POST)
SHELF_RESOURCES = 260
CASES_A_SHELF = 500
LARGEST_BYTES = 60_000
LEFT_OUT = (
    "AuditEvent",
    "Bundle",
    "Parameters",
    "StructureDefinition",
    "CodeSystem",
    "ValueSet",
    "SearchParameter",
    "CapabilityStatement",
)
"""Types whose examples are definitions by the thousand, or that are not stored like others."""
MOST_OF_A_TYPE = 40


@dataclass
class Result:
    """What a run came to."""

    cases: int = 0
    refused: int = 0
    matched: int = 0
    differences: list[str] = field(default_factory=list)
    shapes: Counter[str] = field(default_factory=Counter)


def run(server: Server, examples: list[bytes], cases: int, seed: int) -> Result:
    """Ask `cases` random searches of the hub and of the naive evaluator."""
    result = Result()
    for number in range((cases + CASES_A_SHELF - 1) // CASES_A_SHELF):
        with a_store(server) as store:
            shelf = fill(store, chosen(examples, seed + number))
            queries = Queries(shelf, seed + number)
            for _ in range(min(CASES_A_SHELF, cases - result.cases)):
                resource_type, pairs = queries.one()
                result.cases += 1
                _compare(store, shelf, resource_type, pairs, result)
    return result


@contextmanager
def a_store(server: Server) -> Iterator[Store]:
    """An empty hub's store."""
    with server.clone() as url:
        root = RootInMemory(bytes(32))
        prepare_keys(url, Settings(), root)
        store = open_store(url, Settings(), root)
        try:
            yield store
        finally:
            store.close()


def chosen(examples: list[bytes], seed: int) -> list[dict[str, Any]]:
    """A random few of the examples, and a Patient for each that they name."""
    random = Random(seed)
    found: dict[str, dict[str, Any]] = {}
    of_type: Counter[str] = Counter()
    for text in random.sample(examples, len(examples)):
        resource = parse_resource(text)
        kind, identity = resource["resourceType"], resource.get("id")
        if kind in LEFT_OUT or not identity or of_type[kind] >= MOST_OF_A_TYPE:
            continue
        if len(patient_references(resource)) > admission.MOST_PATIENTS:
            continue
        found.setdefault(f"{kind}/{identity}", resource)
        of_type[kind] += 1
        if len(found) >= SHELF_RESOURCES:
            break
    named = {
        each
        for resource in found.values()
        for each in admission.patients_of(resource["resourceType"], resource["id"], resource)
    }
    by_id = {f"Patient/{each}": {"resourceType": "Patient", "id": each} for each in sorted(named)}
    return list((by_id | found).values())


def fill(store: Store, resources: list[dict[str, Any]]) -> Shelf:
    """Store resources as one facility's own."""
    with store.transaction() as transaction:
        admitted = [Admitted(each["resourceType"], each["id"], each) for each in resources]
        admission.place(transaction, OWNER, admitted)
        admission.store(transaction, OWNER, admitted)
        transaction.commit()
    with store.transaction() as transaction:
        rows = transaction.rows("SELECT person, array_agg(patient_id) FROM patient_record GROUP BY person")
        ids = [_patient_ids(transaction, row[0]) for row in rows]
        updated = transaction.rows("SELECT max(last_updated) FROM resource")[0][0]
        pairs = transaction.rows("SELECT compartment, member FROM shared_record")
    persons = {each: frozenset(linked) for linked in ids for each in linked}
    stored = {naive.place(each.resource): each.resource for each in admitted if each.resource is not None}
    records = {naive.place(each.resource): each.compartment for each in admitted if each.resource is not None}
    shared = {one: {member for other, member in pairs if other == one} for one, _ in pairs}
    return Shelf(stored, dict.fromkeys(stored, updated), persons, records, shared)


def _patient_ids(transaction: Transaction, person: int) -> list[str]:
    compartments = {
        row[0]
        for row in transaction.rows("SELECT compartment FROM patient_record WHERE person = %s", (person,))
    }
    rows = transaction.rows(
        "SELECT id, compartment FROM resource WHERE compartment = ANY(%s)", (list(compartments),)
    )
    place = transaction.crypto.blind_index.patient_compartment
    return [f"Patient/{row[0]}" for row in rows if place(row[0]) == row[1]]


def _compare(
    store: Store, shelf: Shelf, resource_type: str, pairs: list[tuple[str, str]], result: Result
) -> None:
    described = f"{resource_type}?{urlencode(pairs)}"
    try:
        found, added, total, reach = _hub(store, resource_type, pairs)
    except Problem as problem:
        result.refused += 1
        if problem.issues[0].code not in ("not-supported", "not-found", "too-costly"):
            result.differences.append(f"{described}\n    refused: {problem.issues[0].diagnostics}")
        return
    with store.transaction() as transaction:
        query = grammar.parse(resource_type, pairs)
        coded = _coded(transaction, query.nodes)
        if reach is not None:
            # A search that names patients stays within their records, and what belongs to nobody's.
            rows = transaction.rows(
                "SELECT type, id FROM resource WHERE compartment < 0 OR compartment = ANY(%s)", (reach,)
            )
            shelf = shelf.only({f"{type_name(row[0])}/{row[1]}" for row in rows})
        expected = naive.search(shelf, query, coded, transaction.now)
    result.matched += bool(expected)
    for key, _ in pairs:
        result.shapes[_shape(resource_type, key)] += 1
    told: list[str] = []
    if len(found) != len(set(found)):
        told.append("a match stands on two pages")
    if set(found) != expected:
        told.append(
            f"too many {sorted(set(found) - expected)[:5]}, missing {sorted(expected - set(found))[:5]}"
        )
    if total is not None and total != len(expected):
        told.append(f"total {total} instead of {len(expected)}")
    if query.includes and (extra := naive.included(shelf, query.includes, expected)) != added - expected:
        told.append(
            f"includes: too many {sorted(added - expected - extra)[:5]}, missing {sorted(extra - added)[:5]}"
        )
    if query.sort and not _is_ordered(shelf, query, found):
        told.append("not in order")
    result.differences += [f"{described}\n    {each}" for each in told]


def _hub(
    store: Store, resource_type: str, pairs: list[tuple[str, str]]
) -> tuple[list[str], set[str], int | None, list[int] | None]:
    """Every page of a search: matches in their order, what was included, the first page's total, the permit's records."""
    found: list[str] = []
    added: set[str] = set()
    total: int | None = None
    asked = list(pairs)
    for page in range(2_000):
        with store.transaction() as transaction:
            act = Search(Request("search-type", resource_type, query=tuple(asked)), OWNER)
            permit = decide(transaction, OWNER, act.need)
            answer = act.run(transaction, permit)
        bundle = json.loads(answer.body)
        total = bundle.get("total") if page == 0 else total
        for entry in bundle.get("entry", ()):
            place = naive.place(entry["resource"]) if "id" in entry["resource"] else ""
            if entry["search"]["mode"] == "match":
                found.append(place)
            elif entry["search"]["mode"] == "include":
                added.add(place)
        following = [each["url"] for each in bundle["link"] if each["relation"] == "next"]
        if not following:
            return (
                found,
                added,
                total,
                None if permit.compartments is None else [*permit.compartments, *permit.beside],
            )
        asked = parse_qsl(urlsplit(following[0]).query, keep_blank_values=True)
    raise AssertionError("the pages do not end")


def _coded(transaction: Transaction, nodes: list[Node]) -> dict[Criterion, Coded]:
    """The codes behind every token criterion that asks for a set of them."""
    found: dict[Criterion, Coded] = {}
    resolution = Resolution(transaction, "", lambda *_: {}, lambda *_: [], lambda *_: False)
    for node in nodes:
        match node:
            case Criterion(parameter=parameter, modifier="in" | "not-in" | "above" | "below") if (
                parameter.kind == "token"
            ):
                resolved = resolution.of(node, "")
                assert isinstance(resolved, Coded)
                found[node] = resolved
            case Chain(targets=targets):
                found |= _coded(transaction, [inner for _, inner in targets])
            case Has(node=inner) | Not(node=inner):
                found |= _coded(transaction, [inner])
            case All(nodes=inner) | AnyOf(nodes=inner):
                found |= _coded(transaction, list(inner))
    return found


def _is_ordered(shelf: Shelf, query: Any, ordered: list[str]) -> bool:
    order = MemoryOrder(query)
    keyed = []
    for place in ordered:
        resource = shelf.resources[place]
        text = dump(resource)
        version = Version(0, 0, resource["id"], 1, shelf.updated[place], is_deleted=False, text=text)
        keyed.append((order.key(version)[:-1], place))
    again = [
        place
        for _, place in order.arranged(
            [([*key, number], place) for number, (key, place) in enumerate(keyed)], []
        )
    ]  # type: ignore[list-item]
    return again == ordered


def _shape(resource_type: str, key: str) -> str:
    if key.startswith("_has:"):
        return "_has"
    if "." in key:
        return "chain"
    name, _, modifier = key.partition(":")
    if name.startswith("_"):
        return name
    return f"{known_parameters(resource_type)[name].kind}{':' if modifier else ''}{'[type]' if modifier[:1].isupper() else modifier}"


def main() -> int:
    """Run as a command."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    examples = [text for _, text in official.examples(LARGEST_BYTES)]
    if not examples:
        sys.stdout.write("left out: the official examples are not here and npm is absent\n")
        return 0
    with a_server() as server:
        result = run(server, examples, cases, seed)
    for each in result.differences[:50]:
        sys.stdout.write(f"{each}\n")
    shapes = ", ".join(f"{name} {number}" for name, number in result.shapes.most_common())
    sys.stdout.write(
        f"asked by shape: {shapes}\ncases {result.cases}, with matches {result.matched}, refused {result.refused}, "
        f"differences {len(result.differences)}\n"
    )
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main())
