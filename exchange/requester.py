"""Who asks: the client behind an access token, its facility, its role, its scopes and its purpose of use.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
Leaves:  proving it to authentication; what it may see to consent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

Role = Literal["system", "administrator"]
ROLES: Final[tuple[Role, ...]] = ("system", "administrator")

_SCOPE: Final = re.compile(r"system/([A-Z][A-Za-z]{1,63}|\*)\.(c?r?u?d?s?)", re.ASCII)
ACTIONS: Final = "cruds"
CURATED_TYPES: Final = frozenset(
    {
        "CodeSystem", "ConceptMap", "ImplementationGuide", "NamingSystem", "SearchParameter", "StructureDefinition",
        "ValueSet",
    }
)  # fmt: skip
"""Types that decide what everybody's searches and checks mean: `*` does not let write them, a scope must name them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One SMART v2 scope of a backend service: a resource type or `*`, and letters out of `cruds`."""

    resource_type: str
    actions: str

    def __str__(self) -> str:
        return f"system/{self.resource_type}.{self.actions}"

    def covers(self, resource_type: str, action: str) -> bool:
        """Whether this scope allows the action (one letter of `cruds`) on the type."""
        if self.resource_type == "*" and resource_type in CURATED_TYPES and action in "cud":
            return False
        return action in self.actions and self.resource_type in ("*", resource_type)


def parse_scope(text: str) -> Scope | None:
    """One scope, or None when the text is not exactly SMART v2's form (letters in order, none twice)."""
    match = _SCOPE.fullmatch(text)
    if match is None or not match.group(2):
        return None
    return Scope(match.group(1), match.group(2))


def parse_scopes(text: str) -> tuple[Scope, ...] | None:
    """A space-separated list of scopes, or None when any of them is malformed or stands twice."""
    scopes = [parse_scope(part) for part in text.split(" ")]
    if not scopes or None in scopes or len(set(scopes)) != len(scopes):
        return None
    return tuple(scope for scope in scopes if scope is not None)


def custodian_key(organization_id: str) -> int:
    """The number under which rows name their custodian. Facility codes are public: the hash only shortens."""
    return int.from_bytes(blake2b(organization_id.encode(), digest_size=8).digest(), "big", signed=True)


@dataclass(frozen=True, slots=True)
class Requester:
    """The authenticated asker of one request."""

    client_id: str
    client_name: str
    organization_id: str
    role: Role
    scopes: tuple[Scope, ...]
    purpose_of_use: str
    id_prefix: str
    token_id: str

    @property
    def custodian(self) -> int:
        """The key of the requester's facility: what it writes is kept under it."""
        return custodian_key(self.organization_id)

    def may(self, resource_type: str, action: str) -> bool:
        """Whether the token's scopes allow the action (one letter of `cruds`) on the type."""
        return any(scope.covers(resource_type, action) for scope in self.scopes)

    def readable_types(self) -> frozenset[str] | None:
        """The types that the scopes let the requester see, by reading or by searching; None means all."""
        types = {scope.resource_type for scope in self.scopes if set(scope.actions) & {"r", "s"}}
        return None if "*" in types else frozenset(types)
