"""Who a message is about: PID-3 by the site's rules, two surnames, mother, birth order, and merges.

Spec:    HL7 v2.5.1, 3.4.2 (PID), 3.4.10 (MRG), 2.A.88 (XPN); national guide PacientePe.
Leaves:  what an identifier means elsewhere to the hub's identity rooms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from adapters.code_map import CodeMap
from adapters.hl7v2.message import Field, Message, Segment, header_of
from adapters.settings import IdentifierRule, identifier_kind
from adapters.settings.messages import NO_RULES, MessageSettings
from adapters.source_record import Origin, Refusal, Resource
from adapters.source_record.moment import as_date, compact_moment
from adapters.source_record.person import (
    DOCUMENT_KINDS,
    PersonIdentifier,
    PersonName,
    clean_name,
    is_dni,
    is_document_missing,
    mother_contact,
    patient,
    person_name,
    split_surnames,
)

if TYPE_CHECKING:
    from adapters.secondary.gather import Gathered

_GENDERS: Final = {
    "M": "male", "F": "female", "U": "unknown", "O": "other", "A": "other", "N": "unknown",
    "MALE": "male", "FEMALE": "female", "MASCULINO": "male", "FEMENINO": "female",
}  # fmt: skip
_GROWN_YEARS: Final = 18
_TELECOM_USE: Final = {13: "home", 14: "work"}


@dataclass(frozen=True, slots=True)
class Hospital:
    """A site whose systems speak HL7 v2."""

    origin: Origin
    zone: ZoneInfo
    codes: CodeMap
    rules: tuple[IdentifierRule, ...] = ()
    surname_order: str = "given"
    messages: MessageSettings = NO_RULES
    charset: str = ""
    is_known_sender: bool = True

    def of_sender(self, raw: bytes) -> Hospital:
        """What holds for the one who sent these bytes: its own rules before the site's."""
        head = header_of(raw)
        rule = self.messages.rule_of(head.text(3), head.text(4)) if head else None
        charset = self.messages.charset
        if rule is None:
            is_known = head is None or not self.messages.refuses_unknown
            return replace(self, charset=charset, is_known_sender=is_known)
        return replace(
            self,
            rules=(*rule.identifier_rules, *self.rules),
            surname_order=rule.surname_order or self.surname_order,
            charset=charset if rule.charset is None else rule.charset,
        )


@dataclass(frozen=True, slots=True)
class Person:
    """The patient of a message: the key under which this site knows them, and the resource."""

    key: str
    resource: Resource


def person(hospital: Hospital, message: Message) -> Person:
    """The patient of a message.

    Raises: Refusal - of class identity: no PID, or no identifier in it.
    """
    pid = message.first("PID")
    if pid is None:
        text = "El mensaje no trae segmento PID: no se sabe de qué paciente es."
        raise Refusal("identity", "A-231", text, location="PID^1")
    birth = as_date(compact_moment(pid.text(7), hospital.zone))
    identifiers = _identifiers(hospital, pid.repetitions(3))
    mothers = _identifiers(hospital, pid.repetitions(21))
    if _is_grown(birth, message):
        mothers = [item for item in mothers if item not in identifiers]  # a field filled twice
    own = [item for item in identifiers if item not in mothers]
    key = _patient_key(own)
    if key is None and (mothers_key := _patient_key(identifiers)):
        key = _child_key(mothers_key, pid, birth)
    if key is None:
        text = "El paciente no tiene ningún identificador en PID-3. Complete la historia clínica o el DNI."
        raise Refusal("identity", "A-232", text, location="PID^1^3")
    name = _name(hospital, pid.field(5))
    resource = patient(hospital.origin, key, own, name, _GENDERS.get(pid.text(8).upper()), birth)
    managing = resource.pop("managingOrganization")
    _add_particulars(hospital, resource, pid, mothers)
    resource["managingOrganization"] = managing
    return Person(key, resource)


def merge(gathered: Gathered, message: Message) -> str:
    """A40 and its elders: the old record points to the one that stays.

    Raises: Refusal - MRG names no identifier, or the same as PID.
    """
    hospital, who = gathered.hospital, gathered.who
    segment = message.first("MRG")
    identifiers = _identifiers(hospital, segment.repetitions(1)) if segment else []
    old_key = _patient_key(identifiers)
    if segment is None or old_key is None or old_key == who.key:
        text = "La fusión no dice en MRG-1 qué historia deja de usarse, o es la misma que en PID-3."
        raise Refusal("identity", "A-233", text, location="MRG^1^1", parks=True)
    survivor = dict(who.resource)
    survivor["link"] = [{"other": hospital.origin.reference("Patient", old_key), "type": "replaces"}]
    name = _name(hospital, segment.field(7))
    old = patient(hospital.origin, old_key, identifiers, name, None, None)
    old["active"] = False
    old["link"] = [{"other": hospital.origin.reference("Patient", who.key), "type": "replaced-by"}]
    gathered.add(survivor, only_if_absent="name" not in survivor)
    gathered.add(old)
    return old_key


