"""R4's date search: https://hl7.org/fhir/R4/search.html#date; the hub's zone is America/Lima, five hours behind UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.exchange.search.asking import a_shelf, found, refused
from tests.sample.observation import an_observation
from tests.sample.patient import a_patient


def _effective(name: str, **effective) -> dict:
    return an_observation(name, "p1", effective=None) | effective


SHELF = (
    _effective("m00", effectiveDateTime="2013-01-14T00:00:00-05:00"), _effective("m10", effectiveDateTime="2013-01-14T10:00:00-05:00"), _effective("d14", effectiveDateTime="2013-01-14"),
    _effective("n00", effectiveDateTime="2013-01-15T00:00:00-05:00"), _effective("z03", effectiveDateTime="2013-01-15T03:00:00Z"), _effective("mon", effectiveDateTime="2013-01"),
    _effective("yr", effectiveDateTime="2013"), _effective("ins", effectiveInstant="2013-01-14T10:00:00.500-05:00"), _effective("sub", effectiveDateTime="2013-01-14T10:00:00.25-05:00"),
)  # fmt: skip


def _period(name: str, start: str = "", end: str = "") -> dict:
    period = {key: value for key, value in (("start", start), ("end", end)) if value}
    return {
        "resourceType": "Encounter", "id": name, "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/p1"},
        **({"period": period} if period else {}),
    }  # fmt: skip


# The specification's: from 21 January on, from 15 March on, up to and including 21 January; and some more.
ENCOUNTERS = (
    _period("on21", "2013-01-21"), _period("on15", "2013-03-15"), _period("to21", "", "2013-01-21"), _period("day", "2013-03-14T08:00:00-05:00", "2013-03-14T09:00:00-05:00"),
    _period("over", "2013-03-13", "2013-03-15"), _period("none"), _period("same", "2013-03-14", "2013-03-14"),
)  # fmt: skip


def _timing(name: str, **timing) -> dict:
    return {
        "resourceType": "CarePlan", "id": name, "status": "active", "intent": "plan", "subject": {"reference": "Patient/p1"},
        "activity": [{"detail": {"status": "scheduled", "scheduledTiming": timing}}],
    }  # fmt: skip


PLANS = (
    _timing(
        "bounds",
        repeat={
            "boundsPeriod": {"start": "2013-01-31", "end": "2013-03-24"},
            "frequency": 1,
            "period": 2,
            "periodUnit": "d",
        },
    ),
    _timing("events", event=["2014-01-01", "2014-06-01"]),
    _timing("vague", repeat={"frequency": 1, "period": 1, "periodUnit": "d"}),
)
PATIENTS = (
    a_patient("p1", birth_date="1984-03-09"), a_patient("p2", family="B", dni=None, birth_date="1984-03"), a_patient("p3", family="C", dni=None, birth_date="1984"),
    a_patient("p4", family="D", dni=None, birth_date=None), a_patient("p5", family="E", dni=None, birth_date="2001-12-31", deceasedDateTime="2020-05-02T03:30:00Z"),
)  # fmt: skip


@pytest.fixture(scope="module")
def post(server):
    with a_shelf(server, *PATIENTS, *SHELF, *ENCOUNTERS, *PLANS) as caller:
        yield caller


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        # the specification's table
        ("eq2013-01-14", "m00 m10 d14 z03 ins sub"), ("2013-01-14", "m00 m10 d14 z03 ins sub"), ("ne2013-01-14", "n00 mon yr"), ("lt2013-01-14T10:00:00-05:00", "m00 d14 mon yr"),
        ("gt2013-01-14T10:00:00-05:00", "d14 n00 z03 mon yr"),
        # less is a wider range
        ("2013-01", "m00 m10 d14 n00 z03 mon ins sub"), ("2013", "m00 m10 d14 n00 z03 mon yr ins sub"), ("2012", ""), ("2013-01-15", "n00"), ("gt2013-01-14", "n00 mon yr"), ("lt2013-01-14", "mon yr"),
        ("ge2013-01-14", "m00 m10 d14 n00 z03 mon yr ins sub"), ("le2013-01-14", "m00 m10 d14 z03 mon yr ins sub"), ("sa2013-01-14", "n00"), ("eb2013-01-15", "m00 m10 d14 z03 ins sub"), ("sa2012", "m00 m10 d14 n00 z03 mon yr ins sub"),
        ("eb2013", ""), ("sa2013-01", ""), ("gt2013-01", "yr"), ("lt2013", ""), ("le2013", "m00 m10 d14 n00 z03 mon yr ins sub"),
        # zones: without one it is Lima's
        ("2013-01-14T10:00:00", "m10 ins sub"), ("2013-01-14T15:00:00Z", "m10 ins sub"), ("2013-01-14T10:00", "m10 ins sub"), ("2013-01-14T16:00:00+01:00", "m10 ins sub"), ("2013-01-14T22:00-05:00", "z03"), ("2013-01-14T10:00:00.500-05:00", "ins"),
        ("2013-01-14T10:00:00.25-05:00", "sub"), ("2013-01-14T10:00:01", ""),
        # several
        ("2013-01-15,2012", "n00"), ("ge2013-01-14T10:00:00-05:00&date=lt2013-01-14T11:00:00-05:00", "m10 d14 mon yr ins sub"), ("gt2013-01-15&date=lt2013-01-14", "mon yr"),
    ],
)  # fmt: skip
def test_dates_and_times(post, value, ids):
    assert found(post, f"Observation?date={value}") == set(ids.split())


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        # the specification's table, for periods
        ("ge2013-03-14", "on21 on15 day over same"), ("le2013-03-14", "on21 to21 day over same"), ("sa2013-03-14", "on15"), ("eb2013-03-14", "to21"), ("2013-03-14", "day same"), ("ne2013-03-14", "on21 on15 to21 over"),
        ("gt2013-03-14", "on21 on15 over"), ("lt2013-03-14", "on21 to21 over"), ("eq2013-03", "day over same"), ("gt2999", "on21 on15"), ("lt0001-01-02", "to21"), ("sa2013-01-21", "on15 day over same"), ("eb2013-03-15", "to21 day same"),
        ("ge2013-03-14&date=le2013-03-14", "on21 day over same"),
    ],
)  # fmt: skip
def test_periods_with_open_ends(post, value, ids):
    assert found(post, f"Encounter?date={value}") == set(ids.split())


def test_what_has_no_date(post):
    assert found(post, "Encounter?date:missing=true") == {"none"}
    assert found(post, "Encounter?date:missing=false") == {"on21", "on15", "to21", "day", "over", "same"}


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        # only the outer limits matter
        ("ge2013-02-01", "bounds events"),
        ("le2013-02-01", "bounds"),
        ("2013", "bounds"),
        ("2014", "events"),
        ("2014-01", ""),
        ("gt2014-03-01", "events"),
        ("lt2014-03-01", "bounds events"),
        ("eb2013-03-25", "bounds"),
        ("sa2013-03-24", "events"),
    ],
)
def test_timings(post, value, ids):
    assert found(post, f"CarePlan?activity-date={value}") == set(ids.split())


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("birthdate=1984-03-09", "p1"), ("birthdate=1984-03", "p1 p2"), ("birthdate=1984", "p1 p2 p3"), ("birthdate=ge1984-03-10", "p2 p3 p5"), ("birthdate=gt1984", "p5"), ("birthdate=lt1984-03-09", "p2 p3"),
        ("birthdate=le1984-03-09", "p1 p2 p3"), ("birthdate=sa1984-03", "p5"), ("birthdate=eb1985", "p1 p2 p3"), ("birthdate=ne1984-03-09", "p2 p3 p5"), ("birthdate:missing=true", "p4"), ("birthdate=2001-12-31,1984-03-09", "p1 p5"),
        ("death-date=2020-05-01", "p5"), ("death-date=2020-05-02", ""), ("death-date=ge2020", "p5"), ("death-date=2020-05-02T03:30:00Z", "p5"), ("birthdate=1984-03-09T00:00:00-05:00", ""),
    ],
)  # fmt: skip
def test_dates_of_a_person(post, query, ids):
    assert found(post, f"Patient?{query}") == set(ids.split())


def test_about_is_a_tenth_of_what_lies_between(post):
    """Between a day ten years ago and now lie ten years: a year before and after it is about it."""
    now = datetime.now(UTC)

    def asked(days: int) -> str:
        return (now - timedelta(days=days)).date().isoformat()

    post.store(an_observation("posta-about", "posta-p1", code="about", effective=asked(3650)))
    assert "about" in found(post, f"Observation?code=about&date=ap{asked(3650)}")
    assert found(post, f"Observation?code=about&date=ap{asked(3950)}") == {"about"}
    assert found(post, f"Observation?code=about&date=ap{asked(4100)}") == set()
    assert found(post, f"Observation?code=about&date=ap{asked(3300)}") == set()
    post.delete("Observation/posta-about")


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("gt2000", "p1 p2 p3 p4 p5"),
        ("lt2000", ""),
        ("ge2000&_lastUpdated=lt2100", "p1 p2 p3 p4 p5"),
        ("ne2000", "p1 p2 p3 p4 p5"),
    ],
)
def test_the_last_update(post, value, ids):
    assert found(post, f"Patient?_lastUpdated={value}") == set(ids.split())


@pytest.mark.parametrize(
    "value",
    ["x", "2013-1", "2013-13", "2013-02-30", "13-01-01", "2013-01-14T", "2013-01-14T10", "2013-01-14T25:00", "2013-01-14 10:00", "20130114", "gt", "xx2013", "2013-01-14T10:00:00+25:00", "0000", "99999",
     "2013-01-14T10:00:60-05:00x", "today", "-2013", "2013/01/14", "2013-01-14T10:00:00z"],
)  # fmt: skip
def test_what_is_no_date(post, value):
    assert "date" in refused(post, f"Observation?date={value}")


@pytest.mark.parametrize("modifier", ["exact", "not", "above", "text", "in"])
def test_modifiers_that_dates_do_not_have(post, modifier):
    refused(post, f"Observation?date:{modifier}=2013")
