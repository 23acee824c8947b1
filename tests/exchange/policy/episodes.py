"""Episodes in tests: an Encounter with what belongs to it, a permit up to a confidentiality, and who sees what."""

from __future__ import annotations

from typing import Any

from tests.passage.world import World, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, POST

CIE10 = "http://hl7.org/fhir/sid/icd-10"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def an_encounter(encounter_id: str = "posta-e1", patient: str = "posta-p1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": encounter_id, "status": "finished", "subject": {"reference": f"Patient/{patient}"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    } | more  # fmt: skip


def a_condition(
    condition_id: str, code: str = "I10", encounter: str = "posta-e1", patient: str = "posta-p1", **more: Any
):
    told: dict[str, Any] = {
        "resourceType": "Condition", "id": condition_id, "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": CIE10, "code": code}]},
    }  # fmt: skip
    if encounter:
        told["encounter"] = {"reference": f"Encounter/{encounter}"}
    return told | more


def a_determination(confidentiality: str, at: str, /, **more: Any) -> dict[str, Any]:
    """Parameters of $determine-sensitivity; None leaves one out."""
    told: dict[str, Any] = {
        "confidentiality": ("valueCode", confidentiality), "determined-by": ("valueReference", {"reference": "Practitioner/posta-d1"}),
        "determined-at": ("valueInstant", at), "reason": ("valueString", "Revisado con el paciente"),
    } | more  # fmt: skip
    rows = [
        {"name": name, each[0]: each[1]}
        for name, value in told.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]
    return {"resourceType": "Parameters", "parameter": rows}


def levels(world: World) -> dict[str, str]:
    """The confidentiality under which each resource of the posts's first patient stands; "" where it has no label."""
    from exchange.policy.facets import hashed, level

    found: dict[str, str] = {}
    blind = world.database_store.crypto.blind_index
    with world.sql() as cursor:
        cursor.execute("SELECT compartment, id, facets FROM resource WHERE compartment > 0 ORDER BY id")
        for compartment, resource_id, facets in cursor.fetchall():
            named = {hashed(compartment, level(each), blind): each for each in ("N", "R", "V")}
            found[resource_id] = named.get(facets[0], "?") if facets else ""
    return found


def categories(world: World, resource_id: str) -> set[str]:
    """The categories among the facets of a resource."""
    from exchange.policy.agreement import sensitivity_codes
    from exchange.policy.facets import hashed

    blind = world.database_store.crypto.blind_index
    with world.sql() as cursor:
        cursor.execute("SELECT compartment, facets FROM resource WHERE id = %s", (resource_id,))
        [(compartment, facets)] = cursor.fetchall()
    return {each for each in sensitivity_codes() if hashed(compartment, f"category|{each}", blind) in facets}


def an_episode(world: World) -> None:
    """An Encounter of the post with an ordinary and a sensitive Condition, an Observation, and one Condition outside."""
    world.post.store(
        patient_of(POST, 1), an_encounter(), a_condition("posta-c1"), a_condition("posta-h1", "B24"),
        an_observation("posta-o1", "posta-p1", encounter={"reference": "Encounter/posta-e1"}),
        a_condition("posta-x1", "I10", encounter=""),
    )  # fmt: skip


__all__ = [
    "HOSPITAL",
    "POST",
    "a_condition",
    "a_determination",
    "an_encounter",
    "an_episode",
    "categories",
    "levels",
]
