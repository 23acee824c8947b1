"""Invented families: parents, children, twins, newborns, homonyms, foreigners - the truth behind the records.

Leaves:  what each facility believes about a person to records; illnesses to history.

A family is a function of the seed and its number, so that any stretch of a region can be made alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Final

from exchange.demo.facilities import FIRST_LEVEL
from exchange.demo.names import (
    COMPOUND_SURNAMES,
    GIVEN,
    INDIGENOUS_GIVEN,
    INDIGENOUS_SURNAMES,
    SURNAMES,
    VENEZUELAN_GIVEN,
    VENEZUELAN_SURNAMES,
    Name,
    Weighted,
    draw_given,
)

SLOTS_PER_FAMILY: Final = 8
NEWBORN_DAYS: Final = 60
SMALL_CHILD_YEARS: Final = 6
ADULT_YEARS: Final = 18
_DAYS_PER_YEAR: Final = 365

_COUPLE_OF_100: Final = 45
_SINGLE_MOTHER_TO_100: Final = 62
_ELDERLY_TO_100: Final = 80
_TWO_PAPERS_OF_TEN: Final = 4
_HOMONYM_EVERY: Final = 25
_HOMONYM_AT: Final = 3

# The DNI of slot n is a permutation of n in 01000000-99999999; staff (0099xxxx) lie below it.
_DNI_SPAN: Final = 9_900_000
_DNI_STEP: Final = 7_368_787
_DNI_FIRST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Document:
    """An identity document: kind DNI, CE, PASS, PTP, DIE or CNV; the number is always text."""

    kind: str
    number: str


@dataclass(frozen=True, slots=True)
class Mother:
    """A mother as her child's record names her."""

    name: Name
    document: Document | None


@dataclass(frozen=True, slots=True)
class Person:
    """One true person: slot is unique in a region, sex F or M, traits say what is hard about them."""

    slot: int
    family: int
    sex: str
    birth_date: date
    name: Name
    documents: tuple[Document, ...]
    mother: Mother
    birth_order: int | None
    birth_time: str | None
    birth_weight_grams: int | None
    country: str
    ethnicity: str
    ubigeo: str
    district: str
    address: str
    phone: str
    traits: tuple[str, ...]
    home: int = field(default=0)

    @property
    def key(self) -> str:
        """The name of this person in the ground truth."""
        return f"person-{self.slot:08d}"

    def document_of(self, kind: str) -> Document | None:
        """The person's document of that kind, if there is one."""
        return next((document for document in self.documents if document.kind == kind), None)

    def years_at(self, day: date) -> int:
        """Completed years of age on that day."""
        passed = (day.month, day.day) >= (self.birth_date.month, self.birth_date.day)
        return day.year - self.birth_date.year - (0 if passed else 1)


@dataclass(slots=True)
class _Household:
    """What the members of one family share while it is made."""

    seed: int
    number: int
    reference_date: date
    random: Random
    surnames: Weighted
    given: dict[str, Weighted]
    traits: tuple[str, ...]
    foreign: bool
    home: int
    address: str
    members: list[Person] = field(default_factory=list)


def _traits(number: int) -> tuple[str, ...]:
    """The hard cases that family `number` holds: fixed quotas, so that a small region has them all."""
    quotas = (
        ("twins", 32, 5),
        ("foreign", 20, 11),
        ("homonym", _HOMONYM_EVERY, _HOMONYM_AT),
        ("newborn", 12, 2),
        ("indigenous", 30, 9),
        ("junior", 16, 7),
        ("compound", 14, 6),
        ("plain", 40, 1),
        ("third-surname", 40, 13),
    )
    return tuple(name for name, every, at in quotas if number % every == at)


def dni_of(seed: int, slot: int, last: int) -> str:
    """The DNI of a slot. Units: 8 digits, leading zeros kept; unique for 9.9 million slots."""
    prefix = _DNI_FIRST + (slot * _DNI_STEP + seed * 104_729) % _DNI_SPAN
    return f"{prefix:07d}{last}"


def _head_name(seed: int, number: int, surnames: Weighted, given: Weighted) -> Name:
    """The name of the head of family `number`; a homonym calls this with another family's number."""
    random = Random(f"{seed}/head/{number}")
    return Name(surnames.draw(random), surnames.draw(random), draw_given(random, given))


