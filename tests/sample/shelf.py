"""Putting resources into a store without a door: admitted, placed, indexed, sealed - not decided, not audited."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from exchange.consent.rules_store import record_rules
from exchange.interactions import admission
from exchange.interactions.admission import Admitted
from exchange.request import Written
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.store.versions import occupied


def put(transaction: Transaction, requester: Requester, *resources: dict[str, Any]) -> Sequence[Written]:
    """Store new versions of resources as a facility's own, each under the id that it has."""
    keys = [(each["resourceType"], each["id"]) for each in resources]
    standing = occupied(transaction, keys)
    admitted = []
    for key, each in zip(keys, resources, strict=True):
        found = standing.get(key)
        version_id = found.version_id + 1 if found else 1
        admitted.append(Admitted(*key, deepcopy(each), found, version_id))
    admission.place(transaction, requester, admitted)
    written = admission.store(transaction, requester, admitted)
    record_rules(transaction, requester, written)
    return written
