"""What the second-level hospital asks for and writes down: appointments, orders to its laboratory, discharge summaries.

Spec:    HL7 v2.5.1 chapters 4, 9 and 10.
Leaves:  headers, patients and stays to hl7v2.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from exchange.demo.history import PanelResult, Visit

_ESCAPES: Final = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\"})
_MINUTES: Final = 20


def escaped(text: str) -> str:
    """Text with v2's delimiters escaped."""
    return text.translate(_ESCAPES)


def instant(at: datetime) -> str:
    """A v2 time stamp with its offset."""
    return at.strftime("%Y%m%d%H%M%S%z")


def professional(visit: Visit) -> str:
    """XCN: college number, surnames, given names, assigning college."""
    staff = visit.professional
    surnames = escaped(f"{staff.paternal} {staff.maternal}")
    return f"{staff.college_number}^{surnames}^{escaped(staff.given)}^^^^^^CMP"


def appointment(visit: Visit, identity: str) -> tuple[str, ...]:
    """SIU S12: the appointment for a visit, with service, place and doctor."""
    fields = [""] * 26
    fields[0] = "SCH"
    fields[2] = f"C{visit.number}^SIGH"
    fields[8] = "NORMAL^Consulta externa^L"
    fields[9], fields[10] = str(_MINUTES), "MIN^minutos"
    fields[11] = f"^^^{instant(visit.started_at)}"
    fields[25] = "Booked"
    return (
        "|".join(fields),
        identity,
        "RGS|1",
        f"AIS|1||{visit.ups}^Consulta externa^L|{instant(visit.started_at)}",
        f"AIL|1||{visit.ups}^^^{visit.renipress}",
        f"AIP|1||{professional(visit)}",
    )


def laboratory_order(visit: Visit, panel: PanelResult, number: str) -> tuple[str, str]:
    """ORM O01: what the laboratory is asked for, under the number by which its result will name it."""
    coded = f"{panel.panel.code}^{escaped(panel.panel.label)}^LN"
    control = [""] * 13
    control[:3] = ["ORC", "NW", f"{number}^SIGH"]
    control[9], control[12] = instant(panel.taken_at), professional(visit)
    return "|".join(control), f"OBR|1|{number}^SIGH||{coded}"


def discharge_summary(visit: Visit) -> tuple[str, ...]:
    """MDM T02: the epicrisis of a stay, as lines of text."""
    written = instant(visit.ended_at)
    header = [""] * 20
    header[:5] = ["TXA", "1", "EP^Epicrisis^L", "TX", written]
    header[5], header[12] = professional(visit), f"E{visit.number}^SIGH"
    header[17], header[19] = "LA", "AV"
    lines = ["Epicrisis", *(f"{one.disease.code} {one.disease.label}" for one in visit.diagnoses)]
    return (
        "|".join(header),
        *(
            f"OBX|{position}|TX|||{escaped(line)}||||||F|||{written}"
            for position, line in enumerate(lines, start=1)
        ),
    )