def family(seed: int, number: int, reference_date: date) -> list[Person]:
    """The members of family `number`, in a fixed order: mother, father, children."""
    random = Random(f"{seed}/family/{number}")
    traits = _traits(number)
    foreign = "foreign" in traits
    surnames, given = SURNAMES, GIVEN
    if foreign:
        surnames, given = VENEZUELAN_SURNAMES, VENEZUELAN_GIVEN
    elif "indigenous" in traits:
        surnames, given = INDIGENOUS_SURNAMES, INDIGENOUS_GIVEN
    home = random.randrange(len(FIRST_LEVEL))
    house = _Household(
        seed=seed,
        number=number,
        reference_date=reference_date,
        random=random,
        surnames=surnames,
        given=given,
        traits=traits,
        foreign=foreign,
        home=home,
        address=f"MZ. {random.choice('ABCDEFGHJK')} LT. {random.randrange(1, 48)} S{random.randrange(1, 9)}",
    )
    with_children = any(trait in traits for trait in ("twins", "newborn", "junior"))
    kind = random.randrange(100)
    if "plain" in traits:
        _couple(house, mother_years=random.randrange(36, 60), children=1)
    elif with_children or kind < _COUPLE_OF_100:
        _couple(house, mother_years=random.randrange(19, 43), children=random.randrange(1, 5))
    elif kind < _SINGLE_MOTHER_TO_100:
        _single_mother(house)
    elif kind < _ELDERLY_TO_100:
        _couple(house, mother_years=random.randrange(58, 86), children=0)
    else:
        woman = number % _HOMONYM_EVERY in (_HOMONYM_AT - 1, _HOMONYM_AT)
        _adult(house, "F" if woman else random.choice("FM"), random.randrange(19, 80))
    return house.members


def _couple(house: _Household, *, mother_years: int, children: int) -> None:
    """A mother and a father; their children carry his first and her first surname."""
    mother = _adult(house, "F", mother_years)
    father = _adult(house, "M", mother_years + house.random.randrange(-2, 7))
    _children(house, mother, (father.name.paternal, mother.name.paternal), children, father)


def _single_mother(house: _Household) -> None:
    """A mother alone: a child carries her surnames, or those of a father who lives elsewhere."""
    random = house.random
    mother = _adult(house, "F", random.randrange(19, 43))
    surnames = (mother.name.paternal, mother.name.maternal)
    if random.randrange(2):
        surnames = (house.surnames.draw(random), mother.name.paternal)
    _children(house, mother, surnames, random.randrange(1, 4), None)


def _adult(house: _Household, sex: str, years: int) -> Person:
    """Add a grown member; the first of the house may be a homonym of the previous family's first."""
    random = house.random
    extra: tuple[str, ...] = ()
    if house.members:
        name = Name(
            house.surnames.draw(random), house.surnames.draw(random), draw_given(random, house.given[sex])
        )
    elif "homonym" in house.traits:
        name = _head_name(house.seed, house.number - 1, house.surnames, house.given[sex])
        extra = ("homonym",)
    else:
        name = _head_name(house.seed, house.number, house.surnames, house.given[sex])
    if "plain" in house.traits and not house.members:
        while not name.display.isascii() or name.paternal == name.maternal:
            name = Name(
                house.surnames.draw(random), house.surnames.draw(random), draw_given(random, house.given[sex])
            )
        extra = ("plain",)
    elif "compound" in house.traits:
        name = Name(COMPOUND_SURNAMES.draw(random), name.maternal, name.given)
        extra = (*extra, "compound")
    if "third-surname" in house.traits and sex == "F":
        name = Name(name.paternal, name.maternal, name.given, "DE " + house.surnames.draw(random))
        extra = (*extra, "third-surname")
    born = house.reference_date - timedelta(days=years * _DAYS_PER_YEAR + random.randrange(1, _DAYS_PER_YEAR))
    mother = Mother(
        Name(name.maternal, house.surnames.draw(random), draw_given(random, house.given["F"])), None
    )
    return _add(house, sex, born, name, mother, extra)


