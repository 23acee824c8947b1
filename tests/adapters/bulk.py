"""Many HIS visits and HL7 v2 messages of patients who do not exist, for measuring."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.conftest import GOLDEN


def write_his(folder: Path, visits: int, rows_each: int = 1) -> None:
    """A master with one patient for each ten visits, the other masters, and a month."""
    for path in (GOLDEN / "his").glob("*.csv"):
        content = path.read_bytes()
        head = content.splitlines(keepends=True)[0]
        if b"Numero_Documento_Paciente" in head:
            cells = content.splitlines()[1].decode("cp1252").split(";")
            people = [[f"P{n}39058", "1", f"{40_000_000 + n}", *cells[3:]] for n in range(visits // 10 + 1)]
            rows = "".join(";".join(each) + "\r\n" for each in people)
            (folder / path.name).write_bytes(head + rows.encode("cp1252"))
        elif b"Codigo_Item;Tipo_Diagnostico" not in head and b"Codigo_Item,Tipo_Diagnostico" not in head:
            (folder / path.name).write_bytes(content)
    lines = (GOLDEN / "his" / "TRAMA_202401.csv").read_bytes().splitlines(keepends=True)
    cells = lines[1].decode("cp1252").rstrip().split(";")
    with (folder / "TRAMA_202401.csv").open("wb") as file:
        file.write(lines[0])
        for visit in range(visits):
            for row in range(1, rows_each + 1):
                told = [f"{90_000 + visit}", str(row), *cells[2:6], f"P{visit // 10}39058", *cells[7:]]
                file.write((";".join(told) + "\r\n").encode("cp1252"))


def an_admission(number: int, more: bytes = b"") -> bytes:
    """An ADT A04 of a patient of his own."""
    return (
        b"MSH|^~\\&|SIGH|H|X|Y|20260101120000-0500||ADT^A04^ADT_A01|M%d|P|2.5.1||||||UNICODE UTF-8\r"
        b"EVN|A04|20260101120000-0500\rPID|1||HC%d^^^H^HC||PAREDES ROJAS^ROSA||19800101|F\r"
        b"PV1|1|O|CONS^1^1^H||||||||||||||||E%d\rDG1|1||J06.9^^I10||20260101|A\r%s"
        % (number, number, number, more)
    )


def a_large_document(size_bytes: int) -> bytes:
    """An MDM T02 with a document of so many bytes."""
    return (
        b"MSH|^~\\&|SIGH|H|X|Y|20260101120000-0500||MDM^T02^MDM_T02|BIG|P|2.5.1||||||UNICODE UTF-8\r"
        b"EVN|T02|20260101120000-0500\rPID|1||HC1^^^H^HC||PAREDES ROJAS^ROSA||19800101|F\rPV1|1|O\r"
        b"TXA|1|DS|FT|20260101120000-0500|||||||DOC1|||||AU\rOBX|1|ED|18842-5^Epicrisis^LN||^application^pdf^Base64^"
        + b"QUJD" * (size_bytes // 4)
        + b"||||||F\r"
    )
