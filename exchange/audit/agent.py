"""The number under which events name who asked: the person where one is known, else the client.

Spec:    docs/decisions/0012-audit-log.md.
Leaves:  writing it to log; asking by it to operations/accesses.
"""

from __future__ import annotations

from exchange.crypto.blind_index import BlindIndex
from exchange.requester import Requester


def agent_key(blind: BlindIndex, requester: Requester | None) -> int:
    """Who asked; 0 for nobody known."""
    if requester is None:
        return 0
    if requester.user is None:
        return client_key(blind, requester.client_id)
    return user_key(blind, requester.organization_id, requester.user.id)


def client_key(blind: BlindIndex, client_id: str) -> int:
    """A system that asked for itself."""
    return blind.value(f"agent|client|{client_id}")


def user_key(blind: BlindIndex, organization_id: str, user_id: str) -> int:
    """A person of an organisation, by whichever of its systems."""
    return blind.value(f"agent|user|{organization_id}|{user_id}")
