"""The post's register of live births: one row for each newborn of the region who was born there.

Spec:    docs/adapters.md, "HIS".
Leaves:  the post's masters and months to trama; reading it to the primary adapter.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from exchange.demo.people import Person
from exchange.demo.region import Region

BIRTHS: Final = "NACIDOS_VIVOS.csv"
_COLUMNS: Final = (
    "CNV", "Estado", "CodEESS", "EESS", "pApellidoMadre", "sApellidoMadre", "nombresMadre", "Gest_Sem", "TipoDoc",
    "Documento", "Fecha", "Hora", "Sexo", "Peso_g", "Talla_cm", "Apgar", "Perimetrocefalico", "Profesion",
    "FechaRegistro", "tipoParto",
)  # fmt: skip
_SEXES: Final = {"F": "FEMENINO", "M": "MASCULINO"}


def write_births(region: Region, folder: Path) -> Path:
    """Write the register. Raises: OSError - the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for cells in _rows(region):
        writer.writerow([cells.get(column, "") for column in _COLUMNS])
    path = folder / BIRTHS
    path.write_bytes(text.getvalue().encode("cp1252", "replace"))
    return path


def _rows(region: Region) -> Iterator[dict[str, str]]:
    for person in region.people():
        certificate = person.document_of("CNV")
        if certificate is not None and "newborn" in person.traits:
            yield _cells(region, person, certificate.number)


def _cells(region: Region, person: Person, number: str) -> dict[str, str]:
    mother = person.mother
    return {
        "CNV": number,
        "Estado": "REGISTRADO",
        "CodEESS": region.primary.code_of_nine,
        "EESS": region.primary.name,
        "pApellidoMadre": mother.name.paternal,
        "sApellidoMadre": mother.name.maternal,
        "nombresMadre": mother.name.given_text,
        "Gest_Sem": str(37 + person.slot % 5),
        "TipoDoc": mother.document.kind if mother.document else "",
        "Documento": mother.document.number if mother.document else "",
        "Fecha": f"{person.birth_date:%d/%m/%Y}",
        "Hora": person.birth_time or "",
        "Sexo": _SEXES[person.sex],
        "Peso_g": str(person.birth_weight_grams or ""),
        "Talla_cm": f"{48 + person.slot % 4},5",
        "Apgar": "8/9",
        "Perimetrocefalico": f"{33 + person.slot % 3},0",
        "Profesion": "OBSTETRA",
        "FechaRegistro": f"{person.birth_date + timedelta(days=1):%d/%m/%Y}",
        "tipoParto": "EUTOCICO",
    }
