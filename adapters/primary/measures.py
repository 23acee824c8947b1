"""What was measured at a visit: weight, height, haemoglobin, circumferences.

Spec:    https://hl7.org/fhir/R4/observation-vitalsigns.html; LOINC and UCUM as named below.
Leaves:  whether a number is plausible to the hub's validation.
"""

from __future__ import annotations

from typing import Final

from adapters.primary.masters import Post
from adapters.primary.trama import Visit
from adapters.source_record import Resource
from adapters.source_record.moment import written_date
from exchange.fhir.peru import LOINC_SYSTEM, UCUM_SYSTEM

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
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
    "Perimetro_Abdominal": (
        "8280-0", "Waist Circumference at umbilicus by Tape measure", "Perímetro abdominal", "cm", "exam", "",
    ),
}  # fmt: skip


def measures(post: Post, visit: Visit, subject: Resource, stay: Resource) -> list[Resource]:
    """One Observation for each column that some row of the visit fills."""
    found = []
    for column, (code, display, words, unit, category, date_column) in _MEASURES.items():
        row = next((row for row in visit.rows if row.number(column) is not None), None)
        if row is None:
            continue
        measured_at = written_date(row.get(date_column), post.zone) if date_column else None
        found.append(
            {
                "resourceType": "Observation",
                "id": post.origin.resource_id("Observation", f"cita|{visit.number}|{column}"),
                "status": "final",
                "category": [{"coding": [{"system": _CATEGORY, "code": category}]}],
                "code": {
                    "coding": [{"system": LOINC_SYSTEM, "code": code, "display": display}],
                    "text": words,
                },
                "subject": subject,
                "encounter": stay,
                "effectiveDateTime": measured_at or visit.date,
                "performer": [post.origin.organization()],
                "valueQuantity": {
                    "value": row.number(column),
                    "unit": unit,
                    "system": UCUM_SYSTEM,
                    "code": unit,
                },
            }
        )
    return found
