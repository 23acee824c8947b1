"""What was measured and told at a visit: weight, height, haemoglobin, circumferences, pregnancy.

Spec:    https://hl7.org/fhir/R4/observation-vitalsigns.html; LOINC and UCUM as named below.
Leaves:  whether a number is plausible to the hub's validation.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from adapters.code_map import Coding, concept
from adapters.primary.masters import Post
from adapters.primary.tables import Row
from adapters.primary.trama import Visit
from adapters.source_record import Resource
from adapters.source_record.bundle import flag_unmapped
from adapters.source_record.moment import is_missing_date, written_date
from exchange.fhir.peru import LOINC_SYSTEM, UCUM_SYSTEM

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_TABLE: Final = "measure"
# column → (LOINC, display, words, unit, category, column of its own date)
_MEASURES: Final = {
    "Peso": ("29463-7", "Body weight", "Peso", "kg", "vital-signs", ""),
    "Talla": ("8302-2", "Body height", "Talla", "cm", "vital-signs", ""),
    "Hemoglobina": (
        "718-7", "Hemoglobin [Mass/volume] in Blood", "Hemoglobina", "g/dL", "laboratory",
        "Fecha_Resultado_Hb",
    ),
    "Perimetro_Cefalico": (
        "9843-4", "Head Occipital-frontal circumference", "Perímetro cefálico", "cm", "vital-signs", "",
    ),
    # LOINC's waist circumferences each name a place and a protocol, and HIS tells neither.
    "Perimetro_Abdominal": ("", "", "Perímetro abdominal", "cm", "exam", ""),
    "Peso_Pregestacional": (
        "56077-1", "Body weight --pre current pregnancy", "Peso pregestacional", "kg", "exam", "",
    ),
}  # fmt: skip
_LAST_PERIOD_COLUMN: Final = "Fecha_Ultima_Regla"
_LAST_PERIOD: Final = Coding(LOINC_SYSTEM, "8665-2", "Last menstrual period start date")
_WORDS: Final = {"condicion_gestante": "Condición de la gestante", "gruporiesgo_desc": "Grupo de riesgo"}


def measures(
    post: Post, visit: Visit, subject: Resource, stay: Resource, unmapped: list[tuple[str, str]]
) -> list[Resource]:
    """One Observation for each value that a column has in the rows of the visit: most often one."""

    def observed(name: str, count: int, standard: Coding | None, words: str, category: str) -> Resource:
        key = f"cita|{visit.number}|{name}" + (f"|{count}" if count else "")
        observation: Resource = {
            "resourceType": "Observation",
            "id": post.origin.resource_id("Observation", key),
            "status": "final",
            "category": [{"coding": [{"system": _CATEGORY, "code": category}]}],
            "code": concept(Coding("", ""), standard, text=words),
            "subject": subject,
            "encounter": stay,
            "effectiveDateTime": visit.date,
            "performer": [post.origin.organization()],
        }
        if standard is None:
            flag_unmapped(observation)
            unmapped.append((_TABLE, name))
        return observation

    found = []
    for name, (code, display, words, unit, category, date_column) in _MEASURES.items():
        standard = Coding(LOINC_SYSTEM, code, display) if code else post.codes.find(_TABLE, name)
        for count, (number, row) in enumerate(_numbers(visit, name)):
            observation = observed(name, count, standard, words, category)
            if measured_at := written_date(row.get(date_column), post.zone) if date_column else None:
                observation["effectiveDateTime"] = measured_at
            observation["valueQuantity"] = {
                "value": number,
                "unit": unit,
                "system": UCUM_SYSTEM,
                "code": unit,
            }
            found.append(observation)
    for count, text in enumerate(_texts(visit, _LAST_PERIOD_COLUMN)):
        if (began := written_date(text, post.zone)) and not is_missing_date(began):
            observation = observed(_LAST_PERIOD_COLUMN, count, _LAST_PERIOD, "Fecha de última regla", "exam")
            found.append(observation | {"valueDateTime": began})
    for name, words in _WORDS.items():
        for count, text in enumerate(_texts(visit, name)):
            observation = observed(name, count, post.codes.find(_TABLE, name), words, "social-history")
            found.append(observation | {"valueString": text})
    return found


def _numbers(visit: Visit, name: str) -> list[tuple[Decimal, Row]]:
    """The numbers of a column, each once, with the first row that has it."""
    found: dict[Decimal, tuple[Decimal, Row]] = {}
    for row in visit.rows:
        if (number := row.number(name)) is not None:
            found.setdefault(number, (number, row))
    return list(found.values())


def _texts(visit: Visit, name: str) -> list[str]:
    return list(dict.fromkeys(text for row in visit.rows if (text := row.get(name))))
