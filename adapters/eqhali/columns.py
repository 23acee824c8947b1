"""The columns of the FUA detail: those that are needed, those that are read, and how their names are written.

Spec:    docs/adapters.md, "e-Qhali".
Leaves:  their meaning to `fua`.
"""

from __future__ import annotations

import unicodedata
from typing import Final

NEEDED: Final = (
    "fua_id", "fecha_atencion", "tipo_doc_paciente", "num_doc_paciente", "apellido_paterno_paciente",
    "nombres_paciente", "fecha_nacimiento_paciente", "sexo",
)  # fmt: skip
KNOWN: Final = frozenset({
    *NEEDED,
    "eess", "componente", "tipo_atencion", "eess_ref", "nro_hoja_ref", "formato_asegurado",
    "apellido_materno_paciente", "edad", "historia_clinica", "etnia", "id_servicio", "servicio_descripcion",
    "digitador", "dni_resp_atencion", "nombre_profesional", "tipo_profesional", "fecha_registro",
    "hora_registro", "lugar_atencion", "destino_asegurado", "eess_ref_contra", "nro_hoja_ref_contra",
    "eess_oferta_flex", "gestante", "fecha_probable_parto", "fecha_parto", "periodo", "mes", "estado_fua",
    "ups", "fecha_ingreso", "fecha_envio_sis",
})  # fmt: skip
DATES: Final = frozenset({
    "fecha_atencion", "fecha_nacimiento_paciente", "fecha_registro", "fecha_probable_parto", "fecha_parto",
    "fecha_ingreso", "fecha_envio_sis",
})  # fmt: skip
TIMES: Final = frozenset({"hora_registro"})
MAX_COLUMNS: Final = 200
MAX_ROWS: Final = 200_000
MAX_CELL_LETTERS: Final = 2_000


def column_name(text: str) -> str:
    """`Fecha de Atención` and `FECHA_DE_ATENCION` are one name: case, accents and spaces do not count."""
    bare = unicodedata.normalize("NFKD", text.strip().strip("\ufeff").lower())
    letters = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return "_".join(letters.replace("_", " ").split())
