"""Admission: what every resource passes before it is stored - parsed, checked, placed, indexed.

Spec:    https://hl7.org/fhir/R4/validation.html, https://hl7.org/fhir/R4/http.html#create
Leaves:  the verbs to create, update, delete and transaction; sealing to store.

A facility writes into the records of its own patients alone. A Patient of somebody else's is refused with the same
words as one that does not exist.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from exchange.fhir.compartment import patient_references
from exchange.fhir.datatype import parse_reference
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump, parse
from exchange.fhir.validate import check
from exchange.identity.cross_reference import owners, register
from exchange.interactions.bundle_text import instant
from exchange.policy.adopted import policy
from exchange.policy.facets import facets, joined
from exchange.policy.labelling import Row, labels
from exchange.problems import Conflict, Invalid, Malformed
from exchange.request import Linkage, Touched, Written
from exchange.requester import Requester
from exchange.search.index import index
from exchange.search.reference import local
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import Index, Occupancy, Write, write

MOST_PATIENTS: Final = 20
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic")


@dataclass(slots=True)
class Admitted:
    """One resource on its way in. `standing` is the version that it supersedes.

    `patients` are told where the resource does not say itself whom it is about. `stored_at` is of what stays unchanged.
    """

    resource_type: str
    resource_id: str
    resource: dict[str, Any] | None
    standing: Occupancy | None = None
    version_id: int = 1
    compartment: int = 0
    members: tuple[int, ...] = ()
    own_patients: tuple[str, ...] = ()
    is_unchanged: bool = False
    stored_at: int = 0
    patients: tuple[str, ...] = ()
    label: str = ""
    text: bytes = field(default=b"", repr=False)


def parse_body(body: bytes, resource_type: str) -> dict[str, Any]:
    """A request's body as a resource of the expected type. Raises: Malformed, TooCostly."""
    resource = parse(body, max_bytes=settings().max_body_bytes, max_depth=settings().max_json_depth)
    if resource["resourceType"] != resource_type:
        raise Malformed(f"the body is no {resource_type}", "resourceType")
    return resource


def require_valid(resource: dict[str, Any]) -> None:
    """Check a resource against R4. Raises: Malformed - with every issue found."""
    issues = check(resource)
    if issues:
        raise Malformed.of(issues)


def place(transaction: Transaction, requester: Requester, admitted: Sequence[Admitted]) -> None:
    """Find each resource's compartment, and hold it against what the requester may write.

    Raises: Invalid - a Patient that is none of the requester's, or too many patients on one resource;
            Conflict - the resource would move to another patient's record.
    """
    blind = transaction.crypto.blind_index
    made = {
        each.resource_id for each in admitted if each.resource_type == "Patient" and each.resource is not None
    }
    asked: dict[str, int] = {}
    where: dict[int, tuple[Admitted, str]] = {}
    for each in admitted:
        if each.resource is None:
            continue
        patients = list(each.patients) or patients_of(each.resource_type, each.resource_id, each.resource)
        if len(patients) > MOST_PATIENTS:
            raise Invalid(f"a resource is about at most {MOST_PATIENTS} patients here", each.resource_type)
        compartments = [blind.patient_compartment(patient) for patient in patients]
        asked |= dict(zip(patients, compartments, strict=True))
        where |= {
            compartment: (each, patient) for patient, compartment in zip(patients, compartments, strict=True)
        }
        each.own_patients = tuple(patients[:1])
        each.members = tuple(compartments[1:])
        each.compartment = (
            compartments[0] if compartments else blind.own_compartment(each.resource_type, each.resource_id)
        )
    needed = {patient: compartment for patient, compartment in asked.items() if patient not in made}
    if needed:
        owned = owners(transaction, needed.values())
        for compartment in needed.values():
            if owned.get(compartment) != requester.custodian:
                words = "a reference does not resolve to a Patient of this facility"
                raise Invalid(words, _named(*where[compartment]), code="not-found")
    for each in admitted:
        standing = each.standing
        if standing is None:
            continue
        if each.resource is None:
            # A deletion stays where the resource was: in the records of all its patients.
            each.compartment, each.members = standing.compartment, standing.members
        if each.compartment != standing.compartment:
            raise Conflict("a resource stays in the record of its patient; delete it and create a new one")


def store(transaction: Transaction, requester: Requester, admitted: Sequence[Admitted]) -> list[Written]:
    """Stamp, index and write what has been placed; enter Patients into the cross-reference."""
    # Stamped after every wait for a lock: the versions of one resource bear rising instants.
    transaction.now = time.time_ns() // 1000
    writes, superseded = [], []
    written: list[Written] = []
    blind = transaction.crypto.blind_index
    changed = [each for each in admitted if not each.is_unchanged]
    found = facets_of(transaction, requester, changed)
    for each, shared in zip(changed, found, strict=True):
        if each.standing is not None:
            superseded.append((each.standing.compartment, each.resource_type, each.resource_id))
        code = type_code(each.resource_type)
        if each.resource is None:
            writes.append(
                Write(each.compartment, requester.custodian, code, each.resource_id, each.version_id,
                      transaction.now, b"", Index(facets=shared), each.members, is_deleted=True)
            )  # fmt: skip
        else:
            _stamp(each, transaction.now, requester)
            each.text = dump(each.resource)
            found_by = replace(
                index(each.resource, each.own_patients, blind, each.compartment), facets=shared
            )
            writes.append(
                Write(each.compartment, requester.custodian, code, each.resource_id, each.version_id,
                      transaction.now, each.text, found_by, each.members)
            )  # fmt: skip
    write(transaction, writes, superseded)
    for each in changed:
        linkage: tuple[Linkage, ...] = ()
        if each.resource_type == "Patient" and each.resource is not None:
            linkage = register(transaction, each.compartment, requester.custodian, each.resource)
        written.append(
            Written(each.resource_type, each.resource_id, each.compartment, each.resource, linkage)
        )
    return written


