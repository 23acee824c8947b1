"""What the hub holds beside what the sites had acknowledged: lost, doubled, out of order, delayed, readable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.passage.world import Caller, World
from tests.sample.requester import a_requester
from tests.torture import hospital, institute, post

PAGE = 500


@dataclass
class Told:
    """The figures. `wrong` says what is behind those that should be 0."""

    sent: int = 0
    applied: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    delayed: int = 0
    quarantined: int = 0
    readable: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        faults = (self.lost, self.doubled, self.out_of_order, self.delayed, self.quarantined, self.readable)
        return self.sent > 0 and not any(faults)

    def fault(self, kind: str, text: str, count: int = 1) -> None:
        if count:
            setattr(self, kind, getattr(self, kind) + count)
            self.wrong.append(f"{kind}: {text}")


def versions(world: World, organization: str, resource_type: str) -> dict[str, list[dict[str, Any]]]:
    """Every version of a facility's resources of a type, the oldest first, by id."""
    caller = Caller(world.spine, a_requester(organization))
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for resource in _newest_first(caller, f"{resource_type}/_history?_count={PAGE}"):
        found[resource["id"]].insert(0, resource)
    return found


def _newest_first(caller: Caller, page: str) -> Iterator[dict[str, Any]]:
    while page:
        said = caller.get(page)
        for _ in range(20):  # every connection from before the database was killed costs one answer
            if said.status != 503:
                break
            said = caller.get(page)
        assert said.status == 200, said.text
        yield from (each["resource"] for each in said.body.get("entry", ()) if "resource" in each)
        page = said.next


def check_hospital(
    told: Told, world: World, site: hospital.Hospital, *, without: frozenset[int] = frozenset()
) -> None:
    """Every acknowledged number of every patient, once, in order."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for history in versions(world, site.adapter.organization, "Encounter").values():
        for each in history:
            if (place := hospital.place_of(each)) is not None:
                numbers[place[0]].append(place[1])
    for patient, last in site.acknowledged.items():
        if patient in without:
            continue
        there = numbers[patient]
        told.sent += last
        told.applied += len(set(there))
        told.fault("lost", f"hospital: patient {patient}", len(set(range(1, last + 1)) - set(there)))
        told.fault("doubled", f"hospital: patient {patient}", len(there) - len(set(there)))
        told.fault("out_of_order", f"hospital: patient {patient}", sum(b < a for a, b in pairwise(there)))
    _once(told, world, site.adapter.organization, "Provenance")


def check_post(told: Told, world: World, site: post.Post) -> None:
    """Every visit's last statement, none twice, none after a later one."""
    organization = f"ipress-{site.renipress}"
    visits = {
        each.get("identifier", [{}])[0].get("value"): number
        for number, history in versions(world, organization, "Encounter").items()
        for each in history[:1]
    }
    weights: dict[str, list[int]] = defaultdict(list)
    for history in versions(world, organization, "Observation").values():
        for each in history:
            if each["code"]["coding"][0]["code"] == post.WEIGHT:
                stay = each["encounter"]["reference"].partition("/")[2]
                weights[stay].append(round(float(each["valueQuantity"]["value"]) * 10))
    for visit, stated in site.stated.items():
        told.sent += 1
        there = weights[visits.get(visit, "")]
        if not there or there[-1] != stated[-1]:
            told.fault("lost", f"post: visit {visit}")
            continue
        told.applied += 1
        told.fault("doubled", f"post: visit {visit}", len(there) - len(set(there)))
        places = [stated.index(each) for each in there]
        told.fault("out_of_order", f"post: visit {visit}", sum(b < a for a, b in pairwise(places)))


def check_institute(told: Told, world: World, site: institute.Institute, organization: str) -> None:
    """Every document, once."""
    there: dict[str, int] = {}
    for history in versions(world, organization, "DocumentReference").values():
        there[history[0]["masterIdentifier"]["value"]] = len(history)
    for number in site.written:
        told.sent += 1
        told.applied += number in there
        told.fault("lost", f"institute: document {number}", int(number not in there))
        told.fault("doubled", f"institute: document {number}", there.get(number, 1) - 1)


def _once(told: Told, world: World, organization: str, resource_type: str) -> None:
    for number, history in versions(world, organization, resource_type).items():
        told.fault("doubled", f"{resource_type}/{number}", len(history) - 1)
