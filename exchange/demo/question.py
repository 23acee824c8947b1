"""The demonstration's question: a hospital asks for one person, without a Consent and with one, and what is logged of it.

Leaves:  the Consent and counting answers to answers; who the clients are to demonstration.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console

from exchange.demo.answers import by_source, consent, matches
from exchange.demo.client import FhirClient
from exchange.demo.region import Region
from exchange.fhir import peru
from exchange.problems import Unavailable

ASKING_SCOPE: Final = "system/*.rs"
AUDIT_SCOPE: Final = "system/AuditEvent.rs system/Organization.crus"
FILING_SCOPE: Final = "system/Consent.crus system/Patient.rs"


class Question:
    """One person of the region, asked for by the regional hospital. `client` opens one of the demonstration's clients."""

    def __init__(self, region: Region, client: Callable[[str, str], FhirClient]) -> None:
        self._region = region
        self._client = client
        self._requests: list[str] = []

    @property
    def dni(self) -> str:
        """The national document of the person."""
        return next(each.number for each in self._region.shared_person().documents if each.kind == "DNI")

    def ask(self, consent_id: str) -> dict[str, Any]:
        """The answers `without` a Consent and with one that is `permitted`: patients and history each.

        Raises: Unavailable - the hub refuses, or the primary post does not hold the person.
        """
        desk = self._client("desk-primary", FILING_SCOPE)
        hospital = self._client("regional-hospital", ASKING_SCOPE)
        identifier = f"{peru.DNI_SYSTEM}|{self.dni}"
        found = desk.request("GET", "Patient", parameters=[("identifier", identifier)])
        if found.is_error:
            raise Unavailable(f"the hub refused a search with status {found.status_code}; see log/hub.log")
        own = matches(found.json())
        if len(own) != 1:
            raise Unavailable("the primary post does not hold the demonstration's person")
        answers = {}
        for name, status in (("without", "inactive"), ("permitted", "active")):
            body = consent(consent_id, own[0]["id"], self._region.asking.renipress, status)
            desk.request("PUT", f"Consent/{consent_id}", body=body).raise_for_status()
            answers[name] = self._history(hospital, identifier, own[0]["id"])
        desk.close()
        hospital.close()
        return answers

    def _history(self, hospital: FhirClient, identifier: str, patient_id: str) -> dict[str, Any]:
        """The patients that the hospital finds, and the whole record of the first, or of one that it knows of."""
        patients = matches(self._answer(hospital, "Patient", identifier=identifier))
        asked = patients[0]["id"] if patients else patient_id
        return {
            "patients": patients,
            "history": matches(self._answer(hospital, f"Patient/{asked}/$everything")),
        }

    def _answer(self, hospital: FhirClient, path: str, **parameters: str) -> dict[str, Any]:
        self._requests.append(str(uuid.uuid4()))
        answer = hospital.request(
            "GET", path, parameters=list(parameters.items()), headers={"X-Request-Id": self._requests[-1]}
        )
        found: dict[str, Any] = answer.json()
        return found

    def tell(self, out: Console, answers: dict[str, Any]) -> None:
        """Print what was answered, and the events that tell of it."""
        count = len(answers["without"]["history"])
        out.print(f"    without a Consent: {count} resources, as if nothing existed")
        history = answers["permitted"]["history"]
        out.print(f"    with a Consent: {len(history)} resources of one person")
        for source, counts in sorted(by_source(history).items()):
            kinds = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            out.print(f"      {source}: {kinds}")
        out.print("    the audit trail of these requests:")
        for event in self._trail():
            what = [
                entity["what"].get("reference", "") for entity in event.get("entity", ()) if "what" in entity
            ]
            shown = ", ".join(dict.fromkeys(each for each in what if each.startswith("Patient/")))
            out.print(
                f"      {event['recorded']} {event['subtype'][0]['code']:11} outcome {event['outcome']}"
                f" {event['agent'][0]['who'].get('display', '')} {shown or 'nobody'}: {event.get('outcomeDesc', '')}"
            )

    def _trail(self) -> list[dict[str, Any]]:
        administrator = self._client("administrator", AUDIT_SCOPE)
        asking = f"Organization/{peru.organization_id(self._region.asking.renipress)}"
        found = administrator.request(
            "GET", "AuditEvent", parameters=[("agent", asking), ("_sort", "date"), ("_count", "1000")]
        )
        administrator.close()
        wanted = set(self._requests)
        return [
            event
            for event in matches(found.json())
            if wanted
            & {e.get("what", {}).get("identifier", {}).get("value", "") for e in event.get("entity", ())}
        ]