def _children(
    house: _Household, mother: Person, surnames: tuple[str, str], count: int, father: Person | None
) -> None:
    """Add children with at least ten months between births; twins and a newborn where the quota asks."""
    random = house.random
    oldest = max(1, mother.years_at(house.reference_date) - ADULT_YEARS) * _DAYS_PER_YEAR
    age_days = (
        random.randrange(5, NEWBORN_DAYS - 10) if "newborn" in house.traits else random.randrange(200, 1500)
    )
    reference = Mother(mother.name, mother.documents[0] if mother.documents else None)
    for position in range(min(count, 4)):
        if position and age_days > min(oldest, 17 * _DAYS_PER_YEAR):
            break
        sex = random.choice("FM")
        given = draw_given(random, house.given[sex])
        while any(given == sibling.name.given for sibling in house.members):
            given = draw_given(random, house.given[sex])
        extra: tuple[str, ...] = ()
        if father is not None and "junior" in house.traits and position == 0:
            sex, given, extra = "M", father.name.given, ("junior",)
        born = house.reference_date - timedelta(days=age_days)
        twins = "twins" in house.traits and position == 0
        order = 1 if twins else None
        first = _add(
            house,
            sex,
            born,
            Name(*surnames, given),
            reference,
            (*extra, *(("twin",) if twins else ())),
            order,
        )
        if twins:
            other = draw_given(random, house.given[sex])
            if other == given:
                other = (*given, "BELÉN" if sex == "F" else "GAEL")[-2:]
            _add(house, sex, born, Name(*surnames, other), reference, ("twin",), 2, twin=first)
        age_days += random.randrange(310, 1900)


def _add(
    house: _Household,
    sex: str,
    born: date,
    name: Name,
    mother: Mother,
    extra: tuple[str, ...],
    order: int | None = None,
    twin: Person | None = None,
) -> Person:
    """Give the next slot of the house to a person and file what the state knows of them."""
    random = house.random
    slot = house.number * SLOTS_PER_FAMILY + len(house.members)
    days = (house.reference_date - born).days
    traits = list(extra)
    if days < NEWBORN_DAYS:
        traits.append("newborn")
        order = order or 1
    if house.foreign:
        traits.append("foreign")
    if "indigenous" in house.traits:
        traits.append("indigenous")
    small = days < SMALL_CHILD_YEARS * _DAYS_PER_YEAR
    home = FIRST_LEVEL[house.home]
    person = Person(
        slot=slot,
        family=house.number,
        sex=sex,
        birth_date=born,
        name=name,
        documents=_documents(house, slot, days, twin),
        mother=mother,
        birth_order=order,
        birth_time=f"{random.randrange(24):02d}:{random.randrange(60):02d}" if small else None,
        birth_weight_grams=random.randrange(2300, 4200, 10) if small else None,
        country="VEN" if house.foreign and days > SMALL_CHILD_YEARS * _DAYS_PER_YEAR else "PER",
        ethnicity="40" if "indigenous" in house.traits else "58",
        ubigeo=home.ubigeo,
        district=home.district,
        address=house.address,
        phone=f"9{slot * 7919 % 100_000_000:08d}",
        traits=tuple(traits),
        home=house.home,
    )
    house.members.append(person)
    return person


def _documents(house: _Household, slot: int, days: int, twin: Person | None) -> tuple[Document, ...]:
    """A newborn has its birth certificate only; a small child that and a DNI; a foreigner other papers."""
    random = house.random
    certificate = Document("CNV", f"10{house.seed % 100:02d}{slot:08d}")
    if days < NEWBORN_DAYS:
        return (certificate,)
    if house.foreign and days > SMALL_CHILD_YEARS * _DAYS_PER_YEAR:
        papers = (
            Document("CE", f"00{9_000_000 - slot:07d}"),
            Document("PASS", f"{random.randrange(10, 19)}{slot:07d}"),
            Document("PTP", f"{800_000_000 + slot}"),
        )
        first = random.randrange(3)
        return (
            (papers[first], papers[(first + 1) % 3])
            if random.randrange(10) < _TWO_PAPERS_OF_TEN
            else (papers[first],)
        )
    last = random.randrange(10)
    dni = Document("DNI", dni_of(house.seed, slot, last))
    if twin is not None and random.randrange(3):
        neighbour = twin.document_of("DNI")
        if neighbour is not None:
            digit = (int(neighbour.number[-1]) + 1) % 10
            dni = Document("DNI", neighbour.number[:-1] + str(digit))
    if days < SMALL_CHILD_YEARS * _DAYS_PER_YEAR:
        return (dni, certificate)
    return (dni,)
