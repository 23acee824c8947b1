"""The sections of the institute's CCD: narrative in Spanish and coded entries.

Spec:    HL7 C-CDA R2.1, section and entry templates named beside each function.
Leaves:  header and files to ccda.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Final

from exchange.demo import cda
from exchange.demo.cda import Element, coded, element, instant, interval, reference, template
from exchange.demo.history import Allergy, History, PanelResult, Result, Visit

_ALLERGY: Final = {"medication": "DALG", "food": "FALG", "environment": "EALG"}
_CERTAINTY: Final = {"P": "Presuntivo", "D": "Definitivo", "R": "Repetido"}
_DAY: Final = "%d/%m/%Y"


@dataclass(frozen=True, slots=True)
class Chart:
    """What one document tells: the institute's visits of one person, and numbers for its entries."""

    renipress: str
    visits: tuple[Visit, ...]
    history: History
    numbers: Iterator[int]

    def identify(self, parent: Element) -> None:
        """A new entry identifier of the institute's own, never used in another document."""
        root = cda.local_root(self.renipress, "entrada")
        element(parent, "id", root=root, extension=f"{self.visits[-1].number}-{next(self.numbers)}")


def write_sections(body: Element, renipress: str, visits: tuple[Visit, ...], history: History) -> None:
    """Append every section of the CCD to the structured body."""
    chart = Chart(renipress, visits, history, count(1))
    _allergies(body, chart)
    _medications(body, chart)
    _problems(body, chart)
    _procedures(body, chart)
    _results(body, chart)
    _immunizations(body, chart)
    _vital_signs(body, chart)


def _section(
    body: Element, template_id: tuple[str, str], code: tuple[str, str], title: str, *, empty: bool
) -> tuple[Element, Element]:
    """A section and its text; an empty one says that there is no information."""
    section = element(element(body, "component"), "section")
    if empty:
        section.set("nullFlavor", "NI")
    template(section, *template_id)
    coded(section, "code", code[0], cda.LOINC, code[1])
    element(section, "title", title)
    text = element(section, "text")
    if empty:
        text.text = "Sin información registrada en esta institución."
    return section, text


def _allergies(body: Element, chart: Chart) -> None:
    """Allergies section (entries required)."""
    allergies = chart.history.allergies
    section, text = _section(
        body,
        ("2.6.1", "2015-08-01"),
        ("48765-2", "Allergies and adverse reactions"),
        "Alergias",
        empty=not allergies,
    )
    if allergies:
        rows = [
            (f"alergia-{n}", (one.label, one.reaction, one.noted_on.strftime(_DAY)))
            for n, one in enumerate(allergies, 1)
        ]
        cda.table(text, ("Sustancia", "Reacción", "Desde"), rows)
    for n, one in enumerate(allergies, 1):
        _allergy(section, chart, one, n)


def _allergy(section: Element, chart: Chart, allergy: Allergy, n: int) -> None:
    """Allergy concern act, intolerance observation, reaction observation."""
    act = element(element(section, "entry", typeCode="DRIV"), "act", classCode="ACT", moodCode="EVN")
    template(act, "4.30", "2015-08-01")
    chart.identify(act)
    coded(act, "code", "CONC", cda.ACT_CLASS, "Concern")
    element(act, "statusCode", code="active")
    interval(act, allergy.noted_on)
    link = element(act, "entryRelationship", typeCode="SUBJ")
    observation = element(link, "observation", classCode="OBS", moodCode="EVN")
    template(observation, "4.7", "2014-06-09")
    chart.identify(observation)
    coded(observation, "code", "ASSERTION", cda.ACT_CODE, "Assertion")
    reference(observation, f"alergia-{n}")
    element(observation, "statusCode", code="completed")
    interval(observation, allergy.noted_on)
    cda.value(observation, "CD", code=_ALLERGY[allergy.category], codeSystem=cda.ACT_CODE[0])
    participant = element(observation, "participant", typeCode="CSM")
    role = element(participant, "participantRole", classCode="MANU")
    entity = element(role, "playingEntity", classCode="MMAT")
    coded(entity, "code", allergy.key, cda.ALLERGEN_SYSTEM, allergy.label)
    link = element(observation, "entryRelationship", typeCode="MFST", inversionInd="true")
    reaction = element(link, "observation", classCode="OBS", moodCode="EVN")
    template(reaction, "4.9", "2014-06-09")
    chart.identify(reaction)
    coded(reaction, "code", "ASSERTION", cda.ACT_CODE, "Assertion")
    element(reaction, "statusCode", code="completed")
    missing = cda.value(reaction, "CD", nullFlavor="OTH")
    element(missing, "originalText", allergy.reaction)


