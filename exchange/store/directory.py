"""The names of organisations, as the region's directory tells them.

Spec:    https://hl7.org/fhir/R4/organization.html
Leaves:  which organisation is meant to the caller.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from exchange.fhir.definitions import type_code
from exchange.fhir.resource import load
from exchange.permit import Permit
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, opened_for
from exchange.store.visibility import in_directory

NAMED: Final = """
SELECT {columns} FROM resource r WHERE r.id = ANY(%(ids)s) AND r.type = %(type)s AND NOT r.is_deleted AND {visible}"""


def organization_names(
    transaction: Transaction, permit: Permit, organization_ids: Collection[str]
) -> dict[str, str]:
    """The name of each Organization that has one here."""
    if not organization_ids or not permit.reads("Organization"):
        return {}
    where, told = in_directory()
    told |= {"ids": sorted(organization_ids), "type": type_code("Organization")}
    rows = transaction.rows(NAMED.format(columns=COLUMNS, visible=where), told)
    found = {each.resource_id: load(each.text) for each in opened_for(transaction, permit, rows)}
    return {name: str(each["name"]) for name, each in found.items() if each.get("name")}
