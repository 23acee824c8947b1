"""What this adapter can read of a hospital's database: entities, how they hang together, and their fields.

Spec:    docs/adapters.md, "GalenHos".
Leaves:  which table and column each is to the hospital's own column map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """An entity: the one it hangs under, what it must have, what it may have, and its fields of closed meaning."""

    parent: str
    needed: frozenset[str]
    optional: frozenset[str]
    coded: Mapping[str, frozenset[str]]

    @property
    def fields(self) -> frozenset[str]:
        """Every field."""
        return self.needed | self.optional


_DOCUMENTS: Final = frozenset({"dni", "ce", "passport", "die", "cnv", "none"})
_ADMIT: Final = frozenset(
    {"hosp-trans", "emd", "outp", "born", "gp", "mp", "nursing", "psych", "rehab", "other"}
)
_DISCHARGE: Final = frozenset({
    "home", "alt-home", "other-hcf", "hosp", "long", "aadvice", "exp", "psy", "rehab", "snf", "oth",
})  # fmt: skip
_STATES: Final = frozenset({"planned", "in-progress", "finished", "cancelled", "void"})

KINDS: Final[Mapping[str, Kind]] = {
    "attention": Kind(
        "",
        frozenset({"patient", "kind", "admitted_date"}),
        frozenset({
            "account", "state", "admitted_time", "left_date", "left_time", "service", "ups", "origin", "destination",
            "discharge_type", "discharge_condition", "doctor", "doctor_document", "doctor_college", "reason", "bed",
        }),
        {
            "kind": frozenset({"AMB", "EMER", "IMP", "OBSENC", "HH", "FLD", "VR", "SS"}),
            "state": _STATES, "origin": _ADMIT, "discharge_type": _DISCHARGE,
        },
    ),
    "patient": Kind(
        "",
        frozenset({"paternal", "given_1", "birth_date", "sex", "document_type", "document"}),
        frozenset({
            "maternal", "third", "given_2", "given_3", "history", "phone_1", "phone_2", "phone_3", "phone_4", "email",
            "address", "ubigeo_home", "ubigeo_birth", "birth_order", "died_date", "mother_document_type",
            "mother_document", "mother_paternal", "mother_maternal", "mother_given_1", "mother_given_2",
        }),
        {
            "sex": frozenset({"male", "female", "other", "unknown"}),
            "document_type": _DOCUMENTS, "mother_document_type": _DOCUMENTS,
        },
    ),
    "diagnosis": Kind(
        "attention",
        frozenset({"code"}),
        frozenset({"words", "certainty", "use", "rank"}),
        {
            "certainty": frozenset({"P", "D", "R"}),
            "use": frozenset({"AD", "DD", "CC", "CM", "pre-op", "post-op", "mortality"}),
        },
    ),
    "order": Kind(
        "attention",
        frozenset({"state", "date"}),
        frozenset({"time", "point", "doctor"}),
        {"state": frozenset({"active", "void"})},
    ),
    "order_item": Kind(
        "order", frozenset({"code"}), frozenset({"words", "quantity", "done_date", "done_time"}), {}
    ),
    "dispense": Kind(
        "attention",
        frozenset({"date"}),
        frozenset({"time", "state"}),
        {"state": frozenset({"active", "void"})},
    ),
    "dispense_item": Kind("dispense", frozenset({"code"}), frozenset({"words", "quantity", "unit"}), {}),
    "allergy": Kind(
        "patient",
        frozenset({"words"}),
        frozenset({"code", "category", "criticality", "date"}),
        {
            "category": frozenset({"food", "medication", "environment", "biologic"}),
            "criticality": frozenset({"low", "high", "unable-to-assess"}),
        },
    ),
}  # fmt: skip