def _medications(body: Element, chart: Chart) -> None:
    """Medications section (entries required)."""
    taken = [(visit, drug) for visit in chart.visits for drug in visit.drugs]
    section, text = _section(
        body,
        ("2.1.1", "2014-06-09"),
        ("10160-0", "History of Medication use"),
        "Medicamentos",
        empty=not taken,
    )
    if taken:
        rows = [
            (f"medicamento-{n}", (drug.label, drug.dose, visit.started_at.strftime(_DAY)))
            for n, (visit, drug) in enumerate(taken, 1)
        ]
        cda.table(text, ("Medicamento", "Indicación", "Fecha"), rows)
    for n, (visit, drug) in enumerate(taken, 1):
        given = element(
            element(section, "entry", typeCode="DRIV"),
            "substanceAdministration",
            classCode="SBADM",
            moodCode="INT",
        )
        template(given, "4.16", "2014-06-09")
        chart.identify(given)
        reference(given, f"medicamento-{n}")
        element(given, "statusCode", code="active")
        interval(given, visit.started_at)
        element(given, "doseQuantity", nullFlavor="UNK")
        product = element(element(given, "consumable"), "manufacturedProduct", classCode="MANU")
        template(product, "4.23", "2014-06-09")
        material = element(product, "manufacturedMaterial")
        coded(material, "code", drug.key, cda.DRUG_SYSTEM, drug.label)
        _author(given, visit)


def _author(parent: Element, visit: Visit) -> None:
    """Who wrote an entry, and when."""
    author = element(parent, "author")
    template(author, "4.119")
    element(author, "time", value=instant(visit.started_at))
    assigned = element(author, "assignedAuthor")
    element(assigned, "id", root=cda.COLLEGE_ROOT, extension=visit.professional.college_number)


def _problems(body: Element, chart: Chart) -> None:
    """Problem section (entries required): one concern for each diagnosis code, from its first visit."""
    first: dict[str, tuple[Visit, int]] = {}
    for visit in chart.visits:
        for position, one in enumerate(visit.diagnoses):
            first.setdefault(one.disease.code, (visit, position))
    found = list(first.values())
    section, text = _section(
        body, ("2.5.1", "2015-08-01"), ("11450-4", "Problem list"), "Diagnósticos", empty=not found
    )
    rows = []
    for n, (visit, position) in enumerate(found, 1):
        one = visit.diagnoses[position]
        cells = (
            one.disease.code,
            one.disease.label,
            _CERTAINTY[one.certainty],
            visit.started_at.strftime(_DAY),
        )
        rows.append((f"diagnostico-{n}", cells))
    cda.table(text, ("CIE-10", "Diagnóstico", "Tipo", "Desde"), rows)
    for n, (visit, position) in enumerate(found, 1):
        _problem(section, chart, visit, position, n)


