"""Who asks: the client behind an access token, its facility, its role, its scopes and its purpose of use.

Spec:    https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
Leaves:  proving it to authentication; what it may see to consent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal, cast, get_args

Role = Literal["system", "clinician", "privacy-officer", "administrator", "auditor", "patient", "operator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""system: a facility's software. clinician: a person who treats, at a facility. privacy-officer: a facility's own events
and emergency cases. administrator: the region's directory, registrations and events. auditor: events alone. patient: the
own record. operator: keeps the hub running, sees neither charts nor events.
"""

Context = Literal["system", "user", "patient"]
"""What a scope is about: whatever the client may reach, what the person who uses it may, or that person's own record."""
CONTEXTS: Final[dict[Context, frozenset[Role]]] = {
    "system": frozenset(ROLES) - {"patient"},
    "user": frozenset({"clinician", "privacy-officer", "administrator", "auditor"}),
    "patient": frozenset({"patient"}),
}
"""Which roles a token of each context may have."""
PERSONAL_ROLES: Final[frozenset[Role]] = frozenset({"clinician", "privacy-officer", "patient"})
"""Roles that only a person has: a token with one of them names its user."""

_SCOPE: Final = re.compile(r"(system|user|patient)/([A-Z][A-Za-z]{1,63}|\*)\.(c?r?u?d?s?)", re.ASCII)
ACTIONS: Final = "cruds"
MAX_SCOPE_LETTERS: Final = 8_000
CURATED_TYPES: Final = frozenset(
    {
        "CodeSystem", "ConceptMap", "ImplementationGuide", "NamingSystem", "SearchParameter", "StructureDefinition",
        "ValueSet",
    }
)  # fmt: skip
"""Types that decide what everybody's searches and checks mean: `*` does not let write them, a scope must name them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One SMART v2 scope: a resource type or `*`, letters out of `cruds`, and whose reach it is about."""

    resource_type: str
    actions: str
    context: Context = "system"

    def __str__(self) -> str:
        return f"{self.context}/{self.resource_type}.{self.actions}"

    def covers(self, resource_type: str, action: str) -> bool:
        """Whether this scope allows the action (one letter of `cruds`) on the type."""
        if self.resource_type == "*" and resource_type in CURATED_TYPES and action in "cud":
            return False
        return action in self.actions and self.resource_type in ("*", resource_type)


def parse_scope(text: str) -> Scope | None:
    """One scope, or None when the text is not exactly SMART v2's form (letters in order, none twice)."""
    match = _SCOPE.fullmatch(text)
    if match is None or not match.group(3):
        return None
    context = cast("Context", match.group(1))
    return Scope(match.group(2), match.group(3), context)


def parse_scopes(text: str) -> tuple[Scope, ...] | None:
    """A token's scopes, or None when any is malformed or stands twice, or when they are of several contexts."""
    scopes = parse_registered_scopes(text)
    return scopes if scopes and len({scope.context for scope in scopes}) == 1 else None


def parse_registered_scopes(text: str) -> tuple[Scope, ...] | None:
    """A registration's scopes, of any contexts, or None when any of them is malformed or stands twice."""
    if len(text) > MAX_SCOPE_LETTERS:
        return None
    scopes = [parse_scope(part) for part in text.split(" ")]
    if None in scopes or len(set(scopes)) != len(scopes):
        return None
    return tuple(scope for scope in scopes if scope is not None)


def custodian_key(organization_id: str) -> int:
    """The number under which rows name their custodian. Facility codes are public: the hash only shortens."""
    return int.from_bytes(blake2b(organization_id.encode(), digest_size=8).digest(), "big", signed=True)


UNKNOWN_PERSON: Final = "person/unknown"
UNKNOWN_ROLE: Final = "role/"
"""What a denial of some person or role means too: whoever does not say who asks might be the one."""


def actor_key(reference: str) -> int:
    """The number under which consent rules name an actor: an organisation's is its custodian key."""
    return custodian_key(reference.removeprefix("Organization/"))


@dataclass(frozen=True, slots=True)
class User:
    """The person for whom a system asks, as the assertion's B2B claims or a sign-in told.

    id         the person's account, unique within the organisation
    role       the functional role at the organisation, a code of the regional policy, such as `physician`
    reference  `Practitioner/[id]`, `Patient/[id]` or `RelatedPerson/[id]`, where the person has one here
    """

    id: str
    name: str = ""
    role: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Requester:
    """The authenticated asker of one request.

    within  the organisations that the facility belongs to, nearest first, as its registration tells them
    requests_per_minute  the registration's own limit; None: as the settings say
    """

    client_id: str
    client_name: str
    organization_id: str
    role: Role
    scopes: tuple[Scope, ...]
    purpose_of_use: str
    id_prefix: str
    token_id: str
    within: tuple[str, ...] = ()
    user: User | None = None
    requests_per_minute: int | None = None

    @property
    def custodian(self) -> int:
        """The key of the requester's facility: what it writes is kept under it."""
        return custodian_key(self.organization_id)

    @property
    def actors(self) -> tuple[int, ...]:
        """Everything that a consent may name to mean this requester: see `actor_key`."""
        named = [f"Organization/{each}" for each in (self.organization_id, *self.within)]
        named.append(f"Device/{self.client_id}")
        reference, role = (self.user.reference, self.user.role) if self.user else ("", "")
        named += [reference or UNKNOWN_PERSON, f"role/{role}" if role else UNKNOWN_ROLE]
        return tuple(actor_key(each) for each in named)

    @property
    def context(self) -> Context:
        """Whose reach the token's scopes are about; a token has one context."""
        return self.scopes[0].context if self.scopes else "system"

    @property
    def sees_charts(self) -> bool:
        """Whether the role is one that treats, or the patient's own."""
        return self.role in ("system", "clinician", "patient")

    def may(self, resource_type: str, action: str) -> bool:
        """Whether the token's scopes allow the action (one letter of `cruds`) on the type."""
        return any(scope.covers(resource_type, action) for scope in self.scopes)

    def readable_types(self) -> frozenset[str] | None:
        """The types that the scopes let the requester see, by reading or by searching; None means all."""
        types = {scope.resource_type for scope in self.scopes if set(scope.actions) & {"r", "s"}}
        return None if "*" in types else frozenset(types)
