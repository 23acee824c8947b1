"""Who asks, in the notation of the vectors: `hospital as physician Practitioner/d1 for BTG on 2026-05-31T12:00`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from exchange.requester import Requester, User
from tests.passage.world import PREFIXES
from tests.sample.judging import at
from tests.sample.requester import EVERY_SCOPE, a_requester
from tests.vectors.notation import BODIES, FACILITIES, Names, NotUnderstood, clauses

WORDS = ("as", "for", "within", "on", "client", "scopes", "case", "closed", "named")
NOON = "2026-05-31T12:00"
PERSONAL = {"patient": "patient", "guardian": "patient", "administrator": "administrator", "auditor": "auditor",
            "privacy-officer": "privacy-officer", "operator": "operator"}  # fmt: skip
PURPOSE = {"patient": "PATRQT", "guardian": "PATRQT"}


@dataclass(frozen=True)
class Asker:
    """A requester, the moment, and the patient for whom an emergency case is open ("" for none)."""

    requester: Requester
    at: int
    case: str = ""
    is_case_closed: bool = False


def asker(text: str, names: Names) -> Asker:
    head, told = clauses(text, WORDS)
    who = head[0]
    facility = FACILITIES.get(who) or (FACILITIES.get(head[1]) if len(head) > 1 else None) or BODIES["geresa"]
    if who not in FACILITIES and who not in PERSONAL:
        raise NotUnderstood(text)
    purpose = told.get("for", [PURPOSE.get(who, "HOPERAT" if who in PERSONAL else "TREAT")])[0]
    scopes = " ".join(told["scopes"]) if "scopes" in told else EVERY_SCOPE
    made = a_requester(facility, scopes, role=PERSONAL.get(who, "system"), purpose=purpose,
                       id_prefix=PREFIXES.get(facility, ""), client=told.get("client", [""])[0])  # fmt: skip
    if who in ("patient", "guardian"):
        reference = names.reference(f"Patient/{head[1]}" if who == "patient" else f"RelatedPerson/{head[1]}")
        made = replace(made, user=User(f"cuenta-{head[1]}", reference=reference))
    if "as" in told:
        function, *person = told["as"]
        reference = names.reference(person[0]) if person else ""
        identity = names.id_of(person[0].partition("/")[2] if person else "someone")
        made = replace(made, role="clinician", user=User(identity, role=function, reference=reference))
    if "within" in told:
        made = replace(made, within=tuple(BODIES[each] for each in told["within"]))
    return Asker(made, at(told.get("on", [NOON])[0]), told.get("case", [""])[0], "closed" in told)
