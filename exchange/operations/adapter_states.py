"""$adapter-states: how each adapter of the region stands, as Devices, for those who oversee the region.

Spec:    https://hl7.org/fhir/R4/device.html; http://terminology.hl7.org/CodeSystem/device-status-reason; docs/region.md.
Leaves:  what comes in to fleet; figures for programs to rest/metrics.

The Devices are made for the answer and stored nowhere. They tell of facilities and counts, and nothing of a patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from exchange.crypto.page_token import open_token, seal_token
from exchange.fhir.resource import dump
from exchange.fleet.report import Report
from exchange.fleet.state import State, states
from exchange.interactions.bundle_text import bundle, fhir_url
from exchange.interactions.page_binding import holder
from exchange.operations.parameters import INTEGER, TEXT, Given
from exchange.permit import Permit
from exchange.problems import Denied, Malformed, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Transaction

PROPERTIES: Final = "urn:chasqui:adapter-property"
KINDS: Final = "urn:chasqui:adapter-source"
CLIENTS: Final = "urn:chasqui:client"
STATUS_REASON: Final = "http://terminology.hl7.org/CodeSystem/device-status-reason"
_UCUM: Final = "http://unitsofmeasure.org"
_KNOWN: Final = {"facility": TEXT, "_count": INTEGER, "_page": TEXT}
_REASONS: Final = {"online": "Online", "offline": "Offline", "not-ready": "Not Ready", "off": "Off"}
_SECOND: Final = 1_000_000


class AdapterStates:
    """GET or POST Device/$adapter-states.

    Raises: Denied - for everybody who does not oversee the region's events: they are about all facilities.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        if request.resource_type != "Device" or request.resource_id:
            raise NotSupported("$adapter-states is asked of Device", "http.url")
        given = Given(request, _KNOWN)
        self.requester = requester
        self.facility = given.text("facility").removeprefix("Organization/")
        counted = given.one("_count")
        if counted == 0:
            raise Malformed("'_count' is a page's size, from 1 on", "http._count")
        self.counted = counted
        self.count = min(counted or settings().default_page_size, settings().max_page_size)
        self.page = given.text("_page")
        self.need = Need((("AuditEvent", "s"),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """One page of adapters, by facility and client."""
        # 1. A facility's officer and a patient follow events of their own: this is of the whole region.
        if not permit.audit or permit.audit_of != "all":
            raise Denied("the state of adapters is for who oversees the region", reason="adapter states")
        # 2. A page, and where the next one begins.
        bound: list[Any] = [holder(self.requester), "adapter-states", self.facility]
        after = ("", "")
        if self.page:
            organization, client = open_token(transaction.crypto, bound, self.page)
            after = str(organization), str(client)
        found = states(transaction, facility=self.facility, after=after, limit=self.count + 1)
        shown = found[: self.count]
        links = [("self", self._url(""))]
        if len(found) > self.count:
            last = shown[-1]
            token = seal_token(transaction.crypto, bound, [last.organization_id, last.client_id])
            links.append(("next", self._url(token)))
        answer = Answer(body=bundle("searchset", links, [_entry(each, transaction.now) for each in shown]))
        answer.noted = f"adapters looked at: {len(shown)}"
        return answer

    def _url(self, page: str) -> str:
        told = [("facility", self.facility)] if self.facility else []
        told += [("_count", str(self.counted))] if self.counted else []
        told += [("_page", page)] if page else []
        query = urlencode(told, quote_via=quote, safe=":,/")
        return f"{fhir_url()}/Device/$adapter-states" + (f"?{query}" if query else "")


def _entry(state: State, now: int) -> bytes:
    return b'{"fullUrl":"urn:chasqui:adapter:%s","resource":%s,"search":{"mode":"match"}}' % (
        state.client_id.encode(), dump(device(state, now)),
    )  # fmt: skip


def device(state: State, now: int) -> dict[str, Any]:
    """One adapter as a Device."""
    condition, report = state.condition(now), state.report
    made: dict[str, Any] = {
        "resourceType": "Device",
        "id": state.client_id,
        "identifier": [{"system": CLIENTS, "value": state.client_id}],
        "status": "active" if state.is_active else "inactive",
        "statusReason": [_concept(STATUS_REASON, condition, _REASONS[condition])],
        "deviceName": [{"name": state.name, "type": "user-friendly-name"}],
    }
    if report is not None:
        made["type"] = _concept(KINDS, report.source_kind)
        made["version"] = [{"type": {"text": "adapter"}, "value": report.version}]
        if report.mapping_version:
            made["version"].append({"type": {"text": "mapping"}, "value": report.mapping_version})
    properties = [*_of_hub(state, now), *(_of_report(report, now) if report is not None else ())]
    if properties:
        made["property"] = properties
    return made | {"owner": {"reference": f"Organization/{state.organization_id}"}}


def _of_hub(state: State, now: int) -> Iterator[dict[str, Any]]:
    """What the hub itself knows, of an adapter that reports nothing, too."""
    if state.contact_at is not None:
        yield _quantity("last-contact-age", (now - state.contact_at) // _SECOND, "s")
    if state.silent_since is not None:
        yield _quantity("silent-for", (now - state.silent_since) // _SECOND, "s")
    if state.reported_at is not None:
        yield _quantity("last-report-age", (now - state.reported_at) // _SECOND, "s")
    if state.on_time or state.late:
        yield _quantity("delivered-on-time", state.on_time, "{record}")
        yield _quantity("delivered-late", state.late, "{record}")
        yield _quantity("slowest-delivery", state.worst_seconds, "s")


def _of_report(report: Report, now: int) -> Iterator[dict[str, Any]]:
    """What it reported of itself."""
    yield _quantity("pending", report.pending, "{record}")
    yield from _age("oldest-pending-age", report.oldest_pending_at, now)
    yield from _age("running-for", report.started_at, now)
    yield from _age("last-received-age", report.last_received_at, now)
    yield from _age("last-applied-age", report.last_applied_at, now)
    yield _quantity("parked-patients", report.parked_patients, "{patient}")
    yield _quantity("waiting-consent", report.waiting_consent, "{record}")
    yield _quantity("waiting-late", report.waiting_late, "{record}")
    yield _quantity("disk-used", report.disk_used_percent, "%")
    for each in report.quarantine:
        yield _quantity("quarantined", each.times, "{record}") | {
            "valueCode": [
                _concept(f"{PROPERTIES}:reason", each.reason_class),
                _concept("urn:chasqui:adapter-code", each.code),
            ]
        }
    for one in report.unmapped:
        yield _quantity("unmapped", one.times, "{code}") | {
            "valueCode": [_concept(f"urn:chasqui:code-table:{one.table}", one.code)]
        }
    if report.trouble:
        yield {"type": _concept(PROPERTIES, "trouble")} | {
            "valueCode": [_concept("urn:chasqui:adapter-code", report.trouble)]
        }
    yield from _left("client-key-expires-in", report.client_key_expires_at, now)
    yield from _left("certificate-expires-in", report.certificate_expires_at, now)


def _quantity(code: str, value: int, unit: str) -> dict[str, Any]:
    quantity = {"value": value, "unit": unit.strip("{}"), "system": _UCUM, "code": unit}
    return {"type": _concept(PROPERTIES, code), "valueQuantity": [quantity]}


def _age(code: str, at: datetime | None, now: int) -> Iterator[dict[str, Any]]:
    if at is not None:
        yield _quantity(code, max(0, now // _SECOND - int(at.timestamp())), "s")


def _left(code: str, at: datetime | None, now: int) -> Iterator[dict[str, Any]]:
    if at is not None:
        days = (at.astimezone(UTC) - datetime.fromtimestamp(now / _SECOND, UTC)).days
        yield _quantity(code, days, "d")


def _concept(system: str, code: str, display: str = "") -> dict[str, Any]:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]}
