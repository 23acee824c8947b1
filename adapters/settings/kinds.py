"""The kinds of sources that an adapter can read: what each is called, and what it needs in the site file.

Leaves:  reading to the room of each source.

A kind that needs more than a folder has a file here with its keys, its settings and their check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.settings.checker import Checker
from adapters.settings.dicomweb import DICOMWEB_KEYS, check_dicomweb
from adapters.settings.eqhali import EQHALI_KEYS, check_eqhali
from adapters.settings.fhir_server import FHIR_KEYS, check_fhir_server
from adapters.settings.galenhos import GALENHOS_KEYS, check_galenhos
from adapters.settings.his import HIS_KEYS, check_his
from adapters.settings.messages import MESSAGE_KEYS, SENDER_KEYS, check_messages
from adapters.settings.mllp import MLLP_KEYS, MLLP_SECTIONS, check_mllp


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source.

    `system` names it where the site gives no name of its own; `pattern` is that of its files, none where it is no
    folder; `keys` are its own in `[source]`; `sections` are its own sections; `check` makes its own settings.
    """

    system: str
    pattern: str = ""
    keys: frozenset[str] = frozenset()
    sections: Mapping[str, frozenset[str]] = field(default_factory=dict)
    check: Callable[[Checker], Any] = lambda _: None


KINDS: Final[Mapping[str, Kind]] = {
    "his-trama": Kind("his", "*.csv", HIS_KEYS, check=check_his),
    "eqhali-folder": Kind("eqhali", "*", EQHALI_KEYS, check=check_eqhali),
    "galenhos": Kind("galenhos", keys=GALENHOS_KEYS, check=check_galenhos),
    "hl7v2-folder": Kind("hl7v2", "*.hl7", MESSAGE_KEYS, {"sender": SENDER_KEYS}, check_messages),
    "hl7v2-mllp": Kind("hl7v2", "", MLLP_KEYS, MLLP_SECTIONS, check_mllp),
    "ccda-folder": Kind("ccda", "*.xml"),
    "dicomweb": Kind("pacs", "", DICOMWEB_KEYS, check=check_dicomweb),
    "fhir": Kind("fhir", "", FHIR_KEYS, check=check_fhir_server),
}
