"""What operators measure, in the text that Prometheus reads: each adapter, and the hub's own few figures.

Spec:    https://prometheus.io/docs/instrumenting/exposition_formats/; docs/region.md, "Metrics"
Leaves:  the figures to the fleet's desk, by way of perform; graphs and alarms on them to the operators' own programs.

It is no event of the audit log: it counts, names no patient, and is asked every few seconds. A refused try is one. Labels
are what registrations and code tables bound: clients, facilities, classes; never what a record says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from exchange.fleet.tally import BUCKETS
from exchange.perform import Spine
from exchange.problems import NotFound, Problem, Unauthenticated
from exchange.request import Request as Asked
from exchange.rest import negotiation
from exchange.rest.outcome import problem_response
from exchange.rest.rendering import finished

if TYPE_CHECKING:
    from exchange.fleet.desk import Measured
    from exchange.fleet.state import State

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
RECENT_DAYS: Final = 7
_SECOND: Final = 1_000_000
_WHO: Final = ("client", "facility")

router: Final = APIRouter()


@router.get("/metrics", tags=["open"])
def metrics(request: Request) -> Response:
    """The figures, for whoever has the token that the operators set; where they set none, there is nothing here."""
    spine: Spine = request.app.state.spine
    if not spine.fleet.has_metrics:
        return problem_response(NotFound("there is nothing at this address"))
    told = request.headers.getlist("authorization")
    scheme, _, token = (told[0] if len(told) == 1 else "").partition(" ")
    try:
        if scheme.lower() != "bearer" or not spine.fleet.is_metrics_token(token):
            address = request.client.host if request.client else ""
            asked = Asked(
                interaction="operation", operation="metrics", described="GET /metrics", address=address,
                request_id=negotiation.request_id(request.headers),
            )  # fmt: skip
            problem = Unauthenticated("the metrics have a token of their own")
            spine.refuse(asked, None, problem)
            raise problem
        text = exposition(spine.fleet.measured())
    except Problem as problem:
        return problem_response(problem)
    answer = Response(text, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
    return finished(answer, request.headers)


def exposition(measured: Measured) -> bytes:
    """The figures as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(measured))
    return generate_latest(registry)


class _Figures(Collector):
    """One look's figures."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured

    def describe(self) -> list[Metric]:
        """Nothing beforehand: the names stand below."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family of figures."""
        told = self._measured
        yield from _of_hub(told)
        yield _requests(told)
        yield from _of_adapters(told.adapters, told.now)


def _of_hub(told: Measured) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "chasqui_audit_unsealed_events", "Events without a place in the audit log's tree yet.", told.unsealed
    )
    yield GaugeMetricFamily(
        "chasqui_audit_sealing_lag_seconds",
        "Age of the oldest event without a place.",
        told.sealing_lag_seconds,
    )


def _requests(told: Measured) -> Metric:
    """Requests of all server processes together."""
    family = HistogramMetricFamily(
        "chasqui_requests_seconds",
        "FHIR requests by interaction and class of status.",
        labels=("interaction", "status"),
    )
    places: dict[tuple[str, str], dict[int, list[int]]] = {}
    for name, cell in told.requests.items():
        interaction, status, place = name.split("|")
        places.setdefault((interaction, f"{status}xx"), {})[int(place)] = cell
    bounds = [*map(str, BUCKETS), "+Inf"]
    for labels, cells in sorted(places.items()):
        total, buckets = 0, []
        for number, bound in enumerate(bounds):
            total += cells[number][0] if number in cells else 0
            buckets.append((bound, float(total)))
        family.add_metric(labels, buckets, sum(each[1] for each in cells.values()) / _SECOND)
    return family


def _of_adapters(adapters: Sequence[State], now: int) -> Iterator[Metric]:
    known = [each for each in adapters if each.contact_at is not None]
    yield _gauge("last_contact_age_seconds", "Since the last report or token.",
                 [(each, (now - (each.contact_at or 0)) / _SECOND) for each in known])  # fmt: skip
    yield _gauge("silent", "Whether it has said nothing for longer than it may.",
                 [(each, each.is_silent(now)) for each in adapters])  # fmt: skip
    yield _gauge("ready", "Whether it is online and in no trouble.",
                 [(each, each.condition(now) == "online") for each in adapters])  # fmt: skip
    told = [(each, each.report) for each in adapters if each.report is not None]
    yield _gauge("pending_records", "Waiting to be sent.", [(one, it.pending) for one, it in told])
    yield _gauge("oldest_pending_age_seconds", "Age of the oldest record that waits to be sent.", [
        (one, max(0.0, now / _SECOND - it.oldest_pending_at.timestamp()))
        for one, it in told if it.oldest_pending_at is not None
    ])  # fmt: skip
    yield _gauge("parked_patients", "Patients whose records wait behind one in quarantine.",
                 [(one, it.parked_patients) for one, it in told])  # fmt: skip
    yield _gauge("waiting_consent_records", "Waiting for the consent to send.",
                 [(one, it.waiting_consent) for one, it in told])  # fmt: skip
    yield _gauge("disk_used_ratio", "Of the disk of its data folder.",
                 [(one, it.disk_used_percent / 100) for one, it in told])  # fmt: skip
    yield _gauge("waiting_late_records", "Not delivered although care closed more than 24 h ago.",
                 [(one, it.waiting_late) for one, it in told])  # fmt: skip
    yield _with("quarantined_records", "Waiting for a person.", "reason", [
        (one, kind, sum(each.times for each in it.quarantine if each.reason_class == kind))
        for one, it in told for kind in sorted({each.reason_class for each in it.quarantine})
    ])  # fmt: skip
    yield _with("recent_records", f"Delivered in the last {RECENT_DAYS} days, on time within 24 h of the close of care.",
                "timeliness", [(each, name, value) for each in adapters
                               for name, value in (("on-time", each.on_time), ("late", each.late))])  # fmt: skip
    yield _with("trouble", "What bars its way to the hub, by its code.", "code",
                [(one, it.trouble, 1) for one, it in told if it.trouble])  # fmt: skip
    yield _with("info", "Its version.", "version", [(one, it.version, 1) for one, it in told])


def _gauge(name: str, words: str, rows: Sequence[tuple[State, float]]) -> Metric:
    family = GaugeMetricFamily(f"chasqui_adapter_{name}", words, labels=_WHO)
    for each, value in rows:
        family.add_metric((each.client_id, each.organization_id), float(value))
    return family


def _with(name: str, words: str, label: str, rows: Sequence[tuple[State, str, float]]) -> Metric:
    family = GaugeMetricFamily(f"chasqui_adapter_{name}", words, labels=(*_WHO, label))
    for each, told, value in rows:
        family.add_metric((each.client_id, each.organization_id, told), float(value))
    return family