def facets_of(
    transaction: Transaction, requester: Requester, admitted: Sequence[Admitted]
) -> list[Sequence[int] | None]:
    """What consents may name of each resource: of the new version, and of those that stood before.

    A version that is hidden would tell by its gap in the history, so all versions of a resource share what was ever said
    of it. A deletion keeps what stands.
    """
    blind = transaction.crypto.blind_index
    about_patients = [each for each in admitted if each.resource is not None and each.compartment > 0]
    at_hand = {
        f"{each.resource_type}/{each.resource_id}": each.resource
        for each in admitted
        if each.resource is not None
    }
    rows = [
        Row(each.resource, (each.compartment, *each.members), transaction.now, requester.custodian)
        for each in about_patients
        if each.resource is not None
    ]
    made = {
        id(each): facets(row.resource, label, row.compartments, blind)
        for each, row, label in zip(
            about_patients, rows, labels(transaction, rows, policy(), at_hand), strict=True
        )
    }
    found: list[Sequence[int] | None] = []
    for each in admitted:
        new = made.get(id(each), [])
        if each.standing is None or each.compartment < 0:
            found.append(new)
        elif each.resource is None or each.standing.facets is None:
            found.append(each.standing.facets)  # what was never labelled waits until all its versions are
        elif not new or not each.standing.facets:
            found.append([])  # what is too much to be named stays hidden
        else:
            found.append(joined(new, each.standing.facets, each.compartment, blind))
    return found


def touched(admitted: Collection[Admitted]) -> list[Touched]:
    """The records that were written, each with its resources."""
    shown: dict[int, list[str]] = {}
    for each in admitted:
        for compartment in (each.compartment, *each.members):
            if compartment > 0:
                shown.setdefault(compartment, []).append(
                    f"{each.resource_type}/{each.resource_id}/_history/{each.version_id}"
                )
    return [Touched(compartment, tuple(references)) for compartment, references in shown.items()]


def patients_of(resource_type: str, resource_id: str, resource: dict[str, Any]) -> list[str]:
    """The ids of the patients in whose records a resource lies, the subject first."""
    if resource_type == "Patient":
        return [resource_id]
    if resource_type == "Binary":
        references = [str(resource.get("securityContext", {}).get("reference", ""))]
    else:
        references = patient_references(resource)
        subject = resource.get("subject") or resource.get("patient")
        first = subject.get("reference") if isinstance(subject, dict) else None
        references.sort(key=lambda text: text != first)
    found = []
    for text in references:
        named = parse_reference(local(text, settings().fhir_url))
        if named.type == "Patient" and named.id and named.base is None and named.id not in found:
            found.append(named.id)
    return found


def _named(admitted: Admitted, patient: str) -> str:
    """The element of a resource that refers to a patient, as problems name it; else the resource."""
    place = admitted.label or admitted.resource_type
    rest: list[tuple[str, Any]] = [(place, admitted.resource)]
    while rest:
        path, node = rest.pop()
        if isinstance(node, list):
            rest += [(f"{path}[{number}]", each) for number, each in enumerate(node)]
        elif isinstance(node, dict):
            text = node.get("reference")
            if isinstance(text, str) and local(text, settings().fhir_url) == f"Patient/{patient}":
                return path
            rest += [(f"{path}.{name}", each) for name, each in node.items()]
    return place


def _stamp(admitted: Admitted, now: int, requester: Requester) -> None:
    """Set what the hub decides: id, version, instant, and the source where none is told."""
    resource = admitted.resource
    if resource is None:
        return
    meta = {
        "versionId": str(admitted.version_id),
        "lastUpdated": instant(now),
        "source": f"urn:chasqui:organization:{requester.organization_id}",
    }
    told = {
        name: value
        for name, value in resource.get("meta", {}).items()
        if name not in ("versionId", "lastUpdated")
    }
    rest = {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}
    admitted.resource = {
        "resourceType": admitted.resource_type, "id": admitted.resource_id, "meta": meta | told,
    } | rest  # fmt: skip


def is_same(new: dict[str, Any], text: bytes, requester: Requester) -> bool:
    """Whether a resource says what the stored one says, versions and instants of the hub aside."""
    return _told(new, requester) == _told(parse(text, max_bytes=len(text)), requester)


def _told(resource: dict[str, Any], requester: Requester) -> bytes:
    source = {"source": f"urn:chasqui:organization:{requester.organization_id}"}
    kept = {
        name: value
        for name, value in resource.get("meta", {}).items()
        if name not in ("versionId", "lastUpdated")
    }
    return _ENCODER.encode({**resource, "meta": source | kept})
