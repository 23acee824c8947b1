"""A person as Peru writes one: documents with their type and country, two surnames, missing values left out.

Spec:    national guide PacientePe (draft 0.1); https://hl7.org/fhir/R4/patient.html.
Leaves:  matching one person's records to the hub's identity rooms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.source_record import Origin, Resource
from exchange.fhir import peru

MOTHER_IDENTIFIER_EXTENSION: Final = "urn:chasqui:pe:mother-identifier"
_ROLE_CODES: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_UNKNOWN: Final = {
    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
    "valueCode": "unknown",
}
_ID_TYPE_V2: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"

HISTORY_WORDS: Final = "Historia clínica"
# kind → (system, IdspersonaPeru code, v2-0203 code, text)
_DOCUMENTS: Final[dict[str, tuple[str, str | None, str | None, str]]] = {
    "dni": (peru.DNI_SYSTEM, "1", "NI", "DNI"),
    "ce": (peru.CE_SYSTEM, "2", None, "Carné de extranjería"),
    "passport": (peru.PASSPORT_SYSTEM, "3", "PPN", "Pasaporte"),
    "die": (peru.DIE_SYSTEM, None, None, "Documento de identidad extranjero"),
    "cnv": (peru.CNV_SYSTEM, None, "BCT", "Certificado de nacido vivo"),
}
DOCUMENT_KINDS: Final = tuple(_DOCUMENTS)
_ISSUED_IN_PERU: Final = frozenset({"dni", "ce", "cnv"})
UNCHECKED: Final = "documento-sin-validar"
"""The kind of a document that has not the form of what it is said to be: nobody is known by it."""
_NO_NAME: Final = frozenset(
    {
        "RN", "R.N", "R.N.", "NN", "N.N", "N.N.", "NNN", "BB", "XX", "XXX", "S/N", "SN", "-", ".", "0",
        "NINGUNO", "NINGUNA", "DESCONOCIDO", "DESCONOCIDA", "RECIEN NACIDO", "RECIEN NACIDA",
        "RECIÉN NACIDO", "RECIÉN NACIDA", "SIN NOMBRE", "SIN APELLIDO", "SIN DATOS",
        "NO IDENTIFICADO", "NO IDENTIFICADA",
    }
)  # fmt: skip
_NO_DOCUMENT: Final = re.compile(r"^(0*|9{8,}|S/?[DN]|SIN ?DOC.*|NO ?TIENE|-+|\.+|1{8}|X+)$", re.IGNORECASE)
_UBIGEO: Final = re.compile(
    r"^(0[1-9]|1\d|2[0-5])\d{4}$", re.ASCII
)  # 25 departments; RENIEC counts countries above
_DNI: Final = re.compile(r"^\d{8}$", re.ASCII)
_PARTICLES: Final = frozenset(
    {"DE", "DEL", "LA", "LAS", "LOS", "EL", "Y", "VDA", "VIUDA", "SAN", "SANTA", "DA", "DI", "VON", "VAN"}
)


@dataclass(frozen=True, slots=True)
class PersonIdentifier:
    """A document or a local number; `system` replaces the kind's own where the site's settings say so."""

    kind: str
    value: str
    system: str | None = None
    country: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name with its surnames apart: paternal, maternal, third; `family` where they cannot be told apart."""

    paternal: str = ""
    maternal: str = ""
    third: str = ""
    given: tuple[str, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Whether nothing is left once placeholders are taken away."""
        return not (self.paternal or self.maternal or self.given)


def clean_name(text: str | None) -> str:
    """A part of a name, spaces folded, and nothing where the system wrote a placeholder."""
    folded = " ".join((text or "").split())
    return "" if folded.upper().strip(" .") in _NO_NAME or folded.upper() in _NO_NAME else folded


def person_name(
    paternal: str | None, maternal: str | None, given: str | Sequence[str] | None, third: str = ""
) -> PersonName:
    """A name out of its parts as the source has them; several given names in one text are split."""
    texts = [given] if isinstance(given, str) else list(given or ())
    names = tuple(word for text in texts for word in clean_name(text).split())
    return PersonName(clean_name(paternal), clean_name(maternal), clean_name(third), names)


def split_surnames(text: str) -> tuple[str, str]:
    """`GARCIA DE LA CRUZ` → (`GARCIA`, `DE LA CRUZ`); what cannot be told apart stays whole in the first."""
    groups: list[str] = []
    held: list[str] = []
    for word in text.split():
        held.append(word)
        if word.upper().strip(".") not in _PARTICLES:
            groups.append(" ".join(held))
            held = []
    if held:
        return " ".join(text.split()), ""
    return (groups[0], groups[1]) if len(groups) == 2 else (" ".join(text.split()), "")  # noqa: PLR2004 - two surnames


def is_document_missing(value: str) -> bool:
    """Whether a document number is only what systems write when there is none."""
    return bool(_NO_DOCUMENT.match(value.strip()))


def is_dni(value: str) -> bool:
    """Whether a text has the form of a DNI: eight digits, zeros kept."""
    return bool(_DNI.match(value))


def fhir_identifier(origin: Origin, item: PersonIdentifier, *, is_national: bool = True) -> Resource:
    """An Identifier with type and country of issue; a local number gets the facility's own system.

    In the national form the type has a code of the persons' identifiers or none; elsewhere HL7's own stands beside.
    """
    system, person_code, v2_code, text = _DOCUMENTS.get(item.kind) or _local(origin, item.kind)
    kind: Resource = {}
    if country := _country(item):
        kind["extension"] = [country_extension(country)]
    codings = [{"system": peru.PERSON_ID_TYPES, "code": person_code}] if person_code else []
    if v2_code and not is_national:
        codings.append({"system": _ID_TYPE_V2, "code": v2_code})
    if codings:
        kind["coding"] = codings
    kind["text"] = item.label or text
    result: Resource = {"type": kind, "system": item.system or system, "value": item.value}
    if item.kind in {"dni", "ce"}:
        result = {"use": "official", **result}
    return result


def is_ubigeo(text: str) -> bool:
    """Whether a text is the code of a district of Peru."""
    return bool(_UBIGEO.match(text))


def ubigeo_extension(ubigeo: str) -> Resource:
    """In which district something is."""
    return {"url": peru.UBIGEO_EXTENSION, "valueString": ubigeo}


def add_birthplace(resource: Resource, ubigeo: str) -> None:
    """Where somebody was born, beside the birth date: a district of Peru is in Peru; any other code says nothing."""
    if "birthDate" in resource and is_ubigeo(ubigeo):
        told = resource.setdefault("_birthDate", {}).setdefault("extension", [])
        told += [country_extension(peru.PERU), ubigeo_extension(ubigeo)]


def country_extension(country: str) -> Resource:
    """Of which country something is. Units: ISO 3166-1 alpha-3."""
    concept = {"coding": [{"system": peru.COUNTRIES, "code": country}]}
    return {"url": peru.COUNTRY_EXTENSION, "valueCodeableConcept": concept}


def _country(item: PersonIdentifier) -> str | None:
    """Who issued it: Peru what only Peru issues and what a facility numbers itself, else what the source tells."""
    if item.kind in _DOCUMENTS:
        return peru.PERU if item.kind in _ISSUED_IN_PERU else item.country
    return item.country if _is_of_unknown_kind(item.kind) else peru.PERU


def _is_of_unknown_kind(kind: str) -> bool:
    return kind in {UNCHECKED, "id"} or kind.startswith("id-")


def _local(origin: Origin, kind: str) -> tuple[str, None, str | None, str]:
    """A number that is no document: the facility's own, or one of which only its giver knows what it is."""
    system = origin.identifier_system(kind)
    if kind == UNCHECKED:
        return system, None, None, "Documento sin validar"
    if _is_of_unknown_kind(kind):
        return system, None, None, "Otro número de identificación"
    if kind == "hc":
        return system, None, "MR", HISTORY_WORDS
    return system, None, "PI", "Número interno del establecimiento"


def human_name(name: PersonName, use: str = "official") -> Resource:
    """A HumanName whose family is what the document prints, with each surname by itself beside it."""
    result: Resource = {"use": use}
    family = " ".join(part for part in (name.paternal, name.maternal, name.third) if part)
    if family:
        result["family"] = family
    extensions = []
    if name.maternal:
        extensions.append({"url": peru.MOTHERS_FAMILY_EXTENSION, "valueString": name.maternal})
    if name.paternal and name.maternal:
        extensions.append({"url": peru.FATHERS_FAMILY_EXTENSION, "valueString": name.paternal})
    if name.third:
        extensions.append({"url": peru.THIRD_SURNAME_EXTENSION, "valueString": name.third})
    if extensions:
        result["_family"] = {"extension": extensions}
    if name.given:
        result["given"] = list(name.given)
    return result


def mother_contact(origin: Origin, name: PersonName, identifiers: Sequence[PersonIdentifier]) -> Resource:
    """The mother as a contact of her child: base R4 has no identifier there, so hers stand in an extension.

    Spec: https://hl7.org/fhir/R4/patient.html#invs, pat-1: a contact has a name, or says that none is known.
    """
    contact: Resource = {}
    if identifiers:
        contact["extension"] = [
            {"url": MOTHER_IDENTIFIER_EXTENSION, "valueIdentifier": fhir_identifier(origin, item)}
            for item in identifiers
        ]
    contact["relationship"] = [{"coding": [{"system": _ROLE_CODES, "code": "MTH"}], "text": "Madre"}]
    contact["name"] = human_name(name) if not name.is_missing else {"extension": [_UNKNOWN]}
    return contact


def patient(
    origin: Origin,
    patient_key: str,
    identifiers: Sequence[PersonIdentifier],
    name: PersonName,
    gender: str | None,
    birth_date: str | None,
) -> Resource:
    """A Patient with what the source really knows, as PacientePe where that is enough for it."""
    resource: Resource = {
        "resourceType": "Patient",
        "id": origin.resource_id("Patient", patient_key),
    }
    if identifiers:
        is_national = not name.is_missing and all(map(_country, identifiers))
        resource["identifier"] = [
            fhir_identifier(origin, item, is_national=is_national) for item in identifiers
        ]
    resource["active"] = True
    if not name.is_missing:
        resource["name"] = [human_name(name)]
    if gender:
        resource["gender"] = gender
    if birth_date:
        resource["birthDate"] = birth_date
    resource["managingOrganization"] = origin.organization()
    return resource
