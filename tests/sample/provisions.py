"""Hypothesis strategies for consents, and a second reading of them that shares no code with the first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.sample.consent import a_consent, a_provision
from tests.sample.requester import HOSPITAL, INSTITUTE, POST

FACILITIES = (POST, HOSPITAL, INSTITUTE)
PURPOSES = ("TREAT", "ETREAT", "HRESCH", "PUBHLTH")
COVERED = {"TREAT": {"TREAT", "ETREAT", "CAREMGT", "COC"}, "PUBHLTH": {"PUBHLTH", "DISASTER", "THREAT"}}
FIRST_DAY = date(2026, 1, 1)
DAYS = 6

days = st.integers(0, DAYS).map(lambda number: (FIRST_DAY + timedelta(number)).isoformat())
some = lambda values: st.lists(st.sampled_from(values), max_size=2, unique=True)  # noqa: E731


@st.composite
def provisions(draw: Any, levels: int = 3) -> dict[str, Any]:
    """A provision whose every dimension is understood."""
    start, end = draw(st.none() | days), draw(st.none() | days)
    if start and end and start > end:
        start, end = end, start
    inside = draw(st.lists(provisions(levels - 1), max_size=2)) if levels else []
    return a_provision(
        draw(st.sampled_from(["permit", "deny"])),
        actors=draw(some(FACILITIES)),
        purposes=draw(some(PURPOSES)),
        start=start,
        end=end,
        inside=inside,
    )


@st.composite
def consents(draw: Any, most: int = 4) -> list[dict[str, Any]]:
    """Active Consents of one patient."""
    found = draw(st.lists(provisions(), max_size=most))
    return [a_consent(f"c{number}", provision=provision) for number, provision in enumerate(found)]


def reads(consent: dict[str, Any], facility: str, purpose: str, day: str) -> bool | None:
    """What one consent says of a request, read from its tree; None when it does not speak.

    An exception that matches decides instead of what it stands in; of several, one that denies is enough to deny.
    """

    def walk(provision: dict[str, Any]) -> bool | None:
        actors = [each["reference"]["reference"] for each in provision.get("actor", ())]
        purposes = [each["code"] for each in provision.get("purpose", ())]
        period = provision.get("period", {})
        matches = (
            (not actors or f"Organization/{facility}" in actors)
            and (not purposes or any(purpose in COVERED.get(each, {each}) for each in purposes))
            and period.get("start", day) <= day <= period.get("end", day)
        )
        if not matches:
            return None
        said = {walk(each) for each in provision.get("provision", ())} - {None}
        return all(said) if said else bool(provision["type"] == "permit")

    return walk(consent["provision"])


def permitted(told: list[dict[str, Any]], facility: str, purpose: str, day: str) -> bool:
    """What several consents say together: one has to permit, and none may deny."""
    said = {reads(each, facility, purpose, day) for each in told}
    return True in said and False not in said
