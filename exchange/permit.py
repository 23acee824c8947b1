"""What a decision lets one request reach: every read of the store takes a Permit.

Leaves:  making one to consent/decision, which alone may construct it (an architecture test says so).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AuditOf = Literal["all", "facility", "records"]


@dataclass(frozen=True, slots=True)
class Emergency:
    """What an open emergency case adds: records, the confidentialities open in them, and the resource types."""

    compartments: tuple[int, ...]
    opened: tuple[int, ...]
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Permit:
    """The reach of one request, as predicates that the store puts inside its queries.

    compartments  the source patient records that may be read; None stands for "every record that the rules
                  below allow", for searches that name no patient
    beside        records of others that share resources with those: only what is shared may be read there
    named         for each criterion that names patients, the records among `compartments` that it asks for
    custodian     the requester's own facility: a facility always sees what it produced
    actors        the facility, its parents, the system and the person, as consent rules name them
    opened        facets of the confidentialities that are open in whole records, see policy/facets
    judged        records whose consents speak of content: each row is judged
    assumed       authorisations that the policy assumes, as bits: 2 is sending
    emergency     what an open emergency case adds
    patients      Patients, as references, that are known to be in sight: of records that are open as a whole
    purpose       the purpose of use, as a v3 ActReason code
    decided_at    microseconds since 1970 UTC: consents are judged at this instant
    types         resource types that the token's scopes let it read; None means all
    audit         whether audit events, and nothing of a chart, may be read
    audit_of      whose: `all`, those of the `facility`, or those of the `records` in `compartments`
    reason        which rules made the decision; for the audit log, never for the caller
    """

    compartments: tuple[int, ...] | None
    custodian: int
    actors: tuple[int, ...]
    purpose: str
    decided_at: int
    types: frozenset[str] | None
    audit: bool
    reason: str
    beside: tuple[int, ...] = ()
    named: tuple[tuple[int, ...], ...] = ()
    opened: tuple[int, ...] = ()
    judged: tuple[int, ...] = ()
    assumed: int = 0
    emergency: Emergency | None = None
    patients: frozenset[str] = frozenset()
    audit_of: AuditOf = "all"

    def reads(self, resource_type: str) -> bool:
        """Whether rows of the type may be in the answer at all (includes obey this too)."""
        if (resource_type == "AuditEvent") != self.audit:
            return self.audit and resource_type in DIRECTORY_TYPES
        return self.types is None or resource_type in self.types


DIRECTORY_TYPES: frozenset[str] = frozenset(
    {
        "ActivityDefinition", "CapabilityStatement", "CodeSystem", "CompartmentDefinition", "ConceptMap",
        "Endpoint", "HealthcareService", "ImplementationGuide", "Location", "Medication",
        "MedicationKnowledge", "NamingSystem", "OperationDefinition", "Organization",
        "OrganizationAffiliation", "PlanDefinition", "Practitioner", "PractitionerRole", "Questionnaire",
        "SearchParameter", "StructureDefinition", "Substance", "ValueSet",
    }
)  # fmt: skip
"""Types that describe the region and no patient: every authenticated client with the scope may read them.

Any other resource that names no patient is seen by its custodian alone.
"""
