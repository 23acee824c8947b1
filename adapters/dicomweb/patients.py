"""The patient of a study as Patient: numbers by who gave them, two surnames, names in other scripts beside.

Spec:    DICOM PS3.3, C.7.1.1 and C.2.2; PS3.5, 6.2.1 (person names); national guide PacientePe.
Leaves:  matching one person's records to the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.dicomweb.archive import Archive
from adapters.dicomweb.model import Attributes, PersonGroups
from adapters.settings.identifiers import identifier_kind
from adapters.source_record import Refusal, Resource
from adapters.source_record.moment import as_date, compact_moment
from adapters.source_record.person import (
    PersonIdentifier,
    PersonName,
    human_name,
    is_dni,
    is_document_missing,
    patient,
    person_name,
    split_surnames,
)

PATIENT_TAGS: Final = ("00100010", "00100020", "00100021", "00100024", "00100030", "00100040", "00101002")
_SEXES: Final = {"M": "male", "F": "female", "O": "other"}
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS: Final = {"Ideographic": "IDE", "Phonetic": "SYL"}


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a study is of: the key under which this site knows them, and the resource."""

    key: str
    resource: Resource


def read_person(archive: Archive, found: Attributes) -> Person:
    """The patient of a data set.

    1. A study without a patient's number is nobody's who can be told from others.
    2. Each number is what the site's rules say of who gave it.
    Raises: Refusal - identity.
    """
    # 1.
    number = found.text("00100020")
    if is_document_missing(number) or not number:
        text = (
            "El estudio no tiene número de paciente (PatientID): no se envía hasta identificarlo en el PACS."
        )
        raise Refusal("identity", "A-612", text, location="00100020")
    # 2.
    identifiers = [each for item in (found, *found.items("00101002")) if (each := _identifier(archive, item))]
    if not identifiers:
        text = "Las reglas [[identifier]] descartan todos los números del paciente: revíselas."
        raise Refusal("identity", "A-612", text, location="00100020")
    identifiers = list(dict.fromkeys(identifiers))
    main = identifiers[0]
    groups = found.person("00100010")
    birth = compact_moment(plain_date(found.text("00100030")), archive.zone)
    resource = patient(
        archive.origin,
        key := f"paciente|{main.kind}|{main.value}",
        identifiers,
        _name(groups.get("Alphabetic", ())),
        _SEXES.get(found.text("00100040").upper()),
        as_date(birth),
    )
    if others := _other_scripts(groups):
        resource["name"] = [*resource.get("name", []), *others]
    return Person(key, resource)


def plain_date(text: str) -> str:
    """A date without the marks that old systems put between its parts."""
    return text.replace(".", "").replace("-", "")


def shown_name(groups: PersonGroups) -> str:
    """A person's name in one line, as it is read aloud."""
    parts = next(iter(groups.values()), ())
    if not parts:
        return ""
    family, given, middle, prefix, suffix = parts
    return " ".join(part for part in (prefix, given, middle, family, suffix) if part)


def _identifier(archive: Archive, item: Attributes) -> PersonIdentifier | None:
    value = item.text("00100020")
    if not value or is_document_missing(value):
        return None
    qualifier = next(iter(item.items("00100024")), Attributes({}))
    issuer = item.text("00100021") or qualifier.text("00400032")
    kind, system = identifier_kind(archive.rules, issuer, qualifier.text("00400035"))
    if kind == "ignore":
        return None
    if kind == "dni" and not is_dni(value):
        kind, system = "documento-sin-validar", None
    return PersonIdentifier(kind, value, system)


def _name(parts: tuple[str, ...]) -> PersonName:
    if not parts:
        return PersonName()
    family, given, middle = parts[:3]
    paternal, maternal = split_surnames(family)
    return person_name(paternal, maternal, [given, middle])


def _other_scripts(groups: PersonGroups) -> list[Resource]:
    """Names in other scripts, each said to be one."""
    found = []
    for group, code in _GROUPS.items():
        if parts := groups.get(group):
            name = human_name(PersonName(paternal=parts[0], given=tuple(each for each in parts[1:3] if each)))
            name.pop("use")
            found.append({"extension": [{"url": _REPRESENTATION, "valueCode": code}], **name})
    return found