def _identifiers(hospital: Hospital, repetitions: list[Field]) -> list[PersonIdentifier]:
    """What PID-3 or MRG-1 says, by the site's rules; placeholders are no identifiers."""
    found: list[PersonIdentifier] = []
    for item in repetitions:
        value = item.component(1)
        kind, system = identifier_kind(hospital.rules, item.component(4), item.component(5))
        if not value or is_document_missing(value) or kind == "ignore":
            continue
        if kind == "dni" and not is_dni(value):
            kind, system = "documento-sin-validar", None
        entry = PersonIdentifier(kind, value, system)
        if entry not in found:
            found.append(entry)
    return found


def _patient_key(identifiers: list[PersonIdentifier]) -> str | None:
    """The key of a patient here: the hospital's own number before documents, documents before the rest."""

    def rank(item: PersonIdentifier) -> int:
        if item.kind == "hc" or item.kind.startswith("hc-"):
            return 0
        return 1 + DOCUMENT_KINDS.index(item.kind) if item.kind in DOCUMENT_KINDS else 99

    best = min(identifiers, key=rank, default=None)
    return f"{best.kind}|{best.value}" if best else None


def _child_key(mothers_key: str, pid: Segment, birth: str | None) -> str:
    """The key of a newborn who is filed by the mother's document: hers, the birth, and the order of it.

    Raises: Refusal - it could be another child of hers.
    """
    order = pid.text(25).lstrip("0") or ("" if pid.text(24).upper() in {"Y", "S"} else "1")
    if birth is None or not order:
        text = (
            "El recién nacido solo trae el documento de su madre, sin fecha de nacimiento u orden (PID-7, PID-25):"
            " podría ser otro hijo. Complete esos datos o dele su propia historia clínica."
        )
        raise Refusal("identity", "A-234", text, location="PID^1^3")
    return f"hijo|{mothers_key}|{birth}|{order}"


def _is_grown(birth: str | None, message: Message) -> bool:
    """Whether a person was no child any more in the year of the message."""
    year = message.header.text(7)[:4]
    return birth is not None and year.isdigit() and int(year) - int(birth[:4]) > _GROWN_YEARS


def _name(hospital: Hospital, source: Field) -> PersonName:
    """A name out of XPN: `GARCIA&PEREZ^JUAN`, `GARCIA PEREZ^JUAN^CARLOS`, or PID-5.3 as maternal surname."""
    surnames = [clean_name(part) for part in source.subcomponents(1)]
    surnames = [part for part in surnames if part]
    given, third = source.component(2), source.component(3)
    if hospital.surname_order == "maternal" and len(surnames) <= 1:
        return person_name(surnames[0] if surnames else "", third, given)
    if len(surnames) > 1:
        return person_name(surnames[0], surnames[1], [given, third], *surnames[2:3])
    paternal, maternal = split_surnames(surnames[0]) if surnames else ("", "")
    return person_name(paternal, maternal, [given, third])


def _add_particulars(
    hospital: Hospital, resource: Resource, pid: Segment, mothers: list[PersonIdentifier]
) -> None:
    """Telephone, address, death, birth order and mother, as far as they are told."""
    telecom = [
        {"system": "phone", "value": number, "use": use}
        for field_number, use in _TELECOM_USE.items()
        for item in pid.repetitions(field_number)
        if (number := item.component(1) or "".join(item.component(part) for part in (6, 7)))
    ]
    if telecom:
        resource["telecom"] = telecom
    if died := compact_moment(pid.text(29), hospital.zone):
        resource["deceasedDateTime"] = died
    elif pid.text(30).upper() == "Y":
        resource["deceasedBoolean"] = True
    addresses = [address for item in pid.repetitions(11) if (address := _address(item))]
    if addresses:
        resource["address"] = addresses
    order = pid.text(25)
    if order.isdigit() and 0 < int(order) <= 20:  # noqa: PLR2004 - more children at one birth is a typing error
        resource["multipleBirthInteger"] = int(order)
    elif pid.text(24).upper() in {"Y", "S", "N"}:
        resource["multipleBirthBoolean"] = pid.text(24).upper() != "N"
    mother = _name(hospital, pid.field(6))
    if mothers or not mother.is_missing:
        resource["contact"] = [mother_contact(hospital.origin, mother, mothers)]


def _address(item: Field) -> Resource:
    address: Resource = {}
    lines = [line for line in (item.component(1), item.component(2)) if line]
    if lines:
        address["line"] = lines
    for name, number in (("city", 3), ("state", 4), ("postalCode", 5), ("country", 6)):
        if text := item.component(number):
            address[name] = text
    return address
