"""A post that exports its month anew every evening: visits more, visits corrected, the file put in place of the old one."""

from __future__ import annotations

from pathlib import Path

from exchange.demo.trama_columns import OLDER_COLUMNS, PATIENT_COLUMNS

INTERNAL = "39058"
SURNAME = "TORTURADEAPELLIDO"
WEIGHT = "29463-7"


class Post:
    """What was stated: each visit's weights in order, in hundred grams."""

    def __init__(
        self, folder: Path, renipress: str, visits_a_day: int, items: tuple[str, ...] = ("Z000",)
    ) -> None:
        self.folder, self.renipress, self.visits_a_day, self.items = folder, renipress, visits_a_day, items
        self.stated: dict[str, list[int]] = {}
        self._day = 0
        self._write(
            "MAESTRO_HIS_ESTABLECIMIENTO.csv", ["Id_Establecimiento", "Codigo_Unico"], [[INTERNAL, renipress]]
        )

    def export(self) -> None:
        """The month as it is this evening: a fifth of yesterday's visits was corrected."""
        self._day += 1
        for number in range(self.visits_a_day):
            self.stated[f"{self._day}{number:04}"] = [500 + number]
        for visit in [each for each in self.stated if each.startswith(str(self._day - 1))][::5]:
            self.stated[visit].append(self.stated[visit][-1] + 7)
        patients = [
            dict.fromkeys(PATIENT_COLUMNS, "") | {
                "Id_Paciente": f"{40_000_000 + number}{INTERNAL}", "Id_Tipo_Documento_Paciente": "1",
                "Numero_Documento_Paciente": str(40_000_000 + number), "Apellido_Paterno_Paciente": SURNAME,
                "Apellido_Materno_Paciente": "MAMANI", "Nombres_Paciente": "ROSA", "Id_Genero": "F",
                "Fecha_Nacimiento_Paciente": "12/04/1990", "Id_Establecimiento": INTERNAL, "Fecha_Alta": "01/07/2026",
            }
            for number in range(self.visits_a_day)
        ]  # fmt: skip
        self._write("MAESTRO_PACIENTE.csv", list(PATIENT_COLUMNS), [list(each.values()) for each in patients])
        rows = []
        for visit, weights in self.stated.items():
            number = int(visit[-4:])
            row = dict.fromkeys(OLDER_COLUMNS, "") | {
                "Id_Cita": visit, "Fecha_Atencion": "02/07/2026",
                "Id_Paciente": f"{40_000_000 + number}{INTERNAL}", "Tipo_Diagnostico": "D", "Id_Establecimiento": INTERNAL,
                "Peso": f"{weights[-1] // 10},{weights[-1] % 10}", "Fecha_Registro": f"{len(weights):02}/07/2026 10:00:00",
            }  # fmt: skip
            rows += [
                list((row | {"Id_Correlativo": str(at), "Codigo_Item": item}).values())
                for at, item in enumerate(self.items, 1)
            ]
        self._write("TRAMA_202607.csv", list(OLDER_COLUMNS), rows)

    def _write(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
        text = "\r\n".join(";".join(each) for each in [columns, *rows]) + "\r\n"
        aside = self.folder / f".{name}"
        aside.write_bytes(text.encode("cp1252"))
        aside.replace(self.folder / name)
