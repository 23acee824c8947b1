"""What a clinician determined about an episode: its confidentiality, its categories, by whom, when and why.

Spec:    Directiva 373-MINSA/OGTI-2025 (Peru), N0AUTE02.02 and .03: for each episode, who and when; the latest counts.
Leaves:  who may determine to operations/determine_sensitivity; what codes say to policy/sensitivity.

The episode stands as a keyed hash, everything else is sealed under the record that the Encounter lies in.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from exchange.crypto.envelope import associated_data, open_sealed, seal
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump
from exchange.policy.sensitivity import Label
from exchange.search.reference import local
from exchange.settings import settings
from exchange.store.data_keys import key_place
from exchange.store.session import Transaction
from exchange.store.versions import array_text

_ENCOUNTER: Final = type_code("Encounter")
_VERSION: Final = 0
"""Seals are bound to it: no version of a resource has this number."""

# The locks are shared by those who write into an episode and held alone by those who determine about it: what is written
# at the same time is labelled by the one or by the other.
FETCH: Final = """
SELECT {lock}(place) FROM (SELECT DISTINCT unnest(%(episodes)s::bigint[]) AS place ORDER BY 1) ordered;
SELECT d.compartment, d.episode, d.determined_at, d.id, d.sealed FROM sensitivity_determination d
WHERE d.compartment = ANY(%(compartments)s::bigint[]) AND d.episode = ANY(%(episodes)s::bigint[])
AND d.determined_at = (
  SELECT max(l.determined_at) FROM sensitivity_determination l
  WHERE l.compartment = d.compartment AND l.episode = d.episode)"""
SHARED: Final = FETCH.format(lock="pg_advisory_xact_lock_shared")
ALONE: Final = FETCH.format(lock="pg_advisory_xact_lock")

INSERT: Final = """
INSERT INTO sensitivity_determination (compartment, episode, determined_at, id, sealed)
VALUES (%(compartment)s, %(episode)s, %(determined_at)s, %(id)s, %(sealed)s)"""


@dataclass(frozen=True, slots=True)
class Determination:
    """The one that counts for an episode. Units: microseconds since the epoch."""

    label: Label
    determined_at: int


def episode_key(transaction: Transaction, encounter_id: str) -> int:
    """The keyed hash under which an episode stands."""
    return transaction.crypto.blind_index.value(f"episode|Encounter/{encounter_id}")


def record_determination(
    transaction: Transaction, compartment: int, encounter_id: str, determination: Determination, told: dict[str, Any]
) -> None:  # fmt: skip
    """Add a determination to those of an episode; `told` says by whom and why.

    No other transaction writes into the episode meanwhile.
    """
    episode = episode_key(transaction, encounter_id)
    transaction.rows(ALONE, {"compartments": "{}", "episodes": array_text([episode])})
    name = str(uuid.uuid4())
    text = dump(
        told
        | {
            "encounter": encounter_id,
            "confidentiality": determination.label.confidentiality,
            "categories": sorted(determination.label.categories),
        }
    )
    ciphers = transaction.store.data_keys.ciphers_to_write(transaction, (compartment,))
    bound_to = associated_data(compartment, _ENCOUNTER, name, _VERSION)
    sealed = seal(ciphers[key_place(compartment)], transaction.crypto.dictionaries, text, bound_to)
    transaction.run(
        INSERT,
        {"compartment": compartment, "episode": episode, "determined_at": determination.determined_at, "id": name,
         "sealed": sealed},
    )  # fmt: skip


def determinations(
    transaction: Transaction, compartments: Collection[int], encounters: Collection[str]
) -> dict[tuple[int, str], Determination]:
    """The determinations that count, by record and Encounter id; of two of one instant the stricter, and both categories.

    Nobody determines about these episodes until the transaction ends. Needs no Permit: it tells labels alone.
    Raises: SealBroken - a row was altered or moved; KeyDestroyed - the record was erased.
    """
    if not encounters:
        return {}
    keys = {episode_key(transaction, each): each for each in encounters}
    rows = transaction.rows(SHARED, {"compartments": array_text(compartments), "episodes": array_text(keys)})
    ciphers = transaction.store.data_keys.ciphers(transaction, {row[0] for row in rows})
    found: dict[tuple[int, str], Determination] = {}
    for compartment, episode, determined_at, name, sealed in rows:
        bound_to = associated_data(compartment, _ENCOUNTER, name, _VERSION)
        cipher = ciphers[key_place(compartment)]
        told = json.loads(open_sealed(cipher, transaction.crypto.dictionaries, bytes(sealed), bound_to))
        label = Label(told["confidentiality"], frozenset(told["categories"]))
        place = (compartment, keys[episode])
        known = found.get(place)
        found[place] = Determination(label.joined(known.label) if known else label, determined_at)
    return found


def encounters_of(resource: dict[str, Any]) -> frozenset[str]:
    """The ids of the Encounters to whose episodes a resource belongs: itself, or whatever it refers to."""
    found: set[str] = (
        {resource["id"]} if resource["resourceType"] == "Encounter" and "id" in resource else set()
    )
    rest: list[Any] = [resource]
    while rest:
        node = rest.pop()
        if type(node) is dict:
            text = node.get("reference")
            if type(text) is str and "Encounter/" in text:
                kind, _, logical = local(text, settings().fhir_url).partition("/")
                if kind == "Encounter":
                    found.add(logical)
            rest += [value for value in node.values() if type(value) is dict or type(value) is list]
        elif type(node) is list:
            rest.extend(node)
    return frozenset(found)


def determined(
    automatic: Label,
    told: Label,
    encounters: Collection[str],
    compartments: Collection[int],
    found: Mapping[tuple[int, str], Determination],
    last_updated: int,
) -> Label:
    """The label of a resource under what was determined about its episodes; `told` is what its source said itself.

    1. What was last written before the determination has its label, stricter or not.
    2. What was written later is labelled by itself, and has the determination's label where that is stricter.
    3. An episode about which nothing was determined leaves the label as it is; of several episodes the strictest counts.
    4. What the source told stays: a determination does not unsay it.
    """
    labels = []
    for encounter in encounters:
        known = [found[place] for place in ((each, encounter) for each in compartments) if place in found]
        if not known:
            labels.append(automatic)  # 3.
        for each in known:
            is_before = last_updated <= each.determined_at
            labels.append(each.label if is_before else automatic.joined(each.label))  # 1., 2.
    if not labels:
        return automatic
    joined = labels[0]
    for label in labels[1:]:
        joined = joined.joined(label)
    return joined.joined(told) if told.rank > Label().rank or told.categories else joined  # 4.
