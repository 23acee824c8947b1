"""$access-log: the patient's own log in plain Spanish - who, from where, when, why, what kind of information.

Spec:    https://hl7.org/fhir/R4/auditevent.html; Ley 29733, Ley 30024 (Peru); docs/audit.md, "The patient's log".
Leaves:  whose events may be read to consent/decision; words for codes to audit/plain_words; proofs to audit/receipt.

An answer of Parameters, not of AuditEvents: an event holds the request word for word, rules and notes, and a screen would
have to pick from it what a patient may read. Here nothing else stands.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from exchange.audit.access import GRANTED, Access, access_of
from exchange.audit.manifest import MANIFEST_VERSION, shown_in
from exchange.audit.plain_words import LINKS, act_words, kind_words, purpose_words
from exchange.audit.question import BY_RECORDS, Asked, Walk
from exchange.audit.receipt import receipt
from exchange.crypto.envelope import associated_data, open_sealed
from exchange.crypto.page_token import open_token, seal_token
from exchange.fhir.definitions import type_code
from exchange.fhir.resource import dump, load
from exchange.identity.cross_reference import owners
from exchange.interactions.bundle_text import fhir_url
from exchange.interactions.page_binding import holder
from exchange.operations.accesses import period
from exchange.operations.parameters import BOOLEAN, INTEGER, TEXT, Given, parameters, part
from exchange.permit import Permit
from exchange.policy.adopted import policy
from exchange.problems import Denied, Malformed, NotFound, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.data_keys import key_place
from exchange.store.directory import organization_names
from exchange.store.session import Transaction
from exchange.store.versions import Version, array_text, read_current

USUAL_PAGE: Final = 20
LARGEST_PAGE: Final = 50
_AUDIT: Final = type_code("AuditEvent")
_END: Final = 2**62
_KNOWN: Final = {
    "since": TEXT, "until": TEXT, "facility": TEXT, "event": TEXT, "receipt": BOOLEAN, "_count": INTEGER, "_page": TEXT,
}  # fmt: skip
_ROLES: Final = {
    "clinician": "Profesional de salud",
    "privacy-officer": "Oficial de privacidad",
    "administrator": "Administración regional de salud",
    "auditor": "Auditoría",
    "operator": "Operador del sistema",
}
_NOTED_BY_OFFICERS: Final = frozenset({"close-emergency", "judge-signal"})
"""Acts whose events hold what an officer wrote: their receipts prove them without showing them."""

PLACED: Final = "SELECT id::text FROM audit_leaf WHERE id = ANY(%s::uuid[])"
MANIFESTS: Final = """
SELECT id, compartment, manifest FROM audit_event
WHERE id = ANY(%s) AND compartment = ANY(%s::bigint[]) AND manifest IS NOT NULL"""


class AccessLog:
    """GET or POST Patient/[id]/$access-log, by the patient, or by a privacy officer for a patient at the desk.

    Raises: Denied - another role; NotFound - no such patient, or nobody's that the caller may ask about.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.resource_type != "Patient" or not request.resource_id or request.version_id:
            raise NotSupported("$access-log is asked of a Patient", "http.url")
        if requester.role not in ("patient", "privacy-officer"):
            raise Denied(
                "a patient's log is read by the patient, or by a privacy officer for the patient",
                reason="role",
            )
        given = Given(request, _KNOWN)
        self.requester = requester
        self.patient = request.resource_id
        self.given = {name: given.text(name) for name in ("since", "until", "facility", "event")}
        self.since, self.until = period(self.given)
        self.is_receipt = given.flag("receipt")
        if self.is_receipt and not self.given["event"]:
            raise Malformed("a receipt is of one event", "http.event")
        counted = given.one("_count")
        if counted == 0:
            raise Malformed("'_count' is a page's size, from 1 on", "http._count")
        self.count = min(counted or USUAL_PAGE, LARGEST_PAGE)
        self.page = given.text("_page")
        self.need = Need((("AuditEvent", "s"),), patients=((self.patient,),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """One page of accesses, newest first; or one access, with its receipt where that is asked for."""
        # 1. A patient whom the caller may not ask about looks absent.
        require_reached(transaction, permit, self.requester)
        # 2. The events of the records that are known to be of this person.
        if self.given["event"]:
            found, following = [self._one(transaction, permit)], ""
        else:
            found, following = self._page(transaction, permit)
        # 3. In plain words.
        parts = _told(transaction, permit, found)
        if self.is_receipt:
            parts.append(("receipt", "resource", _receipt(transaction, *found[0])))
        if following:
            parts.append(("next", "valueUrl", following))
        answer = parameters(*parts)
        answer.noted = f"own log read: {len(found)} accesses"
        answer.touched = [Touched(each) for each in sorted({version.compartment for version, _ in found})]
        return answer

    def _page(self, transaction: Transaction, permit: Permit) -> tuple[list[tuple[Version, Access]], str]:
        bound: list[Any] = [holder(self.requester), "access-log", self.patient, sorted(self.given.items())]
        since, until, at, name = self.since, self.until or transaction.now + 1, _END, ""
        if self.page:
            since, until, at, name = open_token(transaction.crypto, bound, self.page)
        asked = Asked(facility=self.given["facility"].removeprefix("Organization/"))
        found_by = BY_RECORDS, {"records": array_text(permit.compartments or ()), "type": _AUDIT}
        walk = Walk(transaction, permit, asked, found_by, since, until)
        found = walk.take(self.count, at, name, settings().max_scan_rows)
        if not walk.position:
            return found, ""
        token = seal_token(transaction.crypto, bound, [since, until, *walk.position])
        told = [(key, value) for key, value in self.given.items() if value]
        query = urlencode([*told, ("_count", str(self.count)), ("_page", token)], quote_via=quote)
        return found, f"{fhir_url()}/Patient/{self.patient}/$access-log?{query}"

    def _one(self, transaction: Transaction, permit: Permit) -> tuple[Version, Access]:
        return own_event(transaction, permit, self.given["event"])


def require_reached(transaction: Transaction, permit: Permit, requester: Requester) -> None:
    """Hold a named patient against the caller: one's own records, or a patient of the officer's facility.

    Raises: NotFound.
    """
    records = permit.compartments or ()
    known = owners(transaction, records)
    is_reached = bool(known) if requester.role == "patient" else requester.custodian in known.values()
    if not is_reached:
        raise NotFound("no such Patient")


def own_event(transaction: Transaction, permit: Permit, event_id: str) -> tuple[Version, Access]:
    """An event of the records that were asked for. Raises: NotFound - absent, or of somebody else."""
    version = read_current(transaction, permit, "AuditEvent", event_id.removeprefix("AuditEvent/"))
    if version is None or version.compartment not in (permit.compartments or ()):
        raise NotFound("no such access")
    return version, access_of(load(version.text))


def _told(
    transaction: Transaction, permit: Permit, found: list[tuple[Version, Access]]
) -> list[tuple[str, str, Any]]:
    placed = {row[0] for row in transaction.rows(PLACED, ([version.resource_id for version, _ in found],))}
    kinds = _kinds_shown(transaction, [version for version, access in found if access.outcome == GRANTED])
    facilities = {access.facility.removeprefix("Organization/") for _, access in found} - {""}
    names = organization_names(transaction, permit, facilities)
    return [
        (
            "access", "part",
            _row(access, names, kinds.get(version.resource_id, []), is_placed=version.resource_id in placed),
        )
        for version, access in found
    ]  # fmt: skip


def _row(access: Access, names: dict[str, str], kinds: list[str], *, is_placed: bool) -> list[dict[str, Any]]:
    """One access as a patient reads it; times on the region's clocks."""
    facility = access.facility.removeprefix("Organization/")
    where = names.get(facility) or (f"Establecimiento {facility}" if facility else "")
    who, function = _who(access, where)
    what = kind_words(kinds or ([access.resource_type] if access.resource_type else []))
    is_emergency = "BTG" in access.purpose.split() or access.operation == "open-emergency"
    at = datetime.fromisoformat(access.recorded).astimezone(settings().zone)
    link = LINKS.get(access.act, "")
    outcome = "permitido" if access.outcome == GRANTED else "no permitido"
    asker = f"{who} ({function})" if function else who
    asker += f", de {where}," if where and where not in who else ","
    text = link or " ".join(
        [
            f"{at:%d/%m/%Y %H:%M}:",
            asker,
            act_words(access.act, access.operation) + (f": {what}." if what else "."),
            f"Motivo: {purpose_words(access.purpose)}." if access.purpose else "",
            f"Acceso {outcome}.",
            "EMERGENCIA." if is_emergency else "",
        ]
    )
    return part(
        ("event", "valueId", access.event),
        ("at", "valueInstant", access.recorded),
        ("local-time", "valueString", f"{at:%d/%m/%Y %H:%M}"),
        ("who", "valueString", who),
        ("function", "valueString", function),
        ("where", "valueString", where),
        ("facility", "valueReference", {"reference": access.facility} if access.facility else None),
        ("why", "valueString", purpose_words(access.purpose)),
        ("what", "valueString", what if not link else ""),
        ("outcome", "valueCode", access.outcome),
        ("emergency", "valueBoolean", is_emergency),
        ("kind", "valueCode", access.act if link else access.operation or access.act),
        ("placed", "valueBoolean", is_placed),
        ("text", "valueString", " ".join(text.split())),
    )


def _who(access: Access, where: str) -> tuple[str, str]:
    """Who it was as the institution told it, and the person's function; a system by whose it is."""
    roles = access.role.split()
    if "patient" in roles:
        return "Usted, o quien lo representa", ""
    if access.user:
        chosen = policy().users
        function = next((chosen[each].display_es for each in roles if each in chosen), "")
        return access.user_name or access.user, function or _ROLES.get(roles[0] if roles else "", "")
    if access.facility:
        return f"El sistema informático de {where}", ""
    return ("El operador del sistema" if access.operation == "operate" else "El sistema regional"), ""


def _kinds_shown(transaction: Transaction, versions: list[Version]) -> dict[str, list[str]]:
    """The kinds of resources in the lists that were sealed beside events."""
    compartments = sorted({each.compartment for each in versions})
    rows = transaction.rows(MANIFESTS, ([each.resource_id for each in versions], compartments))
    ciphers = transaction.store.data_keys.ciphers(transaction, compartments)
    found = {}
    for event_id, compartment, sealed in rows:
        bound_to = associated_data(compartment, _AUDIT, event_id, MANIFEST_VERSION)
        shown = shown_in(
            open_sealed(
                ciphers[key_place(compartment)], transaction.crypto.dictionaries, bytes(sealed), bound_to
            )
        )
        found[event_id] = [each.partition("/")[0] for each in shown]
    return found


def _receipt(transaction: Transaction, version: Version, access: Access) -> dict[str, Any]:
    is_shown = access.operation not in _NOTED_BY_OFFICERS
    made = receipt(transaction, version.compartment, version.resource_id, is_shown=is_shown)
    return {
        "resourceType": "Binary",
        "contentType": "application/json",
        "data": b64encode(dump(made)).decode(),
    }
