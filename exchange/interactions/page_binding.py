"""Whom a page token is for: it opens for nobody else, and for nothing decided by another policy.

Spec:    https://hl7.org/fhir/R4/http.html#paging
Leaves:  sealing to crypto/page_token; deciding each page anew to the spine - a token proves nothing.
"""

from __future__ import annotations

from exchange.policy.adopted import policy
from exchange.requester import Requester


def holder(requester: Requester) -> str:
    """The system, facility, person, role and purpose of use that asked, and the policy's version."""
    user = requester.user.id if requester.user else ""
    who = [requester.client_id, requester.organization_id, user, requester.role, requester.purpose_of_use]
    return "\n".join([*who, policy().digest])
