"""What happened to a person: visits with diagnoses, results, vital signs, medicines, vaccines, referrals.

Leaves:  who the person is to people; every written form to trama, hl7v2, ccda and bundles.

A facility's visits are only its own: nothing in one record says what another facility knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from random import Random
from typing import Final

from exchange.demo.codes import (
    ACTS,
    ALLERGENS,
    CHILD_CHECK,
    DISEASES,
    DRUGS,
    HEIGHT,
    PANELS,
    SPECIALTIES,
    VACCINATION,
    VACCINES,
    VITAL_SIGNS,
    WEIGHT,
    Act,
    Disease,
    Drug,
    Measurement,
    Panel,
    Vaccine,
)
from exchange.demo.facilities import BY_CODE, PRIMARY, SECONDARY, TERTIARY, Professional
from exchange.demo.people import ADULT_YEARS, Person
from exchange.demo.records import SourceRecord

LIMA: Final = timezone(timedelta(hours=-5))
HISTORY_DAYS: Final = 3 * 365
VISITS_PER_RECORD: Final = 32
MONTHS_PER_YEAR: Final = 12
_MONTH_DAYS: Final = 30.4375
_YEAR_DAYS: Final = 365
_CHECK_YEARS: Final = 5
_FEW_VISITS: Final = {PRIMARY.renipress: (2, 8), SECONDARY.renipress: (1, 4), TERTIARY.renipress: (1, 5)}
_REFERRED_TO: Final = {PRIMARY.renipress: SECONDARY.renipress, SECONDARY.renipress: TERTIARY.renipress}
_CHRONIC_OF_100: Final = 45
_ALLERGIC_OF_100: Final = 16
_EMERGENCY_OF_100: Final = 14
_ADMITTED_OF_100: Final = 16
_REFERRED_OF_100: Final = 14
_ACT_OF_100: Final = 30
_PANEL_OF_100: Final = {PRIMARY.renipress: 12, SECONDARY.renipress: 65, TERTIARY.renipress: 75}
_CERTAINTY: Final = ("D", "D", "D", "P", "P")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A disease as a visit names it: P presumptive, D definitive, R repeated."""

    disease: Disease
    certainty: str


@dataclass(frozen=True, slots=True)
class Result:
    """A measured value. Units: those of the measurement, as decimal text; flag is H, L or N."""

    measurement: Measurement
    value: str
    flag: str


@dataclass(frozen=True, slots=True)
class PanelResult:
    """A laboratory order that was answered."""

    panel: Panel
    results: tuple[Result, ...]
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class Dose:
    """A vaccine that was given: which dose of its series, and when."""

    vaccine: Vaccine
    number: int
    given_on: date


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral to a higher level."""

    to_renipress: str
    specialty: str
    reason: str
    number: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One contact at one facility. `kind` is AMB, EMER or IMP; `number` is unique in the region."""

    number: int
    renipress: str
    kind: str
    ups: str
    started_at: datetime
    ended_at: datetime
    professional: Professional
    diagnoses: tuple[Diagnosis, ...]
    vital_signs: tuple[Result, ...]
    panels: tuple[PanelResult, ...]
    drugs: tuple[Drug, ...]
    doses: tuple[Dose, ...]
    acts: tuple[Act, ...]
    referral: Referral | None


@dataclass(frozen=True, slots=True)
class Allergy:
    """An allergy: allergen key, label, category, reaction and when it was noted."""

    key: str
    label: str
    category: str
    reaction: str
    noted_on: date


@dataclass(frozen=True, slots=True)
class History:
    """All of a person's visits, oldest first, and allergies."""

    visits: tuple[Visit, ...]
    allergies: tuple[Allergy, ...]

    def at(self, renipress: str) -> tuple[Visit, ...]:
        """The visits of one facility."""
        return tuple(visit for visit in self.visits if visit.renipress == renipress)


def decimal_text(value: int, decimals: int) -> str:
    """A scaled integer as decimal text: 123 with one decimal is `12.3`."""
    if decimals == 0:
        return str(value)
    scale = 10**decimals
    return f"{value // scale}.{value % scale:0{decimals}d}"


def flag_of(measurement: Measurement, value: int) -> str:
    """H, L or N against the reference range."""
    if measurement.high and value > measurement.high:
        return "H"
    return "L" if measurement.high and value < measurement.low else "N"


def measure(random: Random, measurement: Measurement) -> Result:
    """A value near the middle three times out of four, anywhere in the range otherwise."""
    least, most = measurement.least, measurement.most
    if random.randrange(4):
        least, most = max(least, measurement.low), min(most, measurement.high)
    value = random.randrange(least, most + 1)
    return Result(measurement, decimal_text(value, measurement.decimals), flag_of(measurement, value))