def _problem(section: Element, chart: Chart, visit: Visit, position: int, n: int) -> None:
    """Problem concern act and problem observation."""
    one = visit.diagnoses[position]
    day = visit.started_at.date()
    act = element(element(section, "entry", typeCode="DRIV"), "act", classCode="ACT", moodCode="EVN")
    template(act, "4.3", "2015-08-01")
    chart.identify(act)
    coded(act, "code", "CONC", cda.ACT_CLASS, "Concern")
    element(act, "statusCode", code="active" if one.disease.chronic else "completed")
    interval(act, day, None if one.disease.chronic else visit.ended_at.date())
    link = element(act, "entryRelationship", typeCode="SUBJ")
    observation = element(link, "observation", classCode="OBS", moodCode="EVN")
    template(observation, "4.4", "2015-08-01")
    chart.identify(observation)
    coded(observation, "code", "75326-9", cda.LOINC, "Problem")
    reference(observation, f"diagnostico-{n}")
    element(observation, "statusCode", code="completed")
    interval(observation, day)
    coding = cda.value(
        observation,
        "CD",
        code=one.disease.code,
        codeSystem=cda.ICD10[0],
        codeSystemName=cda.ICD10[1],
        displayName=one.disease.label,
    )
    qualifier = element(coding, "originalText")
    element(qualifier, "reference", value=f"#diagnostico-{n}")
    _author(observation, visit)


def _procedures(body: Element, chart: Chart) -> None:
    """Procedures section (entries required)."""
    done = [(visit, act) for visit in chart.visits for act in visit.acts]
    section, text = _section(
        body,
        ("2.7.1", "2014-06-09"),
        ("47519-4", "History of Procedures"),
        "Procedimientos",
        empty=not done,
    )
    if done:
        rows = [
            (f"procedimiento-{n}", (act.label, visit.started_at.strftime(_DAY)))
            for n, (visit, act) in enumerate(done, 1)
        ]
        cda.table(text, ("Procedimiento", "Fecha"), rows)
    for n, (visit, act) in enumerate(done, 1):
        procedure = element(
            element(section, "entry", typeCode="DRIV"), "procedure", classCode="PROC", moodCode="EVN"
        )
        template(procedure, "4.14", "2014-06-09")
        chart.identify(procedure)
        coded(procedure, "code", act.code, cda.ACT_SYSTEM, act.label)
        reference(procedure, f"procedimiento-{n}")
        element(procedure, "statusCode", code="completed")
        element(procedure, "effectiveTime", value=instant(visit.started_at))


def _results(body: Element, chart: Chart) -> None:
    """Results section (entries required)."""
    panels = [(visit, panel) for visit in chart.visits for panel in visit.panels]
    section, text = _section(
        body,
        ("2.3.1", "2015-08-01"),
        ("30954-2", "Relevant diagnostic tests and/or laboratory data"),
        "Resultados de laboratorio",
        empty=not panels,
    )
    rows = []
    for n, (_, panel) in enumerate(panels, 1):
        for m, one in enumerate(panel.results, 1):
            cells = (
                panel.panel.label,
                one.measurement.label,
                f"{one.value} {one.measurement.unit}",
                one.flag,
            )
            rows.append((f"resultado-{n}-{m}", (*cells, panel.taken_at.strftime(_DAY))))
    if rows:
        cda.table(text, ("Examen", "Prueba", "Valor", "Indicador", "Fecha"), rows)
    for n, (visit, panel) in enumerate(panels, 1):
        organizer = _organizer(section, "BATTERY", "4.1", chart)
        coded(organizer, "code", panel.panel.code, cda.LOINC, panel.panel.display)
        element(organizer, "statusCode", code="completed")
        interval(organizer, panel.taken_at, panel.taken_at)
        _author(organizer, visit)
        for m, one in enumerate(panel.results, 1):
            _measured(organizer, chart, one, panel, f"resultado-{n}-{m}")


def _organizer(section: Element, class_code: str, template_id: str, chart: Chart) -> Element:
    """A result or vital signs organizer."""
    entry = element(section, "entry", typeCode="DRIV")
    organizer = element(entry, "organizer", classCode=class_code, moodCode="EVN")
    template(organizer, template_id, "2015-08-01")
    chart.identify(organizer)
    return organizer


