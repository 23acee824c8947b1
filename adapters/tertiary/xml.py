"""A CDA document's XML, read without ever following anything out of it.

Spec:    HL7 CDA R2; OWASP XML External Entity Prevention.
Leaves:  what the elements mean to the modules beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from adapters.source_record import Refusal
from adapters.source_record.moment import compact_moment

NAMESPACE: Final = "{urn:hl7-org:v3}"
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_MAX_BYTES: Final = 20_000_000
_MAX_DEPTH: Final = 100
_NUMBER: Final = re.compile(r"^[+-]?\d{1,20}(\.\d{1,20})?$")


class Element:
    """A CDA element, its children by their local names; what has a nullFlavor counts as absent."""

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def name(self) -> str:
        """The local name."""
        return str(self.node.tag).removeprefix(NAMESPACE)

    @property
    def kind(self) -> str:
        """The declared type without its prefix, such as PQ or CD."""
        return str(self.node.get(_TYPE, "")).rpartition(":")[2]

    def get(self, attribute: str) -> str:
        """An attribute, trimmed."""
        return str(self.node.get(attribute, "")).strip()

    def all(self, path: str) -> list[Element]:
        """The elements at a path of local names such as `recordTarget/patientRole`."""
        return [
            Element(node)
            for node in self.node.iterfind("/".join(NAMESPACE + part for part in path.split("/")))
        ]

    def first(self, path: str) -> Element | None:
        """The first element at a path."""
        return next((item for item in self.all(path) if not item.get("nullFlavor")), None)

    def within(self, name: str) -> Iterator[Element]:
        """Every element of a name, however deep."""
        return (Element(node) for node in self.node.iter(NAMESPACE + name))

    def templates(self) -> set[str]:
        """The template ids that this element claims."""
        return {item.get("root") for item in self.all("templateId")}

    def words(self) -> str:
        """All text within, spaces folded."""
        return " ".join("".join(self.node.itertext()).split())

    def identifier(self) -> str:
        """`root|extension` of the first id that has one."""
        for item in self.all("id"):
            if item.get("root"):
                return f"{item.get('root')}|{item.get('extension')}".rstrip("|")
        return ""

    def moment(self, path: str, zone: ZoneInfo) -> str | None:
        """The first time at a path: its value, else the beginning of its interval."""
        for found in self.all(path):
            low = found.first("low")
            text = found.get("value") or (low.get("value") if low else "")
            if not found.get("nullFlavor") and (moment := compact_moment(text, zone)):
                return moment
        return None

    def ending(self, path: str, zone: ZoneInfo) -> str | None:
        """The end of the interval at a path."""
        high = self.first(f"{path}/high")
        return compact_moment(high.get("value"), zone) if high else None

    def number(self) -> Decimal | None:
        """The `value` attribute as a number, with its digits."""
        text = self.get("value")
        return Decimal(text) if _NUMBER.match(text) else None


def parse(raw: bytes) -> Element:
    """Read a document: bounded, without DTD, entities or external references.

    Raises: Refusal - too large, too deep, no XML, forbidden XML, or no ClinicalDocument.
    """
    if len(raw) > _MAX_BYTES:
        raise Refusal("mapping", "A-271", "El documento pasa de 20 MB. Envíelo sin imágenes incrustadas.")
    try:
        root = fromstring(raw, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        text = "El documento declara DTD o entidades, que no se aceptan por seguridad."
        raise Refusal("mapping", "A-272", text) from None
    except ParseError as error:
        text = "El archivo no es XML válido: puede estar incompleto."
        raise Refusal("mapping", "A-272", text, location=f"línea {error.position[0]}") from None
    except (ValueError, LookupError, UnicodeError, RecursionError):
        raise Refusal("mapping", "A-272", "El archivo no es XML válido.") from None
    if root.tag != NAMESPACE + "ClinicalDocument":
        raise Refusal("mapping", "A-272", "El archivo no es un documento clínico CDA (ClinicalDocument).")
    _check_depth(root)
    return Element(root)


def _check_depth(root: Any) -> None:
    level, nodes = 0, [root]
    while nodes:
        level += 1
        if level > _MAX_DEPTH:
            raise Refusal("mapping", "A-272", "El documento anida demasiados niveles.")
        nodes = [child for node in nodes for child in node]
