"""The files in which a site brings its catalogues: CIE-10 and CPMS as MINSA publishes them, Loinc.csv, ucum-essence.xml.

Spec:    https://loinc.org/kb/loinc-release-terms-of-use/; https://ucum.org (ucum-essence.xml); docs/terminology.md.
Leaves:  storing them to catalogue.py.

A file is read whole or refused whole: a catalogue with holes would answer wrongly and never say so.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from lxml import etree

from exchange.fhir.peru import CIE10_SYSTEM, CPMS_SYSTEM, LOINC_SYSTEM, UCUM_SYSTEM
from exchange.problems import Malformed, TooCostly
from exchange.terminology.catalogue import MOST_CONCEPTS, NewCatalogue
from exchange.terminology.concept import Concept, folded

MAX_BYTES: Final = 300 * 1024 * 1024
MAX_CODE: Final = 40
MAX_DISPLAY: Final = 2_000
DELIMITERS: Final = ";,\t|"

_CODE: Final = (
    "codigoitem",
    "codigocie",
    "codigocie10",
    "cie10",
    "codigocpms",
    "cpms",
    "codigo",
    "cod",
    "code",
    "id",
)
_DISPLAY: Final = (
    "descripcionitem", "descripcioncie", "denominacion", "denominaciondeprocedimientos", "descripcion", "nombre",
    "denominaciondeprocedimientosmedicosysanitarios", "procedimiento", "display",
)  # fmt: skip
_PARENT: Final = ("codigopadre", "padre", "parent", "codigocategoria")
_STATE: Final = ("estado", "status", "activo")
_INACTIVE: Final = frozenset({"0", "i", "inactivo", "baja", "deprecated", "retired", "no", "n"})
_KIND: Final = "fgtipo"
_CIE10: Final = re.compile(r"([A-Z][0-9][0-9A-Z])\.?([0-9A-Z]{0,4})", re.ASCII)
_NOT_WORD: Final = re.compile(r"[^a-z0-9]+")
_LOINC: Final = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS", "STATUS",
                 "CLASSTYPE", "ORDER_OBS")  # fmt: skip
_UCUM: Final = "{http://unitsofmeasure.org/ucum-essence}"

Row = Mapping[str, str]


def read_catalogue(kind: str, file: Path, version: str = "") -> NewCatalogue:
    """A site's file as a code system. Without a version the file's own is taken, else a part of its SHA-256.

    Raises: KeyError - no such kind; Malformed - the file is not of it; TooCostly - the file is too large.
    """
    reader = READERS[kind]
    if file.stat().st_size > MAX_BYTES:
        raise TooCostly(f"the file is larger than {MAX_BYTES} bytes")
    text = file.read_bytes()
    digest = sha256(text).hexdigest()
    url, name, own_version, concepts = reader(text)
    found: dict[str, Concept] = {}
    for concept in concepts:
        if not 0 < len(concept.code) <= MAX_CODE or not concept.code.isprintable():
            raise Malformed(f"row {len(found) + 1} has no code, or one that is none", "code")
        found.setdefault(concept.code, concept)
        if len(found) > MOST_CONCEPTS:
            raise TooCostly(f"the file has more than {MOST_CONCEPTS} concepts")
    if not found:
        raise Malformed("the file holds no concept of this catalogue")
    # A parent that is not in the file is none.
    whole = [
        each if not each.parents or each.parents[0] in found else _orphan(each) for each in found.values()
    ]
    return NewCatalogue(url, version or own_version or digest[:12], name, digest, whole)


def _cie10(text: bytes) -> tuple[str, str, str, Iterator[Concept]]:
    return CIE10_SYSTEM, "CIE-10", "", _cie10_concepts(_rows(text))


def _cie10_concepts(rows: Iterator[Row]) -> Iterator[Concept]:
    listed = [row for row in rows if row.get(_KIND, "CX").upper() in ("CX", "")]
    known: set[str] = set()
    for row in listed:
        match = _CIE10.fullmatch(_cell(row, _CODE).upper())
        if match is None:
            raise Malformed(f"row {len(known) + 1} has no CIE-10 code", "code")
        known.add(_dotted(match))
    for row in listed:
        code = _dotted(_CIE10.fullmatch(_cell(row, _CODE).upper()))
        told = _CIE10.fullmatch(_cell(row, _PARENT).upper())
        parent = _dotted(told) if told else next((each for each in _shorter(code) if each in known), "")
        yield _concept(row, code, parent if parent != code else "")


def _dotted(match: re.Match[str] | None) -> str:
    """HIS writes F101 where FHIR wants F10.1."""
    if match is None:
        raise Malformed("a code is no CIE-10 code", "code")
    return match[1] + ("." + match[2] if match[2] else "")


def _shorter(code: str) -> Iterator[str]:
    for length in range(len(code) - 1, 2, -1):
        yield code[:length].removesuffix(".")


def _cpms(text: bytes) -> tuple[str, str, str, Iterator[Concept]]:
    rows = (row for row in _rows(text) if row.get(_KIND, "CP").upper() in ("CP", ""))
    return CPMS_SYSTEM, "CPMS", "", (_concept(row, _cell(row, _CODE), _cell(row, _PARENT)) for row in rows)


def _concept(row: Row, code: str, parent: str) -> Concept:
    display = " ".join(_cell(row, _DISPLAY).split())[:MAX_DISPLAY]
    is_inactive = folded(_cell(row, _STATE)) in _INACTIVE
    return Concept(code, display, (parent,) if parent else (), is_inactive)


def _loinc(text: bytes) -> tuple[str, str, str, Iterator[Concept]]:
    rows = list(_rows(text))
    if rows and not {"loincnum", "component", "status"} <= rows[0].keys():
        raise Malformed("the file has not the columns of Loinc.csv")
    versions = [_numbers(row.get("versionlastchanged", "")) for row in rows]
    newest = ".".join(map(str, max(versions, default=[])))
    return LOINC_SYSTEM, "LOINC", newest, (_loinc_concept(row) for row in rows)


def _loinc_concept(row: Row) -> Concept:
    properties = tuple(
        (name, "valueString", row[key])
        for name in _LOINC
        if row.get(key := _NOT_WORD.sub("", name.lower()), "")
    )
    display = row.get("longcommonname") or row.get("shortname") or row["component"]
    is_inactive = row["status"].upper() == "DEPRECATED"
    return Concept(row["loincnum"], display[:MAX_DISPLAY], (), is_inactive, properties=properties)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def _ucum(text: bytes) -> tuple[str, str, str, Iterator[Concept]]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError:
        raise Malformed("the file is not well-formed XML") from None
    if root.tag != _UCUM + "root" or root.getroottree().docinfo.internalDTD is not None:
        raise Malformed("the file is no ucum-essence.xml")
    units = [*root.iterfind(_UCUM + "base-unit"), *root.iterfind(_UCUM + "unit")]
    concepts = (
        Concept(each.get("Code", ""), (each.findtext(_UCUM + "name") or "")[:MAX_DISPLAY]) for each in units
    )
    return UCUM_SYSTEM, "UCUM", root.get("version", ""), concepts


READERS: Final[dict[str, Callable[[bytes], tuple[str, str, str, Iterator[Concept]]]]] = {
    "cie-10": _cie10, "cpms": _cpms, "loinc": _loinc, "ucum": _ucum,
}  # fmt: skip


def _rows(text: bytes) -> Iterator[Row]:
    """The rows of a delimited file, by column names in small letters without accents, spaces and signs."""
    decoded = _decoded(text)
    header = decoded.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(decoded, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [_NOT_WORD.sub("", folded(name)) for name in next(reader, [])]
        if not any(name in names for name in (*_CODE, "loincnum")):
            raise Malformed("the first row names no column of codes")
        for row in reader:
            if any(row):
                if len(row) != len(names):
                    raise Malformed(f"line {reader.line_num} has not as many columns as the first row")
                yield dict(zip(names, (cell.strip() for cell in row), strict=True))
    except csv.Error:
        raise Malformed(f"line {reader.line_num} is not a delimited row") from None


def _decoded(text: bytes) -> str:
    """MINSA's files are Windows-1252 unless they are UTF-8."""
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        decoded = text.decode("windows-1252", "replace")
    if "\0" in decoded:
        raise Malformed("the file contains a NUL character")
    return decoded


def _cell(row: Row, names: tuple[str, ...]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


def _orphan(concept: Concept) -> Concept:
    return Concept(concept.code, concept.display, (), concept.is_inactive, properties=concept.properties)
