"""Loading an implementation guide's package: its conformance resources become resources of the hub, all or none.

Spec:    https://hl7.org/fhir/R4/implementationguide.html, https://hl7.org/fhir/R4/packages.html
Leaves:  reading the file to fhir/package.

An operator's act. The ids follow from what a resource is called, so the same package again changes nothing, and a newer
version of a package stands beside the older one.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from exchange.fhir.package import Package
from exchange.interactions.admission import Admitted, is_same, place, store
from exchange.requester import Requester
from exchange.store.canonical import record_canonicals, texts_of
from exchange.store.session import Transaction
from exchange.store.versions import occupied

OPERATOR: Final = Requester(
    client_id="operator", client_name="Operator", organization_id="chasqui", role="administrator", scopes=(),
    purpose_of_use="HSYSADMIN", id_prefix="package-", token_id="",
)  # fmt: skip
_SLICE: Final = 200


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many resources of a package were stored, and how many stood there already."""

    stored: int
    unchanged: int


def load_package(transaction: Transaction, package: Package) -> Loaded:
    """Store a package's conformance resources, within the transaction."""
    named = {resource_id(each): each for each in package.resources}
    stored = 0
    ids = sorted(named)
    for start in range(0, len(ids), _SLICE):
        stored += _load(transaction, {each: named[each] for each in ids[start : start + _SLICE]})
    return Loaded(stored, len(named) - stored)


def resource_id(resource: dict[str, Any]) -> str:
    """The id of a package's resource: the same for the same type, URL (or own id) and version."""
    told = resource.get("url") or resource.get("id", "")
    name = f"{resource['resourceType']}|{told}|{resource.get('version', '')}"
    return OPERATOR.id_prefix + sha256(name.encode()).hexdigest()[:40]


def _load(transaction: Transaction, named: dict[str, dict[str, Any]]) -> int:
    keys = {(each["resourceType"], resource_id): each for resource_id, each in named.items()}
    standing = occupied(transaction, keys)
    texts = texts_of(transaction, keys)
    admitted = []
    for key, resource in keys.items():
        taken = standing.get(key)
        own = resource | {"id": key[1]}
        text = texts.get(key)
        if text is not None and is_same(own, text, OPERATOR):
            continue
        admitted.append(Admitted(*key, own, taken, taken.version_id + 1 if taken else 1))
    place(transaction, OPERATOR, admitted)
    record_canonicals(transaction, store(transaction, OPERATOR, admitted))
    return len(admitted)
