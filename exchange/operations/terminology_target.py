"""The code system or value set that a terminology operation is about: by id, by URL, or posted with the call.

Spec:    https://hl7.org/fhir/R4/terminology-service.html
Leaves:  what they contain to terminology.
"""

from __future__ import annotations

from typing import Any

from exchange.fhir.validate import check
from exchange.permit import Permit
from exchange.problems import Malformed, NotFound
from exchange.store.session import Transaction
from exchange.store.versions import read_current
from exchange.terminology.code_system import find_system, system_of_resource
from exchange.terminology.concept import CodeSystem
from exchange.terminology.value_set import Rules, find_rules, rules_of_resource


def code_system_of(
    transaction: Transaction, permit: Permit, resource_id: str, url: str, version: str,
    posted: dict[str, Any] | None = None,
) -> CodeSystem:  # fmt: skip
    """The code system that a call names. Raises: NotFound - there is none; Malformed - what was posted is none."""
    if posted is not None:
        return system_of_resource(valid(posted, "CodeSystem"))
    if resource_id:
        return system_of_resource(stored(transaction, permit, "CodeSystem", resource_id))
    system = find_system(transaction, url, version)
    if system is None:
        raise NotFound("the code system is not known here", "http.system")
    return system


def rules_of(
    transaction: Transaction, permit: Permit, resource_id: str, url: str, version: str,
    posted: dict[str, Any] | None = None,
) -> tuple[Rules, str, dict[str, Any]]:  # fmt: skip
    """The value set that a call names: its rules, the canonical by which it may be remembered, its resource if any.

    Raises: NotFound - there is none; Malformed - what was posted is no ValueSet, or nothing is named.
    """
    if posted is not None:
        resource = valid(posted, "ValueSet")
        return rules_of_resource(resource), "", resource
    if resource_id:
        resource = stored(transaction, permit, "ValueSet", resource_id)
        return rules_of_resource(resource), f"ValueSet/{resource_id}", resource
    if not url:
        raise Malformed("name a value set by url, or give it", "http.url", code="required")
    canonical = f"{url}|{version}" if version and "|" not in url else url
    rules = find_rules(transaction, canonical)
    if rules is None:
        raise NotFound("the value set is not known here", "http.url")
    return rules, canonical, {}


def stored(transaction: Transaction, permit: Permit, resource_type: str, resource_id: str) -> dict[str, Any]:
    """A stored resource. Raises: NotFound - absent, deleted, or out of reach."""
    version = read_current(transaction, permit, resource_type, resource_id)
    if version is None or version.is_deleted or not permit.reads(resource_type):
        raise NotFound(f"no such {resource_type}")
    return version.parsed()


def valid(posted: dict[str, Any], resource_type: str) -> dict[str, Any]:
    """A posted resource of the expected type. Raises: Malformed."""
    if posted.get("resourceType") != resource_type:
        raise Malformed(f"the body is no {resource_type}", "resourceType")
    issues = check(posted)
    if issues:
        raise Malformed.of(issues)
    return posted