_HEIGHTS: Final = ((0, 500), (12, 750), (36, 950), (120, 1370), (204, 1540))
_WEIGHTS: Final = ((0, 34), (12, 94), (36, 140), (120, 310), (204, 580))


def _grown(table: tuple[tuple[int, int], ...], months: int) -> int:
    """The value at that age, on straight lines between the table's points."""
    for (from_months, from_value), (to_months, to_value) in pairwise(table):
        if months < to_months:
            return from_value + (to_value - from_value) * (months - from_months) // (to_months - from_months)
    return table[-1][1]


def body_size(random: Random, months: int, sex: str) -> tuple[Result, Result]:
    """Weight and height that fit the age. Units: months of age; results in kg and cm."""
    height, weight = _grown(_HEIGHTS, months), _grown(_WEIGHTS, months)
    if sex == "M" and months >= _HEIGHTS[-1][0]:
        height += 100
    height += random.randrange(-15, 16)
    weight += weight * random.randrange(-12, 25) // 100
    return (Result(WEIGHT, decimal_text(weight, 1), "N"), Result(HEIGHT, decimal_text(height, 1), "N"))


def suited(years: int, sex: str, *, chronic: bool) -> tuple[tuple[Disease, ...], tuple[int, ...]]:
    """The diseases that a person of that age and sex may have, and their running weights."""
    key = (years, sex, chronic)
    if key not in _SUITED:
        found = tuple(
            disease
            for disease in DISEASES
            if disease.chronic == chronic
            and disease.from_age <= years <= disease.to_age
            and disease.sex in ("", sex)
        )
        total, running = 0, []
        for disease in found:
            total += disease.weight
            running.append(total)
        _SUITED[key] = (found, tuple(running))
    return _SUITED[key]


_SUITED: dict[tuple[int, str, bool], tuple[tuple[Disease, ...], tuple[int, ...]]] = {}


def draw_disease(random: Random, years: int, sex: str, *, chronic: bool) -> Disease | None:
    """One disease by weight, or none if none suits."""
    found, running = suited(years, sex, chronic=chronic)
    if not found:
        return None
    point = random.randrange(running[-1])
    return next(disease for disease, bound in zip(found, running, strict=True) if point < bound)


def chronic_diseases(random: Random, years: int, sex: str) -> tuple[Disease, ...]:
    """What a person has for good: none, one or two."""
    if random.randrange(100) >= _CHRONIC_OF_100 * min(years, 60) // 60:
        return ()
    drawn = (draw_disease(random, years, sex, chronic=True) for _ in range(1 + random.randrange(2)))
    return tuple(dict.fromkeys(disease for disease in drawn if disease is not None))


def history_of(seed: int, person: Person, records: tuple[SourceRecord, ...], reference_date: date) -> History:
    """Everything that happened to the person in the last three years, facility by facility."""
    random = Random(f"{seed}/history/{person.slot}")
    years = person.years_at(reference_date)
    lasting = chronic_diseases(random, years, person.sex)
    while "plain" in person.traits and not lasting:
        lasting = chronic_diseases(random, years, person.sex)
    known: set[str] = set()
    visits: list[Visit] = []
    facilities = [record.renipress for record in records if record.duplicate_of is None]
    for renipress in facilities:
        fewest, most = _FEW_VISITS[renipress]
        days = _visit_days(random, person, reference_date, random.randrange(fewest, most + 1))
        for day in days:
            number = person.slot * VISITS_PER_RECORD + len(visits) + 1
            visits.append(_visit(random, person, renipress, day, number, lasting, facilities, known))
    visits.sort(key=lambda visit: (visit.started_at, visit.number))
    return History(tuple(visits), _allergies(random, person, reference_date))


def _visit_days(random: Random, person: Person, reference_date: date, count: int) -> list[date]:
    """Different days, oldest first, none before birth."""
    first = max(person.birth_date, reference_date - timedelta(days=HISTORY_DAYS))
    span = (reference_date - first).days
    offsets = {random.randrange(span) for _ in range(count)}
    return [first + timedelta(days=offset) for offset in sorted(offsets)]


def _allergies(random: Random, person: Person, reference_date: date) -> tuple[Allergy, ...]:
    """One allergy for some."""
    if random.randrange(100) >= _ALLERGIC_OF_100:
        return ()
    key, label, category, reaction = ALLERGENS[random.randrange(len(ALLERGENS))]
    span = min((reference_date - person.birth_date).days, HISTORY_DAYS)
    return (Allergy(key, label, category, reaction, reference_date - timedelta(days=random.randrange(span))),)


