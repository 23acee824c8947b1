"""Pages that stand still while others write: what has changed since the first page keeps the place that it had then.

Spec:    https://hl7.org/fhir/R4/http.html#paging; docs/decisions/0009-two-kinds-of-search.md, 11.
Leaves:  orders to order; what matches to matches.

A page token carries the snapshot that the first page was read in. A later page reads what that snapshot saw; of what
was changed since, the version that it saw says where a resource stands, and the current one is shown - if it matches.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from exchange.fhir.definitions import type_code
from exchange.permit import Permit
from exchange.store.session import Transaction
from exchange.store.transaction_numbers import SNAPSHOT
from exchange.store.versions import COLUMNS, Version, opened_for
from exchange.store.visibility import visible

NOW: Final = f"SELECT {SNAPSHOT}"
SEEN: Final = f"({NOW}) AS seen"
_IN: Final = "pg_visible_in_snapshot(r.transaction::text::xid8, %(seen)s::pg_snapshot)"
UNCHANGED: Final = f"(r.transaction < %(seen_from)s::bigint OR {_IN})"
CHANGED: Final = f"(r.version_id > 1 AND r.transaction >= %(seen_from)s::bigint AND NOT {_IN})"

# The newest version that the snapshot saw; a resource that was deleted then, or hidden, was not on any page.
THEN: Final = f"""
SELECT {COLUMNS} FROM (
  SELECT DISTINCT ON (r.id) r.* FROM resource_history r
  WHERE r.id = ANY(%(changed)s::text[]) AND r.type = %(type)s AND {UNCHANGED}
  ORDER BY r.id, r.version_id DESC) r
WHERE NOT r.is_deleted AND """  # noqa: S608 - constants only


def named(seen: str) -> dict[str, Any]:
    """The parameters of a snapshot: it saw every transaction before its first number, and of the later ones some."""
    return {"seen": seen, "seen_from": int(seen.partition(":")[0])}


def versions_then(
    transaction: Transaction, permit: Permit, resource_type: str, seen: str, ids: Collection[str]
) -> dict[str, Version]:
    """The versions that a snapshot saw of resources that have changed since, by their ids."""
    if not ids:
        return {}
    where, parameters = visible(permit, "resource_history")
    parameters |= named(seen) | {"changed": sorted(ids), "type": type_code(resource_type)}
    found = opened_for(transaction, permit, transaction.rows(THEN + where, parameters))
    return {each.resource_id: each for each in found}
