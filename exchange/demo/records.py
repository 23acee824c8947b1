"""What each facility's system believes about a person: its own number, its own spelling, its own mistakes.

Leaves:  the true person to people; how a record is written down to trama, hl7v2 and ccda.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Final

from exchange.demo.facilities import PRIMARY, SECONDARY, TERTIARY
from exchange.demo.names import Name, mistyped, without_accents
from exchange.demo.people import NEWBORN_DAYS, Document, Mother, Person

_PERCENT: Final = 100
MISSING_DATE: Final = date(1900, 1, 1)
CHILD_YEARS: Final = 12

# Of 100 people: who is known where. P primary, S secondary, T tertiary; 45 are known in two or three.
_PRESENCE: Final = (("P", 34), ("S", 15), ("T", 6), ("PS", 22), ("PT", 5), ("ST", 6), ("PST", 12))
_FACILITY: Final = {"P": PRIMARY.renipress, "S": SECONDARY.renipress, "T": TERTIARY.renipress}
_HC_FORM: Final = {PRIMARY.renipress: "{:06d}", SECONDARY.renipress: "HC{:07d}", TERTIARY.renipress: "{:08d}"}
_HC_FIRST: Final = {PRIMARY.renipress: 1200, SECONDARY.renipress: 310_000, TERTIARY.renipress: 20_500_000}

# Of 100 people with the part in question: one of their records has the defect.
_NAME_DEFECTS: Final = (
    ("second-surname-dropped", 12),
    ("second-given-dropped", 8),
    ("typo", 4),
    ("surnames-swapped", 2),
    ("surname-glued", 2),
)
_DATE_DEFECTS: Final = (("date-one-day-off", 3), ("date-missing", 1))
_DOCUMENT_DEFECTS: Final = (("document-missing", 5), ("mothers-document", 6))
_PLACEHOLDER_OF_100: Final = 70
_TILDE_LOST_OF_100: Final = 25
_DUPLICATE_OF_100: Final = 3
_OTHER_DOCUMENT_OF_100: Final = 50


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One facility's record of one person. `duplicate_of` is the number of the record it should have been."""

    renipress: str
    hc_number: str
    name: Name
    birth_date: date
    sex: str
    document: Document | None
    mother: Mother
    birth_order: int | None
    registered_on: date
    defects: tuple[str, ...] = ()
    duplicate_of: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Facility and number: what names a record in the ground truth."""
        return (self.renipress, self.hc_number)


def _pick(random: Random, table: tuple[tuple[str, int], ...]) -> str:
    """One of the table's names by its share of a hundred, or none."""
    point = random.randrange(_PERCENT)
    for name, share in table:
        if point < share:
            return name
        point -= share
    return ""


def _spelled(name: Name, renipress: str, random: Random) -> Name:
    """The name as that facility types it: posts drop accents, the old hospital system may lose Ñ too."""
    if renipress == TERTIARY.renipress:
        return name
    plain = Name(
        without_accents(name.paternal),
        without_accents(name.maternal),
        tuple(without_accents(part) for part in name.given),
        without_accents(name.third),
    )
    if renipress == SECONDARY.renipress and random.randrange(_PERCENT) < _TILDE_LOST_OF_100:
        return Name(
            plain.paternal.replace("Ñ", "N"),
            plain.maternal.replace("Ñ", "N"),
            tuple(part.replace("Ñ", "N") for part in plain.given),
            plain.third.replace("Ñ", "N"),
        )
    return plain


def _misnamed(random: Random, defect: str, name: Name) -> Name | None:
    """The name with the defect, or nothing if this name cannot have it."""
    if defect == "second-surname-dropped" and name.maternal:
        return replace(name, maternal="")
    if defect == "second-given-dropped" and len(name.given) > 1:
        return replace(name, given=name.given[:1])
    if defect == "surnames-swapped" and name.maternal and name.maternal != name.paternal:
        return replace(name, paternal=name.maternal, maternal=name.paternal)
    if defect == "surname-glued" and " " in name.paternal:
        return replace(name, paternal=name.paternal.replace(" ", ""))
    if defect == "typo":
        if random.randrange(2):
            return replace(name, paternal=mistyped(random, name.paternal))
        return replace(name, given=(mistyped(random, name.given[0]), *name.given[1:]))
    return None


