"""For whom and why a system asks: what its assertion says of a user, held against the client's registration.

Spec:    https://hl7.org/fhir/us/udap-security/STU1/b2b.html#b2b-authorization-extension-object;
         https://profiles.ihe.net/ITI/IUA/index.html#3714221-json-web-token-option
Leaves:  the assertion to assertion; people who prove themselves to sign_in.

The hub does not know these users: the client vouches for them, and the registration bounds what it can vouch for. Each
claim is there once, in one of the two forms, or the assertion is refused; none is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from exchange.authentication.registration import Client
from exchange.requester import CONTEXTS, PERSONAL_ROLES, Context, Role, User
from exchange.settings import settings

ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT_REASON_OID: Final = "urn:oid:2.16.840.1.113883.5.8"
FUNCTIONAL_ROLE: Final = "urn:chasqui:functional-role"
"""The system of functional roles in a claim; a bare code means the same."""
MAX_CLAIM_LETTERS: Final = 200
_B2B: Final = frozenset(
    {"version", "subject_name", "subject_id", "subject_role", "organization_name", "organization_id", "purpose_of_use",
     "consent_policy", "consent_reference"}
)  # fmt: skip
_IUA: Final = frozenset(
    {"subject_name", "subject_organization", "subject_organization_id", "subject_role", "purpose_of_use",
     "national_provider_identifier", "person_id"}
)  # fmt: skip


class RefusedContext(Exception):  # noqa: N818 - a refusal is a value with a reason
    """A claim that is malformed, or more than the registration allows. `reason` is for the audit log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class UserContext:
    """Who asks through a client, where, in which role, and what for."""

    organization_id: str
    within: tuple[str, ...]
    role: Role
    purpose_of_use: str
    user: User | None


def user_context(client: Client, claims: Mapping[str, Any], context: Context) -> UserContext:
    """What an assertion says of its user, for scopes of a context. Raises: RefusedContext."""
    # 1. One form of the claims, or none.
    told = _told(claims.get("extensions", {}))
    # 2. The organisation: the client's own, or one that it is registered for.
    organization_id = _organization(told.get("organization_id")) or client.organization_id
    within = client.within_of(organization_id)
    if within is None:
        raise RefusedContext("organisation")
    # 3. The purpose: one, and registered.
    purpose = _purpose(client, told)
    # 4. The user, with a registered functional role or none.
    user = _user(client, told)
    # 5. The role that the client asks in.
    return UserContext(
        organization_id, within, _role(client, context, has_user=user is not None), purpose, user
    )


def may_hold(client: Client, held: UserContext, context: Context) -> bool:
    """Whether a registration still allows what a token was issued for."""
    user = held.user
    return (
        client.within_of(held.organization_id) == held.within
        and held.role in client.roles
        and held.role in CONTEXTS[context]
        and held.purpose_of_use in client.purposes
        and (user is None or not user.role or user.role in client.user_roles)
    )


def _told(extensions: object) -> dict[str, Any]:
    """The claims under one set of names, whichever form they came in."""
    if not isinstance(extensions, dict):
        raise RefusedContext("extensions")
    forms = [name for name in ("hl7-b2b", "ihe_iua") if name in extensions]
    if not forms:
        return {}
    form = extensions[forms[0]]
    if len(forms) > 1 or not isinstance(form, dict):
        raise RefusedContext("extensions")
    form = {str(name): value for name, value in form.items()}
    is_b2b = forms[0] == "hl7-b2b"
    # A claim that nobody here reads may have been meant to narrow what is asked.
    if not form.keys() <= (_B2B if is_b2b else _IUA):
        raise RefusedContext("unknown claim")
    if is_b2b:
        if form.get("version") != "1":
            raise RefusedContext("version")
        return form
    renamed = {"subject_organization_id": "organization_id", "subject_organization": "organization_name"}
    told: dict[str, Any] = {renamed.get(name, name): value for name, value in form.items()}
    own = [told.pop(name) for name in ("national_provider_identifier", "person_id") if name in told]
    return told | ({"subject_id": own[0]} if own else {})


def _organization(claim: object) -> str:
    text = _text(_only(claim), "organisation") if claim is not None else ""
    place = f"{settings().fhir_url}/Organization/"
    return text.removeprefix(place).removeprefix("Organization/")


def _purpose(client: Client, told: Mapping[str, Any]) -> str:
    if "purpose_of_use" not in told:
        return client.purposes[0]
    system, code = _coded(told["purpose_of_use"], "purpose of use")
    if system not in (ACT_REASON, ACT_REASON_OID) or code not in client.purposes:
        raise RefusedContext("purpose of use")
    return code


def _user(client: Client, told: Mapping[str, Any]) -> User | None:
    if not told.keys() & {"subject_id", "subject_name", "subject_role"}:
        return None
    user_id = _text(told.get("subject_id"), "user")
    name = _text(told["subject_name"], "user's name") if "subject_name" in told else ""
    role = ""
    if "subject_role" in told:
        system, role = _coded(told["subject_role"], "user's role")
        if system not in ("", FUNCTIONAL_ROLE) or role not in client.user_roles:
            raise RefusedContext("user's role")
    # A client names Practitioners of its own making only: a consent may open a record to somebody else's.
    own = user_id.startswith(f"Practitioner/{client.id_prefix}")
    return User(user_id, name, role, user_id if own else "")


def _role(client: Client, context: Context, *, has_user: bool) -> Role:
    """The first of the client's roles that fits: a person's where a user is named, else one that needs none."""
    fitting = [each for each in client.roles if each in CONTEXTS[context] and each != "patient"]
    personal = [each for each in fitting if each in CONTEXTS["user"]]
    alone = [each for each in fitting if each not in PERSONAL_ROLES]
    usable = alone if context == "system" else []
    chosen = (personal or usable) if has_user else usable
    if not chosen:
        raise RefusedContext("role")
    return chosen[0]


def _only(claim: object) -> object:
    if isinstance(claim, list):
        if len(claim) != 1:
            raise RefusedContext("several values")
        return claim[0]
    return claim


def _coded(claim: object, name: str) -> tuple[str, str]:
    """A code and its system, as `system#code`, as `{system, code}` or alone; in a list of one or by itself."""
    if name == "purpose of use" and not isinstance(claim, list):
        raise RefusedContext(name)
    value = _only(claim)
    if isinstance(value, dict):
        if not {"code"} <= value.keys() <= {"system", "code", "display"}:
            raise RefusedContext(name)
        return _text(value.get("system", "-"), name).removeprefix("-"), _text(value["code"], name)
    system, _, code = _text(value, name).rpartition("#")
    return system, code


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CLAIM_LETTERS or not value.isprintable():
        raise RefusedContext(name)
    if value != value.strip():
        raise RefusedContext(name)
    return value
