"""The closed set of things that can go wrong, each with its FHIR issue code.

Spec:    https://hl7.org/fhir/R4/valueset-issue-type.html
Leaves:  HTTP status codes to rest/outcome.

Diagnostics name elements, parameters and rules; they never repeat a value that somebody sent.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue: severity `error` or `warning`, a FHIR issue code, a text, an element.

    Units:  expression is a FHIRPath such as `Patient.name[0].family`, or `http.` + parameter for requests.
    """

    code: str
    diagnostics: str
    expression: str | None = None
    severity: str = "error"


class Problem(Exception):  # noqa: N818 - a problem is a value with a category, not only an error
    """Any refusal or failure that becomes an OperationOutcome.

    `issues` is what the caller reads. Subclasses fix the FHIR issue code.
    """

    code = "exception"

    def __init__(self, diagnostics: str, expression: str | None = None, *, code: str | None = None) -> None:
        super().__init__(diagnostics)
        self.issues: tuple[Issue, ...] = (Issue(code or self.code, diagnostics, expression),)
        self.reason = ""
        """What decided, for the audit log and never for the caller."""

    @classmethod
    def of(cls, issues: list[Issue]) -> Problem:
        """A problem of this class that carries several issues, first one first."""
        problem = cls(issues[0].diagnostics, issues[0].expression, code=issues[0].code)
        problem.issues = tuple(issues)
        return problem


class Malformed(Problem):
    """The text is no JSON, no FHIR resource, or breaks FHIR's structure (400)."""

    code = "structure"


class Invalid(Problem):
    """The resource is well formed and breaks a rule of its type, profile or this exchange (422)."""

    code = "invalid"


class NotSupported(Problem):
    """A parameter, modifier, interaction or format that this hub does not have (400)."""

    code = "not-supported"


class WrongMethod(NotSupported):
    """An act that changes something, asked for by a method that may change nothing (405)."""


class TooCostly(Problem):
    """The request exceeds a bound on size, depth, matches or time (413)."""

    code = "too-costly"


class Unauthenticated(Problem):
    """No valid access token (401)."""

    code = "login"


class Throttled(Problem):
    """The caller asks more often, or for more people, than it may (429)."""

    code = "throttled"

    def __init__(self, diagnostics: str, retry_after_seconds: int) -> None:
        super().__init__(diagnostics)
        self.retry_after_seconds = retry_after_seconds


class Denied(Problem):
    """The requester may not do this (403). `reason` goes to the audit log and never to the caller."""

    code = "forbidden"

    def __init__(self, diagnostics: str, expression: str | None = None, *, reason: str) -> None:
        super().__init__(diagnostics, expression)
        self.reason = reason


class NotFound(Problem):
    """Absent, or hidden: the two look the same (404)."""

    code = "not-found"


class Gone(Problem):
    """Deleted, and the caller may see that it was (410)."""

    code = "deleted"


class Conflict(Problem):
    """Two writers met, or a rule of the store stands against the write (409)."""

    code = "conflict"


class PreconditionFailed(Problem):
    """If-Match or a conditional criterion did not hold (412)."""

    code = "conflict"


class KeyDestroyed(Problem):
    """The data key of this record was destroyed: an erased record (410)."""

    code = "deleted"


class SealBroken(Problem):
    """A sealed row does not open: altered, moved or sealed under another key (500)."""

    code = "security"


class Unavailable(Problem):
    """The store, the disk or a key provider does not answer now; trying again may help (503)."""

    code = "transient"
