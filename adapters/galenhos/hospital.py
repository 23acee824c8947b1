"""The hospital whose GalenHos is read, and what is gathered of one of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from adapters.code_map import CodeMap, Coding, concept
from adapters.galenhos.column_map import ColumnMap
from adapters.galenhos.values import Fields
from adapters.source_record import Entry, Origin, Resource
from adapters.source_record.bundle import flag_unmapped


@dataclass(frozen=True, slots=True)
class Hospital:
    """A site of GalenHos: the map says what its codes mean."""

    origin: Origin
    zone: ZoneInfo
    codes: CodeMap
    column_map: ColumnMap

    def meaning(self, entity: str, name: str, fields: Fields) -> str | None:
        """What the code in a field means by the map."""
        found = self.column_map.get(entity)
        return found.meaning(name, fields[name]) if found is not None and name in fields else None


@dataclass(slots=True)
class Gathered:
    """The resources of one record, and the codes that had no translation."""

    hospital: Hospital
    record_key: str
    subject: Resource
    entries: list[Entry] = field(default_factory=list)
    unmapped: list[tuple[str, str]] = field(default_factory=list)

    def add(self, resource_type: str, name: str) -> Resource:
        """The beginning of a resource of this record; where a key is there twice, the later row replaces the earlier."""
        resource = self.named(resource_type, name)
        names = (resource["resourceType"], resource["id"])
        self.entries = [
            entry for entry in self.entries if (entry.resource["resourceType"], entry.resource["id"]) != names
        ]
        self.entries.append(Entry(resource))
        return resource

    def named(self, resource_type: str, name: str) -> Resource:
        """Type and id of a resource of this record."""
        key = f"{self.record_key}|{name}" if name else self.record_key
        return {"resourceType": resource_type, "id": self.hospital.origin.resource_id(resource_type, key)}

    def miss(self, resource: Resource, table: str, code: str) -> None:
        """A code that passes as text: flagged and counted, never guessed."""
        flag_unmapped(resource)
        self.unmapped.append((table, code))

    def coded(self, resource: Resource, fields: Fields, table: str) -> Resource:
        """The concept of a row with `code` and `words`, by the site's table."""
        code, words = fields.get("code", ""), fields.get("words", "")
        standard = self.hospital.codes.find(table, code) if code else None
        if standard is None:
            self.miss(resource, table, code or "(solo texto)")
        local = (
            Coding(self.hospital.origin.identifier_system(f"codigo-{table}"), code)
            if code
            else Coding("", "")
        )
        return concept(local, standard, text=words or code)
