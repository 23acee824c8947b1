"""The FHIR server that is read: its address, which types of it are taken, and how a reference of it is told here.

Spec:    https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adapters.settings.identifiers import IdentifierRule
from adapters.source_record import Origin, Resource
from exchange.fhir.datatype import parse_reference

URI_SYSTEM: Final = "urn:ietf:rfc:3986"
_RESOURCE_ID: Final = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "RI"}],
    "text": "Recurso en el servidor de origen",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One site's server."""

    origin: Origin
    url: str
    types: frozenset[str]
    rules: tuple[IdentifierRule, ...] = ()

    def named(self, resource_type: str, logical_id: str) -> str:
        """The logical id that a resource of this server has at the exchange."""
        return self.origin.resource_id(resource_type, f"{resource_type}/{logical_id}")

    def address(self, resource_type: str, logical_id: str) -> Resource:
        """Where a resource stands at its source, as an identifier."""
        return {
            "type": _RESOURCE_ID,
            "system": URI_SYSTEM,
            "value": f"{self.url}/{resource_type}/{logical_id}",
        }

    def local(self, text: str) -> tuple[str, str] | None:
        """Type and id of what a reference means on this server; nothing where it means something elsewhere."""
        found = parse_reference(text)
        if found.type is None or found.id is None or found.fragment is not None:
            return None
        if found.base is not None and found.base.rstrip("/") != self.url:
            return None
        return found.type, found.id


def retold(server: Server, node: Any) -> Any:
    """A resource, or a part of one, whose references mean at the exchange what they meant at the source.

    1. What is taken is named by this site's ids.
    2. What is contained stays as it is.
    3. What is not taken is named by its identifier, or by its address, and keeps its display: never a dead link.
    """
    if isinstance(node, list):
        return [retold(server, item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: retold(server, value) for key, value in node.items()}
    text = found.get("reference")
    if isinstance(text, str) and "resourceType" not in found:
        local = server.local(text)
        # 1.
        if local is not None and local[0] in server.types:
            found["reference"] = f"{local[0]}/{server.named(*local)}"
        # 2.
        elif not text.startswith("#"):
            # 3.
            found.pop("reference")
            if local is not None:
                found.setdefault("type", local[0])
                text = f"{server.url}/{local[0]}/{local[1]}"
            elif ":" not in text:
                text = f"{server.url}/{text}"
            found.setdefault("identifier", {"system": URI_SYSTEM, "value": text})
    return found
