"""_include and _revinclude: what the matches point to, and what points to them; `:iterate` from what was included, too.

Spec:    https://hl7.org/fhir/R4/search.html#revinclude
Leaves:  nothing to chance - every candidate is authorised inside the query, before the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from exchange.crypto.blind_index import DERIVED, EVERYWHERE, token
from exchange.fhir.definitions import type_code, type_name
from exchange.fhir.path import compile_expression
from exchange.permit import DIRECTORY_TYPES, Permit
from exchange.problems import Unavailable
from exchange.search import reference
from exchange.search.index import hash_text
from exchange.search.parameter import known_parameters
from exchange.search.tree import Include
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, Version, opened_for
from exchange.store.visibility import visible

MOST_INCLUDED: Final = 1_000
MOST_STEPS: Final = 10

# Each has an order of its own: without one, the plan's order could tell how much was left out.

FORWARD: Final = """
SELECT {columns} FROM unnest(%(types)s::smallint[], %(ids)s::text[]) AS asked(type, id)
JOIN resource r ON r.id = asked.id AND r.type = asked.type
WHERE NOT r.is_deleted AND {where}
ORDER BY r.compartment, r.type, r.clinical_at DESC, r.id LIMIT %(limit)s"""

# Either it names a start, or it lies in a start's own record and is about that record's patient.
POINTS: Final = """(r.tokens && %(hashes)s::bigint[]
    OR (r.compartment = ANY(%(own)s::bigint[]) AND r.tokens && %(own_hashes)s::bigint[]))"""
# In whatever record: a start that belongs to nobody has another token in each.
_IN_RECORD: Final = DERIVED.format(trapdoor="w", record="r.compartment")
POINTS_ANYWHERE: Final = f"""({POINTS}
    OR (r.compartment > 0 AND r.tokens && ARRAY(SELECT {_IN_RECORD} FROM unnest(%(trapdoors)s::bytea[]) w)))"""  # noqa: S608

# What points to a resource of a patient lies in that patient's record, in one that shares with it, or in nobody's.
SHARING: Final = "SELECT s.compartment FROM shared_record s WHERE s.member = ANY(%(places)s::bigint[])"

REVERSE: Final = f"""
SELECT {{columns}} FROM resource r
WHERE r.compartment = ANY(ARRAY(SELECT unnest(%(near)s::bigint[]) UNION
    SELECT t.compartment FROM token_entry t WHERE t.hash = ANY(%(hashes)s::bigint[]) AND t.compartment < 0))
  AND r.type = %(type)s AND {POINTS}
  AND NOT r.is_deleted AND {{where}}
ORDER BY r.compartment, r.type, r.clinical_at DESC, r.id LIMIT %(limit)s"""  # noqa: S608 - constants only

REVERSE_DIRECTORY: Final = f"""
SELECT {{columns}} FROM resource r
WHERE r.compartment = ANY(ARRAY(SELECT unnest(%(near)s::bigint[]) UNION
    SELECT t.compartment FROM token_entry t WHERE t.hash = ANY(%(hashes)s::bigint[])))
  AND r.type = %(type)s AND {POINTS}
  AND NOT r.is_deleted AND {{where}}