def _measured(organizer: Element, chart: Chart, result: Result, panel: PanelResult, target: str) -> None:
    """Result observation with its reference range."""
    measurement = result.measurement
    observation = element(element(organizer, "component"), "observation", classCode="OBS", moodCode="EVN")
    template(observation, "4.2", "2015-08-01")
    chart.identify(observation)
    coded(observation, "code", measurement.code, cda.LOINC, measurement.display)
    reference(observation, target)
    element(observation, "statusCode", code="completed")
    element(observation, "effectiveTime", value=instant(panel.taken_at))
    cda.quantity(observation, "value", result.value, measurement.unit, typed=True)
    element(observation, "interpretationCode", code=result.flag, codeSystem=cda.INTERPRETATION[0])
    expected = element(element(observation, "referenceRange"), "observationRange")
    limits = cda.value(expected, "IVL_PQ")
    scale = 10**measurement.decimals
    for name, limit in (("low", measurement.low), ("high", measurement.high)):
        cda.quantity(limits, name, f"{limit / scale:.{measurement.decimals}f}", measurement.unit)


def _immunizations(body: Element, chart: Chart) -> None:
    """Immunizations section (entries required). The institute vaccinates few; it notes what it gave."""
    doses = [(visit, dose) for visit in chart.visits for dose in visit.doses]
    section, text = _section(
        body,
        ("2.2.1", "2015-08-01"),
        ("11369-6", "History of Immunization"),
        "Inmunizaciones",
        empty=not doses,
    )
    if doses:
        rows = [
            (f"vacuna-{n}", (dose.vaccine.label, str(dose.number), dose.given_on.strftime(_DAY)))
            for n, (_, dose) in enumerate(doses, 1)
        ]
        cda.table(text, ("Vacuna", "Dosis", "Fecha"), rows)
    for n, (visit, dose) in enumerate(doses, 1):
        given = element(
            element(section, "entry", typeCode="DRIV"),
            "substanceAdministration",
            classCode="SBADM",
            moodCode="EVN",
            negationInd="false",
        )
        template(given, "4.52", "2015-08-01")
        chart.identify(given)
        reference(given, f"vacuna-{n}")
        element(given, "statusCode", code="completed")
        element(given, "effectiveTime", value=instant(_day(visit)))
        element(given, "repeatNumber", value=str(dose.number))
        product = element(element(given, "consumable"), "manufacturedProduct", classCode="MANU")
        template(product, "4.54", "2014-06-09")
        material = element(product, "manufacturedMaterial")
        coded(material, "code", dose.vaccine.cvx, cda.CVX, dose.vaccine.label)
        element(material, "lotNumberText", f"L{visit.number % 10_000:04d}")


def _day(visit: Visit) -> date:
    return visit.started_at.date()


def _vital_signs(body: Element, chart: Chart) -> None:
    """Vital signs section (entries required): one organizer for each visit."""
    section, text = _section(
        body, ("2.4.1", "2015-08-01"), ("8716-3", "Vital signs"), "Signos vitales", empty=False
    )
    rows = []
    for n, visit in enumerate(chart.visits, 1):
        for m, one in enumerate(visit.vital_signs, 1):
            cells = (one.measurement.label, f"{one.value} {one.measurement.unit}")
            rows.append((f"signo-{n}-{m}", (*cells, visit.started_at.strftime(_DAY))))
    cda.table(text, ("Signo", "Valor", "Fecha"), rows)
    for n, visit in enumerate(chart.visits, 1):
        organizer = _organizer(section, "CLUSTER", "4.26", chart)
        coded(
            organizer,
            "code",
            "74728-7",
            cda.LOINC,
            "Vital signs, weight, height, head circumference, oxygen saturation and BMI panel",
        )
        element(organizer, "statusCode", code="completed")
        interval(organizer, visit.started_at, visit.started_at)
        for m, one in enumerate(visit.vital_signs, 1):
            observation = element(
                element(organizer, "component"), "observation", classCode="OBS", moodCode="EVN"
            )
            template(observation, "4.27", "2014-06-09")
            chart.identify(observation)
            coded(observation, "code", one.measurement.code, cda.LOINC, one.measurement.display)
            reference(observation, f"signo-{n}-{m}")
            element(observation, "statusCode", code="completed")
            element(observation, "effectiveTime", value=instant(visit.started_at))
            cda.quantity(observation, "value", one.value, one.measurement.unit, typed=True)
            element(observation, "interpretationCode", code=one.flag, codeSystem=cda.INTERPRETATION[0])
