"""What a Patient resource says of a person, in comparable form.

Spec:    https://hl7.org/fhir/R4/patient.html; docs/decisions/0010-linking-records.md.
Leaves:  judging pairs to linkage; storing keys to cross_reference.

A missing value is no evidence: placeholders (RN, NN, 1 January 1900) count as missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from exchange.fhir import peru
from exchange.fhir.datatype import fold

_KINDS: Final = {
    peru.DNI_SYSTEM: "dni",
    peru.CE_SYSTEM: "ce",
    peru.PASSPORT_SYSTEM: "passport",
    peru.CNV_SYSTEM: "cnv",
}
_KINDS_BY_CODE: Final = {"1": "dni", "2": "ce", "3": "passport", "6": "cnv"}
_FORMS: Final = {
    "dni": re.compile(r"\d{8}", re.ASCII),
    "ce": re.compile(r"[A-Z0-9]{6,12}", re.ASCII),
    "passport": re.compile(r"[A-Z0-9]{5,15}", re.ASCII),
    "cnv": re.compile(r"\d{8,15}", re.ASCII),
}
_PARTICLES: Final = frozenset(
    {"de", "del", "la", "las", "los", "y", "viuda", "vda", "da", "do", "van", "von"}
)
_PLACEHOLDERS: Final = frozenset(
    {"rn", "nn", "n", "bb", "b", "bebe", "recien", "nacido", "nacida", "hijo", "hija"}
)
_PLACEHOLDER_DATES: Final = frozenset({"1900-01-01", "1901-01-01"})
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Demographics:
    """A person as one facility describes them; names are folded sets without particles and placeholders."""

    documents: frozenset[tuple[str, str]]
    surnames: frozenset[str]
    given: frozenset[str]
    birth_date: str
    gender: str
    birth_order: int


def demographics(patient: dict[str, Any]) -> Demographics:
    """The demographics of a Patient resource."""
    names = [
        name for name in patient.get("name", ()) if name.get("use") not in ("old", "nickname", "anonymous")
    ]
    birth_date = patient.get("birthDate", "")
    is_known = _DAY.fullmatch(birth_date) is not None and birth_date not in _PLACEHOLDER_DATES
    order = patient.get("multipleBirthInteger", 0)
    return Demographics(
        documents=frozenset(_documents(patient)),
        surnames=frozenset(_words(" ".join(str(name.get("family", "")) for name in names))),
        given=frozenset(
            _words(" ".join(str(part) for name in names for part in name.get("given", ()) if part))
        ),
        birth_date=birth_date if is_known else "",
        gender=patient.get("gender", "") if patient.get("gender") in ("male", "female") else "",
        birth_order=order if isinstance(order, int) else 0,
    )


def _documents(patient: dict[str, Any]) -> list[tuple[str, str]]:
    """The trusted identifiers: of the nation, well formed, in use. A facility's own numbers are none."""
    found = []
    for identifier in patient.get("identifier", ()):
        kind = _KINDS.get(identifier.get("system", "")) or _kind_by_type(identifier)
        value = str(identifier.get("value", "")).strip().upper()
        if kind and identifier.get("use") != "old" and _FORMS[kind].fullmatch(value):
            found.append((kind, value))
    return found


def _kind_by_type(identifier: dict[str, Any]) -> str:
    for coding in identifier.get("type", {}).get("coding", ()):
        if coding.get("system") == peru.PERSON_ID_TYPES:
            return _KINDS_BY_CODE.get(coding.get("code", ""), "")
    return ""


def _words(text: str) -> list[str]:
    words = re.split(r"[^a-z0-9]+", fold(text))
    return [word for word in words if word and word not in _PARTICLES and word not in _PLACEHOLDERS]
