"""What was ordered, done and dispensed at an attention.

Spec:    https://hl7.org/fhir/R4/servicerequest.html, procedure.html, medicationdispense.html; docs/decisions/0031.
Leaves:  results, which the laboratory's own system sends.

A voided bill takes back what was asked, not what happened: the request is revoked, and what was told as done because
of it is no longer said, so that the outbox withdraws it. The attention and its diagnoses stay as they are.
"""

from __future__ import annotations

from adapters.galenhos.hospital import Gathered
from adapters.galenhos.reading import Branch, Case
from adapters.galenhos.values import Fields, moment, name_of, number
from adapters.source_record import Resource
from adapters.source_record.bundle import flag_unmapped


def orders(gathered: Gathered, encounter: Resource, case: Case) -> None:
    """Each item of an order as a request; and as a procedure where it was done and the order stands."""
    for order in case.orders:
        state = gathered.hospital.meaning("order", "state", order.fields)
        asked = _when(gathered, encounter, order.fields, "date", "time")
        for fields in order.items:
            if fields.get("code") or fields.get("words"):
                request = _request(gathered, encounter, order, fields, state, asked)
                done = _when(gathered, encounter, fields, "done_date", "done_time")
                if state == "active" and done:
                    request["status"] = "completed"
                    _procedure(gathered, encounter, fields, request, done)


def dispenses(gathered: Gathered, encounter: Resource, case: Case) -> None:
    """Each product that the pharmacy gave, where its movement stands."""
    for movement in case.dispenses:
        state = gathered.hospital.meaning("dispense", "state", movement.fields)
        if state == "void":
            continue
        if state is None and movement.fields.get("state"):
            gathered.miss(encounter, "estado_movimiento", movement.fields["state"])
            continue
        given = _when(gathered, encounter, movement.fields, "date", "time")
        for fields in movement.items:
            if fields.get("code") or fields.get("words"):
                _dispense(gathered, encounter, fields, given)


def _request(
    gathered: Gathered,
    encounter: Resource,
    order: Branch,
    fields: Fields,
    state: str | None,
    asked: str | None,
) -> Resource:
    request = gathered.add("ServiceRequest", f"orden|{name_of(fields)}")
    system = gathered.hospital.origin.identifier_system("orden")
    request["identifier"] = [{"system": system, "value": f"{name_of(order.fields)}-{name_of(fields)}"}]
    request["status"] = {"active": "active", "void": "revoked"}.get(state or "", "unknown")
    if state is None:
        gathered.miss(request, "estado_facturacion", order.fields.get("state", "NULL"))
    request["intent"] = "order"
    request["code"] = gathered.coded(request, fields, "procedure")
    if amount := number(fields.get("quantity", "")):
        request["quantityQuantity"] = {"value": amount}
    request["subject"] = gathered.subject
    request["encounter"] = {"reference": f"Encounter/{encounter['id']}"}
    if asked:
        request["authoredOn"] = asked
    request["requester"] = gathered.hospital.origin.organization()
    return request


def _procedure(gathered: Gathered, encounter: Resource, fields: Fields, request: Resource, done: str) -> None:
    procedure = gathered.add("Procedure", f"orden|{name_of(fields)}")
    procedure["basedOn"] = [{"reference": f"ServiceRequest/{request['id']}"}]
    procedure["status"] = "completed"
    procedure["code"] = request["code"]
    if "meta" in request:
        flag_unmapped(procedure)
    procedure["subject"] = gathered.subject
    procedure["encounter"] = {"reference": f"Encounter/{encounter['id']}"}
    procedure["performedDateTime"] = done


def _dispense(gathered: Gathered, encounter: Resource, fields: Fields, given: str | None) -> None:
    dispense = gathered.add("MedicationDispense", f"despacho|{name_of(fields)}")
    dispense["status"] = "completed"
    dispense["medicationCodeableConcept"] = gathered.coded(dispense, fields, "medication")
    dispense["subject"] = gathered.subject
    dispense["context"] = {"reference": f"Encounter/{encounter['id']}"}
    amount = number(fields.get("quantity", ""))
    if amount:
        unit = {"unit": fields["unit"]} if fields.get("unit") else {}
        dispense["quantity"] = {"value": amount, **unit}
    elif fields.get("quantity"):
        dispense["note"] = [{"text": f"Cantidad: {fields['quantity']}"}]
    if given:
        dispense["whenHandedOver"] = given


def _when(gathered: Gathered, encounter: Resource, fields: Fields, day: str, clock: str) -> str | None:
    """A moment; one that cannot be read is left out and counted, for it is not the fact itself."""
    try:
        return moment(fields, day, gathered.hospital.zone, clock)
    except ValueError:
        gathered.miss(encounter, "fecha", day)
        return None
