"""One shape for whatever a local system held: the record, its original bytes, and what it was mapped to.

Spec:    docs/adapters.md, "Message"; https://hl7.org/fhir/R4/http.html#transaction.
Leaves:  FHIR building blocks to its modules `person`, `bundle` and `moment`; storing to the outbox.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.fhir.peru import facility_system, organization_id

Resource = dict[str, Any]

REASON_CLASSES: Final = ("mapping", "validation", "identity", "consent", "transport")


def keyed_name(key: bytes, purpose: str, text: str) -> str:
    """A name for something that identifies: the same at this site for ever, and nobody's guess without its key.

    A document has eight digits: whoever could hash as the site does could try all of them.

    Units:  key 32 bytes; 128 bits of HMAC-SHA256 in hexadecimal.
    """
    return hmac.new(key, f"{purpose}|{text}".encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where records come from: one facility, one source system, one prefix of logical ids, one key of ids.

    Units:  renipress is RENIPRESS's code of 8 digits; id_key 32 bytes.
    """

    renipress: str
    id_prefix: str
    system: str
    id_key: bytes = field(repr=False)

    def resource_id(self, resource_type: str, natural_key: str) -> str:
        """The logical id that this resource always has, so that a delivery repeated is the same delivery."""
        name = keyed_name(self.id_key, "resource", f"{self.system}|{resource_type}|{natural_key}")
        return f"{self.id_prefix}-{name}"

    def reference(self, resource_type: str, natural_key: str) -> Resource:
        """A reference to a resource of this origin."""
        return {"reference": f"{resource_type}/{self.resource_id(resource_type, natural_key)}"}

    def organization(self) -> Resource:
        """A reference to the facility."""
        return {"reference": f"Organization/{organization_id(self.renipress)}"}

    def identifier_system(self, kind: str) -> str:
        """The system of an identifier that the facility itself gives."""
        return facility_system(self.renipress, kind)


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What was read: who it is about, what it is called at its source, and every byte of it.

    A statement made later is the newer one, whatever it was last changed at: what takes something away may
    leave an earlier last change. `states_all` says that the record is all that its source still says under
    its natural key: what an earlier version said beyond it was in error. `thing_key` names what is told apart
    from whose it is, where a source may give it to another patient later. `sending` is what the record itself says
    of its patient's authorisation to send it, where it says anything.

    Units:  received_at, source_time (of the latest change) and stated_at (of the export) are FHIR instants;
            original is what the source wrote.
    """

    facility: str
    system: str
    natural_key: str
    patient_key: str
    original: bytes = field(repr=False)
    received_at: str
    location: str = ""
    source_time: str | None = None
    merged_patient_key: str | None = None
    context: str = ""
    stated_at: str | None = None
    states_all: bool = False
    thing_key: str = ""
    sending: bool | None = None

    @property
    def content_hash(self) -> str:
        """The hash of the original bytes and of what else they were read with: equal means restated.

        It never leaves the process as it is: what few bytes say could be found by trying.
        """
        return hashlib.sha256(self.original + b"\x1f" + self.context.encode()).hexdigest()

    def message_id(self, id_key: bytes) -> str:
        """The name under which this very content travels, the same at every attempt."""
        text = f"{self.facility}|{self.system}|{self.content_hash}|{self.natural_key}"
        return keyed_name(id_key, "message", text)

    @property
    def recorded(self) -> str:
        """The instant that Provenance carries: the source's own where it says one."""
        return self.source_time or self.received_at


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource to be written.

    `only_if_absent` marks one that is left out where `known_as` (the resource itself unless told) was
    written before: a poorer version, or a repeat of a fact.
    """

    resource: Resource
    only_if_absent: bool = False
    known_as: str = ""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A source record beside its FHIR; `unmapped` names (table, code) pairs that passed as text."""

    record: SourceRecord
    entries: tuple[Entry, ...]
    unmapped: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):  # noqa: N818 - a refusal is a value with a class and a code, not only an error
    """A record that cannot be delivered as it is: it waits in quarantine for a person.

    `text` is what the IT desk reads, in Spanish, and never repeats a value of the record. `parks` says
    whether the patient's later records must wait for it.
    """

    def __init__(
        self,
        reason_class: str,
        code: str,
        text: str,
        *,
        location: str = "",
        parks: bool = False,
    ) -> None:
        super().__init__(f"{code} {text}")
        self.reason_class = reason_class
        self.code = code
        self.text = text
        self.location = location
        self.parks = parks


@dataclass(frozen=True, slots=True)
class Refused:
    """A source record beside the reason why it was not mapped."""

    record: SourceRecord
    refusal: Refusal


Outcome = Mapped | Refused
