"""What the folder of e-Qhali exports needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.settings.checker import Checker

EQHALI_KEYS: Final = frozenset({"pad_documents"})


@dataclass(frozen=True, slots=True)
class EqhaliSettings:
    """Whether documents of fewer than 8 digits lost their zeros on the way, as the site knows."""

    pads_documents: bool


def check_eqhali(checker: Checker) -> EqhaliSettings:
    """`pad_documents` of `[source]`."""
    return EqhaliSettings(checker.truth("source", "pad_documents", default=False))