def _kind(random: Random, renipress: str) -> tuple[str, str]:
    """The kind of visit and its UPS."""
    if renipress == PRIMARY.renipress:
        return ("AMB", random.choice(("302101", "301601")))
    point = random.randrange(100)
    if point < _EMERGENCY_OF_100:
        return ("EMER", "301602")
    return ("IMP", "301101") if point < _EMERGENCY_OF_100 + _ADMITTED_OF_100 else ("AMB", "301601")


def _visit(
    random: Random,
    person: Person,
    renipress: str,
    day: date,
    number: int,
    lasting: tuple[Disease, ...],
    facilities: list[str],
    known: set[str],
) -> Visit:
    """One visit: what was found, measured, prescribed, given, and where the person was sent."""
    kind, ups = _kind(random, renipress)
    started_at = datetime(
        day.year, day.month, day.day, 8 + random.randrange(9), 5 * random.randrange(12), tzinfo=LIMA
    )
    stay = (
        timedelta(days=random.randrange(1, 8))
        if kind == "IMP"
        else timedelta(minutes=random.randrange(15, 60))
    )
    months = int((day - person.birth_date).days / _MONTH_DAYS)
    gives_vaccines = renipress == PRIMARY.renipress or (
        renipress == TERTIARY.renipress and random.randrange(2) == 0
    )
    doses = _doses(random, person, day) if gives_vaccines else ()
    diagnoses = _diagnoses(random, person, day, lasting, known, renipress, vaccinated=bool(doses))
    panels: tuple[PanelResult, ...] = ()
    if random.randrange(100) < _PANEL_OF_100[renipress]:
        panels = tuple(
            PanelResult(
                panel,
                tuple(measure(random, one) for one in panel.measurements),
                started_at + timedelta(hours=1),
            )
            for panel in random.sample(PANELS, 1 + random.randrange(2))
        )
    signs = tuple(measure(random, sign) for sign in VITAL_SIGNS) if months >= 36 else ()  # noqa: PLR2004
    referral = None
    target = _REFERRED_TO.get(renipress)
    if target in facilities and random.randrange(100) < _REFERRED_OF_100:
        referral = Referral(
            target, random.choice(SPECIALTIES), diagnoses[0].disease.label, f"REF-{number:09d}"
        )
    return Visit(
        number=number,
        renipress=renipress,
        kind=kind,
        ups=ups,
        started_at=started_at,
        ended_at=started_at + stay,
        professional=random.choice(BY_CODE[renipress].staff),
        diagnoses=diagnoses,
        vital_signs=(*body_size(random, months, person.sex), *signs),
        panels=panels,
        drugs=_drugs(random, diagnoses),
        doses=doses,
        acts=(random.choice(ACTS),) if random.randrange(100) < _ACT_OF_100 else (),
        referral=referral,
    )


def _diagnoses(
    random: Random,
    person: Person,
    day: date,
    lasting: tuple[Disease, ...],
    known: set[str],
    renipress: str,
    *,
    vaccinated: bool,
) -> tuple[Diagnosis, ...]:
    """One to three: the check or vaccine that brought a child, a lasting disease, something acute."""
    years = person.years_at(day)
    found: list[Disease] = []
    if vaccinated:
        found.append(VACCINATION)
    if years < _CHECK_YEARS and renipress == PRIMARY.renipress:
        found.append(CHILD_CHECK)
    if lasting and random.randrange(3):
        found.append(random.choice(lasting))
    acute = draw_disease(random, years, person.sex, chronic=False)
    if acute is not None and (not found or random.randrange(2)):
        found.append(acute)
    diagnoses = []
    for disease in dict.fromkeys(found or [DISEASES[0]]):
        certainty = random.choice(_CERTAINTY)
        if disease.chronic:
            certainty = "R" if f"{renipress}{disease.code}" in known else "D"
            known.add(f"{renipress}{disease.code}")
        diagnoses.append(Diagnosis(disease, "D" if disease.code.startswith("Z") else certainty))
    return tuple(diagnoses)


def _drugs(random: Random, diagnoses: tuple[Diagnosis, ...]) -> tuple[Drug, ...]:
    """One medicine for each diagnosis that has a treatment."""
    keys = [random.choice(one.disease.treatments) for one in diagnoses if one.disease.treatments]
    return tuple(DRUGS[key] for key in dict.fromkeys(keys))


def _doses(random: Random, person: Person, day: date) -> tuple[Dose, ...]:
    """The doses due about that day: a child's within six weeks, an adult's within a year."""
    age_days = (day - person.birth_date).days
    grace = _YEAR_DAYS if age_days > ADULT_YEARS * _YEAR_DAYS else 45
    due = []
    for vaccine in VACCINES:
        for number, months in enumerate(vaccine.months, start=1):
            late = age_days - int(months * _MONTH_DAYS)
            if 0 <= late < grace and random.randrange(4):
                due.append(Dose(vaccine, number, day))
    return tuple(due[:3])