ORDER BY r.compartment, r.type, r.clinical_at DESC, r.id LIMIT %(limit)s"""  # noqa: S608 - constants only

REVERSE_UNINDEXED: Final = f"""
SELECT {{columns}} FROM resource r
WHERE r.type = %(type)s AND {POINTS_ANYWHERE} AND NOT r.is_deleted AND {{where}}
ORDER BY r.compartment, r.type, r.clinical_at DESC, r.id LIMIT %(limit)s"""  # noqa: S608 - constants only


def included(
    transaction: Transaction, permit: Permit, includes: Sequence[Include], matches: Sequence[Version]
) -> list[Version]:
    """The resources to add to a page, each once, none of them a match.

    Every include looks at the matches; those that iterate look at what was added too, until nothing new is found.
    """
    present = {(each.type_code, each.resource_id) for each in matches}
    added: list[Version] = []
    edge, chosen = list(matches), list(includes)
    for _ in range(MOST_STEPS):
        new: list[Version] = []
        for include in chosen:
            found = (_reverse if include.is_reverse else _forward)(transaction, permit, include, edge)
            for version in found:
                key = (version.type_code, version.resource_id)
                if key not in present:
                    present.add(key)
                    new.append(version)
        added += new
        edge, chosen = new, [each for each in includes if each.is_iterated]
        if not edge or not chosen or len(added) >= MOST_INCLUDED:
            break
    return added[:MOST_INCLUDED]


def _forward(
    transaction: Transaction, permit: Permit, include: Include, starts: Sequence[Version]
) -> list[Version]:
    known = known_parameters(include.source)
    parameters = [known[name] for name in include.parameters]
    expressions = [(each, compile_expression(each.expression, include.source)) for each in parameters]
    url = settings().fhir_url
    asked: set[tuple[str, str]] = set()
    for start in starts:
        if type_name(start.type_code) != include.source:
            continue
        resource = start.parsed()
        for parameter, expression in expressions:
            for fhir_type, value in expression(resource):
                for form in _local_forms(fhir_type, value, url):
                    resource_type, _, resource_id = form.partition("/")
                    is_wanted = include.target in ("", resource_type) and resource_type in parameter.targets
                    if is_wanted and permit.reads(resource_type):
                        asked.add((resource_type, resource_id))
    if not asked:
        return []
    where, named = visible(permit)
    ordered = sorted(asked)
    named |= {
        "types": [type_code(name) for name, _ in ordered],
        "ids": [logical for _, logical in ordered],
        "limit": MOST_INCLUDED,
    }
    return opened_for(
        transaction, permit, transaction.rows(FORWARD.format(columns=COLUMNS, where=where), named)
    )


def _reverse(
    transaction: Transaction, permit: Permit, include: Include, starts: Sequence[Version]
) -> list[Version]:
    known = known_parameters(include.source)
    if not permit.reads(include.source):
        return []
    own_hashes: set[int] = set()
    places: set[int] = set()
    own: set[int] = set()
    blind = transaction.crypto.blind_index
    texts: set[tuple[str, int]] = set()
    for start in starts:
        start_type = type_name(start.type_code)
        forms = [f"{start_type}/{start.resource_id}"]
        if start_type == "Patient":
            forms = [reference.of_record(start.compartment)]
        if include.target and include.target != start_type:
            continue
        names = [name for name in include.parameters if start_type in known[name].targets]
        if not all(known[name].is_indexed for name in names):
            raise Unavailable("a search parameter of this search is still being indexed; try again later")
        texts |= {
            (hash_text(include.source, name, each), start.compartment) for name in names for each in forms
        }
        places |= {start.compartment} if names else set()
        if start_type == "Patient":
            own |= {start.compartment} if names else set()
            own_forms = [hash_text(include.source, name, reference.OWN_PATIENT) for name in names]
            own_hashes |= {blind.token(each, start.compartment) for each in own_forms}
    if not texts:
        return []
    near = {row[0] for row in transaction.rows(SHARING, {"places": sorted(places)})}
    hashes = {
        token(trapdoor, record)
        for trapdoor, place in ((blind.trapdoor(text), place) for text, place in texts)
        for record in {place, EVERYWHERE} | near
    }
    where, named = visible(permit)
    named |= {
        "type": type_code(include.source),
        "hashes": sorted(hashes),
        "own_hashes": sorted(own_hashes),
        "near": sorted(places | near),
        "trapdoors": [],
        "own": sorted(own),
        "limit": MOST_INCLUDED,
    }
    is_directory = any(each < 0 for each in places)
    is_populated = include.source in DIRECTORY_TYPES
    if is_directory and not is_populated:
        named["trapdoors"] = sorted({blind.trapdoor(text) for text, _ in texts})
    sql = (REVERSE_DIRECTORY if is_populated else REVERSE_UNINDEXED) if is_directory else REVERSE
    return opened_for(transaction, permit, transaction.rows(sql.format(columns=COLUMNS, where=where), named))


def _local_forms(fhir_type: str, value: Any, url: str) -> Iterable[str]:
    forms = reference.forms(fhir_type, value, (), url)
    return (form for form in forms if "/" in form and ":" not in form and not form.startswith("="))
