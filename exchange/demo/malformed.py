"""Bad inputs with names: what a tired system really sends, for the demonstration and for tests.

Leaves:  what each must answer to the adapters; a name here says only what is wrong.

Every input is made from a fixed good one by one change, so that nothing else can be the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exchange.demo.trama_columns import NEWER_COLUMNS, OLDER_COLUMNS


@dataclass(frozen=True, slots=True)
class Malformed:
    """A bad input: its name, its channel (`trama`, `hl7v2`, `mllp` or `ccda`) and its bytes."""

    name: str
    channel: str
    content: bytes


_TRAMA_ROW: Final = {
    "Id_Cita": "77001",
    "Id_Correlativo": "1",
    "Id_Correlativo_Item": "1",
    "Id_Correlativo_Lab": "1",
    "Fecha_Atencion": "15/03/2026",
    "Anio": "2026",
    "Mes": "3",
    "Dia": "15",
    "Id_Paciente": "0123456741058",
    "Id_Personal": "0099100141058",
    "Id_Registrador": "0099103841058",
    "Id_Ups": "302101",
    "Id_Establecimiento": "41058",
    "Id_Financiador": "2",
    "Id_Turno": "M",
    "Codigo_Item": "J069",
    "Tipo_Diagnostico": "D",
    "Edad_Reg": "34",
    "Tipo_Edad": "A",
    "Peso": "61,5",
    "Talla": "158,0",
    "Fecha_Registro": "15/03/2026 18:00:00",
    "Fecha_Modificacion": "15/03/2026 18:00:00",
}
_MESSAGE: Final = (
    "MSH|^~\\&|SIGH|00090021|CHASQUI|GERESA|20260315101500-0500||ADT^A04^ADT_A01|MAL0001|P|2.5.1|||AL|NE|PER|8859/1\r"
    "EVN|A04|20260315101500-0500\r"
    "PID|1||01234567^^^RENIEC^DNI~HC0990001^^^00090021^HC||ÑIQUE PAREDES^ROSA||19900412|F\r"
    "PV1|1|O|301601^^^00090021||||||||||||||||77001^^^00090021^VN\r"
    "DG1|1||J06.9^Infección respiratoria alta^I10||20260315101500-0500|F\r"
)
_DOCUMENT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ClinicalDocument xmlns="urn:hl7-org:v3">'
    '<typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>'
    '<templateId root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"/>'
    '<id root="2.25.77001" extension="1"/>'
    '<code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/>'
    '<effectiveTime value="20260315101500-0500"/>'
    "<recordTarget><patientRole>"
    '<id root="2.16.840.1.113883.4.904" extension="01234567"/>'
    "<patient><name><given>ROSA</given><family>ÑIQUE</family><family>PAREDES</family></name>"
    '<administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/>'
    '<birthTime value="19900412"/></patient>'
    "</patientRole></recordTarget>"
    "<component><structuredBody/></component>"
    "</ClinicalDocument>\n"
)


def malformed() -> Iterator[Malformed]:
    """Every bad input, always in the same order."""
    yield from _trama()
    yield from _messages()
    yield from _frames()
    yield from _documents()


def of_channel(channel: str) -> dict[str, bytes]:
    """The bad inputs of one channel by name."""
    return {one.name: one.content for one in malformed() if one.channel == channel}


def _trama_file(change: dict[str, str], columns: tuple[str, ...] = OLDER_COLUMNS) -> bytes:
    """A trama file of one row with some cells changed."""
    row = {**_TRAMA_ROW, **change}
    lines = (";".join(columns), ";".join(row.get(column, "") for column in columns), "")
    return "\r\n".join(lines).encode("cp1252")


def _trama() -> Iterator[Malformed]:
    """Files of the first-level post."""
    good = _trama_file({})
    cells = {
        "unknown-patient": {"Id_Paciente": "9999999941058"},
        "unknown-facility": {"Id_Establecimiento": "99999"},
        "unknown-item": {"Codigo_Item": "ZZ999"},
        "impossible-date": {"Fecha_Atencion": "31/02/2026"},
        "date-in-words": {"Fecha_Atencion": "quince de marzo"},
        "future-date": {"Fecha_Atencion": "15/03/2199", "Anio": "2199"},
        "unknown-certainty": {"Tipo_Diagnostico": "X"},
        "weight-in-words": {"Peso": "sesenta"},
        "negative-weight": {"Peso": "-61,5"},
        "no-visit-number": {"Id_Cita": ""},
        "formula-in-a-cell": {"Valor_Lab": "=1+1"},
        "control-character": {"Valor_Lab": "1\x00"},
    }
    for name, change in cells.items():
        yield Malformed(name, "trama", _trama_file(change))
    yield Malformed("short-row", "trama", good.rsplit(b";", 5)[0] + b"\r\n")
    yield Malformed("long-row", "trama", good.rstrip(b"\r\n") + b";uno;dos\r\n")
    yield Malformed("missing-column", "trama", good.replace(b"Id_Paciente;", b"", 1))
    yield Malformed("unknown-shape", "trama", b"a;b;c\r\n1;2;3\r\n")
    yield Malformed("header-only", "trama", good.split(b"\r\n", 1)[0] + b"\r\n")
    yield Malformed("empty-file", "trama", b"")
    yield Malformed("open-quote", "trama", _trama_file({"Valor_Lab": '"1'}))
    yield Malformed(
        "undefined-in-windows-1252", "trama", _trama_file({"Valor_Lab": "?"}).replace(b"?", b"\x81")
    )
    yield Malformed("utf-8-with-bom", "trama", b"\xef\xbb\xbf" + _trama_file({}, NEWER_COLUMNS))
    yield Malformed("cut-in-the-middle", "trama", good[: len(good) - 40])
    yield Malformed("commas-instead-of-semicolons", "trama", good.replace(b";", b","))


def _messages() -> Iterator[Malformed]:
    """Messages of the second-level hospital."""
    changes = {
        "no-msh": (_MESSAGE[: _MESSAGE.index("EVN")], ""),
        "no-pid": (_MESSAGE[_MESSAGE.index("PID") : _MESSAGE.index("PV1")], ""),
        "no-control-id": ("|MAL0001|", "||"),
        "unknown-version": ("|2.5.1|", "|9.9|"),
        "unknown-charset": ("8859/1", "KOI8"),
        "unknown-trigger": ("ADT^A04^ADT_A01", "ADT^Z99^ADT_Z99"),
        "no-identifier": ("01234567^^^RENIEC^DNI~HC0990001^^^00090021^HC", ""),
        "dni-of-seven-digits": ("01234567^^^RENIEC", "1234567^^^RENIEC"),
        "impossible-birth-date": ("19900412", "19901341"),
        "unknown-sex": ("19900412|F", "19900412|Q"),
        "unmapped-code": ("J06.9^Infección respiratoria alta^I10", "LOCAL77^Mal de altura^L"),
        "open-escape": ("ROSA", "ROSA\\X4"),
        "line-feeds": ("\r", "\r\n"),
        "no-field-separator": ("MSH|^~\\&|", "MSH"),
    }
    for name, (old, new) in changes.items():
        yield Malformed(name, "hl7v2", _MESSAGE.replace(old, new).encode("iso-8859-1"))
    yield Malformed("utf-8-said-to-be-latin", "hl7v2", _MESSAGE.encode("utf-8"))
    latin = _MESSAGE.replace("8859/1", "UNICODE UTF-8").encode("iso-8859-1")
    yield Malformed("latin-said-to-be-utf-8", "hl7v2", latin)
    yield Malformed("empty-message", "hl7v2", b"")
    yield Malformed("not-hl7", "hl7v2", b"GET / HTTP/1.1\r\n\r\n")


def _frames() -> Iterator[Malformed]:
    """Bytes on an MLLP connection."""
    message = _MESSAGE.encode("iso-8859-1")
    yield Malformed("no-start-byte", "mllp", message + b"\x1c\r")
    yield Malformed("no-end-bytes", "mllp", b"\x0b" + message)
    yield Malformed("end-without-return", "mllp", b"\x0b" + message + b"\x1c")
    yield Malformed("start-inside-message", "mllp", b"\x0b" + message[:60] + b"\x0b" + message + b"\x1c\r")
    yield Malformed("noise-between-frames", "mllp", b"\r\nruido\r\n\x0b" + message + b"\x1c\r")
    yield Malformed("empty-frame", "mllp", b"\x0b\x1c\r")


def _documents() -> Iterator[Malformed]:
    """Documents of the institute."""
    entity = '<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "file:///etc/hostname">]>\n<ClinicalDocument'
    changes = {
        "not-closed": ("</ClinicalDocument>\n", ""),
        "wrong-namespace": ("urn:hl7-org:v3", "urn:example:other"),
        "no-patient": (_DOCUMENT[_DOCUMENT.index("<recordTarget>") : _DOCUMENT.index("<component>")], ""),
        "no-identifier": ('<id root="2.16.840.1.113883.4.904" extension="01234567"/>', ""),
        "dni-of-nine-digits": ('extension="01234567"', 'extension="012345678"'),
        "impossible-birth-date": ("19900412", "19901341"),
        "no-effective-time": ('<effectiveTime value="20260315101500-0500"/>', ""),
        "no-template": ('<templateId root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"/>', ""),
        "no-body": ("<component><structuredBody/></component>", ""),
        "external-entity": ("<ClinicalDocument", entity),
        "script-in-a-name": ("ROSA", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    }
    for name, (old, new) in changes.items():
        yield Malformed(name, "ccda", _DOCUMENT.replace(old, new, 1).encode())
    yield Malformed("latin-said-to-be-utf-8", "ccda", _DOCUMENT.encode("iso-8859-1"))
    yield Malformed("empty-document", "ccda", b"")
    yield Malformed("not-xml", "ccda", b"%PDF-1.4\n")
