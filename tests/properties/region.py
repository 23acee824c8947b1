"""A random region: what several facilities do to one hub, as a list of acts that reads as JSON.

An act is `{"by": facility, "put": resource}`, `{"by": …, "delete": "Type/id"}` or `{"by": …, "determine": {…}}`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.passage.world import PREFIXES, World, patient_of
from tests.properties import region_charts
from tests.properties.hidden_searches import about_patient
from tests.properties.region_consents import a_random_consent
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

Act = dict[str, Any]
Region = list[Act]

PEOPLE = (1, 2, 3)
OTHERS = (POST, INSTITUTE)


def a_region(random: Random) -> Region:
    """Patients, charts, consents, determinations, changed and deleted versions, in an order that may happen."""
    acts: Region = [{"by": HOSPITAL, "put": each} for each in region_charts.everybody_knows()]
    records = [(HOSPITAL, number) for number in PEOPLE if random.random() < 0.5]
    records += [(facility, number) for facility in OTHERS for number in PEOPLE if random.random() < 0.55]
    random.shuffle(records)
    names = [(facility, number, f"{PREFIXES[facility]}p{number}") for facility, number in records]
    later: Region = []
    for facility, number, _ in names:
        told = about_patient(patient_of(facility, number), number)
        acts.append({"by": facility, "put": told})
        if random.random() < 0.12:  # the same document, and not the same person
            later.append({"by": facility, "put": told | {"gender": "male"}})
        elif random.random() < 0.08:  # a document that is somebody else's now
            other = patient_of(facility, random.choice(PEOPLE))
            later.append({"by": facility, "put": told | {"identifier": other["identifier"]}})
    for facility, _, patient in names:
        beside = [each for place, _, each in names if place == facility and each != patient]
        stored = region_charts.chart(random, patient, beside)
        acts += [{"by": facility, "put": each} for each in stored]
        for each in stored:
            if random.random() < 0.1:
                later.append({"by": facility, "put": region_charts.again(random, each)})
            if random.random() < 0.05:
                later.append({"by": facility, "delete": f"{each['resourceType']}/{each['id']}"})
        if any(each["resourceType"] == "Encounter" for each in stored) and random.random() < 0.3:
            label = random.choice((("N", ()), ("R", ("HIV",)), ("R", ()), ("V", ())))
            told = {"encounter": f"{patient}-e", "confidentiality": label[0], "categories": list(label[1])}
            later.append({"by": facility, "determine": told})
        for place in range(
            random.choice((0, 1, 1, 1, 2)) if facility != HOSPITAL else random.choice((0, 0, 0, 1))
        ):
            consent = a_random_consent(random, f"{patient}-c{place}", patient, stored)
            later.insert(random.randint(0, len(later)), {"by": facility, "put": consent})
    everything = [f"{act['put']['resourceType']}/{act['put']['id']}" for act in acts if act["by"] != HOSPITAL]
    foreign = [patient for facility, _, patient in names if facility != HOSPITAL]
    own = [patient for facility, _, patient in names if facility == HOSPITAL]
    acts += later
    if own:
        acts += [
            {"by": HOSPITAL, "put": each}
            for each in region_charts.pointing(random, own[0], everything, foreign)
        ]
    return acts


def build(world: World, region: Region) -> Region:
    """Do the acts; those that the hub accepted."""
    callers = {facility: world.of(facility) for facility in (*OTHERS, HOSPITAL)}
    return [act for act in region if _done(callers[act["by"]], act)]


def _done(caller: Any, act: Act) -> bool:
    if "put" in act:
        return bool(caller.put(act["put"]).status in (200, 201))
    if "delete" in act:
        return bool(caller.delete(act["delete"]).status == 204)
    told = act["determine"]
    rows = [{"name": "confidentiality", "valueCode": told["confidentiality"]}]
    rows += [{"name": "category", "valueCode": each} for each in told["categories"]]
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            *rows,
            {"name": "determined-by", "valueReference": {"reference": "Practitioner/hospital-d1"}},
            {"name": "determined-at", "valueInstant": datetime.now(UTC).isoformat()},
            {"name": "reason", "valueString": "Revisado"},
        ],
    }
    return bool(
        caller.operate(f"Encounter/{told['encounter']}/$determine-sensitivity", parameters).status == 200
    )
