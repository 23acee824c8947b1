"""One act asked of the hub and its answer, free of HTTP: what every door hands to the spine.

Spec:    https://hl7.org/fhir/R4/http.html
Leaves:  methods, paths, headers and status codes to rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Interaction = Literal[
    "capabilities", "read", "vread", "update", "delete", "create", "history-instance",
    "search-type", "transaction", "batch", "operation",
]  # fmt: skip

Outcome = Literal["ok", "created", "updated", "unchanged", "deleted", "not-modified"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `query` keeps order and repetition; `body` is the text as it came.

    `resource` stands in for `body` where the text has been parsed already (entries of a bundle).
    """

    interaction: Interaction
    resource_type: str = ""
    resource_id: str = ""
    version_id: str = ""
    operation: str = ""
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    resource: dict[str, Any] | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None
    is_lenient: bool = False
    request_id: str = ""
    described: str = ""
    """The request line as the audit event keeps it: method, path and query."""


@dataclass(slots=True)
class Answer:
    """What is answered. `body` is finished JSON text; `touched` says what the audit must name."""

    outcome: Outcome = "ok"
    body: bytes = b""
    resource_type: str = ""
    resource_id: str = ""
    version_id: int = 0
    last_updated: int = 0
    touched: list[Touched] = field(default_factory=list)
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Touched:
    """A patient's record that an act read or wrote: the compartment, and up to a few references in it."""

    compartment: int
    references: tuple[str, ...] = ()
    patient_id: str = ""
    count: int = 1