def records_of(seed: int, person: Person, reference_date: date) -> tuple[SourceRecord, ...]:
    """Every record of the person, with at most one slip of each kind in all of them together."""
    random = Random(f"{seed}/records/{person.slot}")
    if "plain" in person.traits:
        return tuple(
            _clean_record(random, person, renipress, reference_date) for renipress in _FACILITY.values()
        )
    presence = _pick(random, _PRESENCE)
    records = [_clean_record(random, person, _FACILITY[letter], reference_date) for letter in presence]
    for defect, spoil in (
        (_pick(random, _NAME_DEFECTS), _spoil_name),
        (_pick(random, _DATE_DEFECTS), _spoil_date),
        (_pick(random, _DOCUMENT_DEFECTS), _spoil_document),
    ):
        place = random.randrange(len(records))
        if defect:
            records[place] = spoil(random, person, records[place], defect, reference_date)
    for record in tuple(records):
        if record.renipress == SECONDARY.renipress and random.randrange(_PERCENT) < _DUPLICATE_OF_100:
            number = _HC_FORM[record.renipress].format(9_000_000 + person.slot)
            records.append(
                replace(
                    record,
                    hc_number=number,
                    duplicate_of=record.hc_number,
                    defects=(*record.defects, "duplicate"),
                )
            )
    return tuple(records)


def _clean_record(random: Random, person: Person, renipress: str, reference_date: date) -> SourceRecord:
    """The record as a careful clerk would open it."""
    document: Document | None = person.documents[0]
    mother = replace(person.mother, name=_spelled(person.mother.name, renipress, random))
    name = _spelled(person.name, renipress, random)
    birth_order = person.birth_order
    defects: tuple[str, ...] = ()
    if "newborn" in person.traits:
        if random.randrange(_PERCENT) < _PLACEHOLDER_OF_100:
            name = replace(name, given=("RN",) if random.randrange(2) else ("RECIEN", "NACIDO"))
            defects = ("placeholder",)
        if renipress == PRIMARY.renipress and random.randrange(2):
            document = None
            defects = (*defects, "mother-only")
    elif (
        "foreign" in person.traits
        and len(person.documents) > 1
        and random.randrange(_PERCENT) < _OTHER_DOCUMENT_OF_100
    ):
        document = person.documents[1]
    certificate = person.document_of("CNV")
    registered_on = max(person.birth_date, reference_date - timedelta(days=random.randrange(400, 2600)))
    if (
        certificate
        and document
        and document.kind == "DNI"
        and renipress == SECONDARY.renipress
        and random.randrange(2)
    ):
        document, registered_on = certificate, person.birth_date
        defects = (*defects, "certificate-before-dni")
    number = _HC_FIRST[renipress] + person.slot * 3 + (person.slot % 3)
    return SourceRecord(
        renipress=renipress,
        hc_number=_HC_FORM[renipress].format(number),
        name=name,
        birth_date=person.birth_date,
        sex=person.sex,
        document=document,
        mother=mother,
        birth_order=birth_order,
        registered_on=registered_on,
        defects=defects,
    )


def _spoil_name(
    random: Random, _person: Person, record: SourceRecord, defect: str, _reference_date: date
) -> SourceRecord:
    if "placeholder" in record.defects:
        return record
    name = _misnamed(random, defect, record.name)
    return record if name is None else replace(record, name=name, defects=(*record.defects, defect))


def _spoil_date(
    random: Random, person: Person, record: SourceRecord, defect: str, reference_date: date
) -> SourceRecord:
    if (reference_date - person.birth_date).days < NEWBORN_DAYS:
        return record
    day = MISSING_DATE
    if defect == "date-one-day-off":
        day = record.birth_date + timedelta(days=1 if random.randrange(2) else -1)
    return replace(record, birth_date=day, defects=(*record.defects, defect))


def _spoil_document(
    _random: Random, person: Person, record: SourceRecord, defect: str, reference_date: date
) -> SourceRecord:
    if record.document is None:
        return record
    if defect == "document-missing":
        return replace(record, document=None, defects=(*record.defects, defect))
    if person.years_at(reference_date) >= CHILD_YEARS or person.mother.document is None:
        return record
    return replace(record, document=person.mother.document, defects=(*record.defects, defect))
