"""What consent costs: the same search of own records without consents, and of others' records with many in play.

The two kinds of request take turns on one connection, so that the machine's noise is in both.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from exchange.consent.decision import decide
from exchange.hub import Hub
from exchange.request import Need
from exchange.requester import Requester, parse_scopes
from tests.benchmark.load import Connection, prepared
from tests.sample.consent import a_consent, a_provision

PATIENTS = 20
CONSENTS = 200
SAMPLES = 600
DECISIONS = 3_000


class ConsentCost:
    """The cost of consents on one hub. `owner` and `asker` give tokens of two facilities."""

    def __init__(
        self,
        hub: Hub,
        port: int,
        owner: Callable[[], str],
        asker: Callable[[], str],
        asking: str,
        figures: dict[str, Any],
    ) -> None:
        self.hub, self.owner, self.asker, self.asking, self.figures = hub, owner, asker, asking, figures
        self.connection = Connection("127.0.0.1", port)

    def measure(self, patients: list[str]) -> None:
        """File consents of some patients; compare searches of theirs by another facility with the owner's of others."""
        with_consents, without, by_content = (
            patients[:PATIENTS], patients[PATIENTS : 2 * PATIENTS], patients[2 * PATIENTS : 3 * PATIENTS],
        )  # fmt: skip
        began = time.monotonic()
        for patient in with_consents:
            self._file(patient, self._many(patient))
        for patient in by_content:
            self._file(patient, [self._but_psychiatry(patient)])
        filing = (time.monotonic() - began) / (PATIENTS * (CONSENTS + 1)) * 1000
        print(f"consents filed: {filing:.2f} ms each, {CONSENTS} a transaction", flush=True)
        base, many, content = self._in_turn(
            [(self.owner, without), (self.asker, with_consents), (self.asker, by_content)]
        )
        self.figures["consent_search_ratio"] = round(many / base, 2)
        self.figures["consent_content_search_ratio"] = round(content / base, 2)
        print(f"patient search p50: own without consents {base:.2f} ms, another's with {CONSENTS} consents {many:.2f} ms,"
              f" another's with a consent about content {content:.2f} ms", flush=True)  # fmt: skip
        self.figures["decision_p99_ms"] = self._decisions(with_consents + by_content)
        self.connection.close()

    def _many(self, patient: str) -> list[dict[str, Any]]:
        actors = [f"bench-facility-{number}" for number in range(CONSENTS - 1)] + [self.asking]
        return [
            a_consent(
                f"bench-{patient}-{number}",
                patient,
                provision=a_provision("permit", actors=[each], purposes=["TREAT"]),
            )
            for number, each in enumerate(actors)
        ]

    def _but_psychiatry(self, patient: str) -> dict[str, Any]:
        code = [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "F20"}]}]
        inside = [a_provision("deny", code=code)]
        return a_consent(
            f"bench-{patient}-0",
            patient,
            provision=a_provision("permit", actors=[self.asking], inside=inside),
        )

    def _file(self, patient: str, consents: list[dict[str, Any]]) -> None:
        entries = [
            {"resource": each, "request": {"method": "PUT", "url": f"Consent/{each['id']}"}}
            for each in consents
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        status, said = self.connection.exchange(
            prepared("POST", "/fhir", self.owner(), json.dumps(bundle).encode())
        )
        if status != 200:
            sys.exit(f"the hub refused the consents of {patient}: {said[:300]!r}")

    def _in_turn(self, loads: list[tuple[Callable[[], str], list[str]]]) -> list[float]:
        """The median of each load in milliseconds; every answer holds resources."""
        taken: list[list[float]] = [[] for _ in loads]
        for sample in range(SAMPLES):
            for number, (token, patients) in enumerate(loads):
                path = f"/fhir/Observation?patient=Patient/{patients[sample % len(patients)]}&_sort=-date&_count=50"
                request = prepared("GET", path, token())
                began = time.perf_counter()
                status, said = self.connection.exchange(request)
                taken[number].append(time.perf_counter() - began)
                if status != 200 or b'"Observation"' not in said:
                    sys.exit(f"search {number} with consents found nothing: {status} {path} {said[:200]!r}")
        return [median(each) * 1000 for each in taken]

    def _decisions(self, patients: list[str]) -> float:
        """The 99th percentile of a decision alone, in milliseconds."""
        scopes = parse_scopes("system/*.rs") or ()
        requester = Requester("asking", "asking", self.asking, "system", scopes, "TREAT", "asking-", "token")
        taken = []
        for number in range(DECISIONS):
            need = Need((("Observation", "s"),), patients=((patients[number % len(patients)],),))
            with self.hub.store.transaction() as transaction:
                transaction.rows("SELECT 1")
                began = time.perf_counter()
                permit = decide(transaction, requester, need)
                taken.append(time.perf_counter() - began)
            if not permit.compartments:
                sys.exit("a decision reached nothing")
        return round(sorted(taken)[int(len(taken) * 0.99)] * 1000, 2)
