"""One act asked of the hub and its answer, free of HTTP: what every door hands to the spine.

Spec:    https://hl7.org/fhir/R4/http.html
Leaves:  methods, paths, headers and status codes to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from exchange.problems import Problem

Interaction = Literal[
    "capabilities", "read", "vread", "update", "patch", "delete", "create", "history-instance",
    "history-type", "history-system", "search-type", "search-system", "transaction", "batch", "operation",
]  # fmt: skip

Outcome = Literal["ok", "created", "updated", "unchanged", "existing", "deleted", "not-modified"]
"""`existing` is what a conditional create found instead of creating."""

WRITES: Final = frozenset({"created", "updated", "unchanged", "existing"})
"""Outcomes whose body is shown only where the caller prefers it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `query` keeps order and repetition; `body` is the text as it came.

    `resource` stands in for `body` where the text has been parsed already (entries of a bundle). `content_type` is the
    body's, without parameters and in small letters. A conditional update, patch or delete has criteria in `query` and
    no `resource_id`. `compartment` is the (type, id) whose compartment a search stays in. `is_safe` says that it came by
    GET or HEAD and so changes nothing, `is_head` that an entry of a bundle wants no body; `prefer` is the return
    preference that was stated, "" where none was.
    """

    interaction: Interaction
    resource_type: str = ""
    resource_id: str = ""
    version_id: str = ""
    operation: str = ""
    compartment: tuple[str, str] | None = None
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = ""
    resource: dict[str, Any] | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None
    if_modified_since: str | None = None
    is_lenient: bool = False
    is_safe: bool = False
    is_head: bool = False
    prefer: str = ""
    request_id: str = ""
    described: str = ""
    """The request line as the audit event keeps it: method, path and query."""
    address: str = ""
    """Where the connection came from; "" where there was none."""


@dataclass(frozen=True, slots=True)
class Need:
    """What an act must be allowed: the decision reads nothing else of it.

    actions    pairs of a resource type and a SMART letter (c r u d s): the token's scopes must cover all
    target     (type, id) of the one resource that is read; empty otherwise
    patients   Patient ids that a search names; each inner tuple is one criterion, any of its ids suffices
    is_write   whether the act writes: then only the requester's own records and the directory are in reach
    cases      whether the act is about emergency cases: to `follow` or to `close` them
    """

    actions: tuple[tuple[str, str], ...]
    target: tuple[str, str] | None = None
    patients: tuple[tuple[str, ...], ...] = ()
    is_write: bool = False
    cases: Literal["", "follow", "close"] = ""


@dataclass(frozen=True, slots=True)
class Touched:
    """A patient's record that an act read or wrote, and the versions that it showed: `Type/id/_history/n`."""

    compartment: int
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Linkage:
    """What writing a Patient changed between two records: they are of one person, no more, or a person has to judge.

    Spec: IHE ITI PIXm (patient cross-reference).
    """

    kind: Literal["link", "unlink", "review"]
    compartment: int
    other: int
    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """A resource version that an act stored; `resource` is None when it was deleted."""

    resource_type: str
    resource_id: str
    compartment: int
    resource: dict[str, Any] | None
    linkage: tuple[Linkage, ...] = ()


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
    written: list[Written] = field(default_factory=list)
    noted: str = ""
    """What the act's own event says of it beside the rules that decided; nothing of it reaches the caller."""
    entries: list[Answer | Problem] = field(default_factory=list)
    """What each entry of a batch or transaction came to."""
    bundle: Literal["", "batch-response", "transaction-response"] = ""
    """The kind of Bundle that the entries stand in."""
    reads: list[tuple[int, Request]] = field(default_factory=list)
    """Entries of a transaction that read: each decided on its own, after what the transaction wrote."""
    pieces: Callable[..., Answer | None] | None = None
    """Further parts of the body: called with a transaction and a permit of its own until it gives None."""
    stream: Iterator[bytes] | None = None
    """The body in parts, where it is not in `body`."""

    @property
    def reference(self) -> str:
        """The version of the one resource that is answered, as `Type/id/_history/n`; "" where it is none."""
        if not (self.resource_id and self.version_id):
            return ""
        return f"{self.resource_type}/{self.resource_id}/_history/{self.version_id}"
