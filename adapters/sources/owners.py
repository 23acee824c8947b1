"""Of whom a thing was last told, also by what was read a moment ago and is not durable yet."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from adapters.outbox import Outbox

_REMEMBERED: Final = 2000  # more than one commit of the source takes


class Owners:
    """The outbox's knowledge, and that of the last things which were asked for and then told."""

    def __init__(self, outbox: Outbox, system: str) -> None:
        self._outbox = outbox
        self._system = system
        self._told: OrderedDict[str, str] = OrderedDict()

    def __call__(self, thing_key: str) -> str | None:
        """The key of the patient, or nothing where the thing is new."""
        return self._told.get(thing_key) or self._outbox.owner(self._system, thing_key)

    def tell(self, thing_key: str, patient_key: str) -> None:
        """Remember what is being told now."""
        self._told[thing_key] = patient_key
        self._told.move_to_end(thing_key)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)


class Nobody:
    """Where nothing is taken, nothing was told of anybody."""

    def __call__(self, thing_key: str) -> str | None:  # noqa: ARG002
        """Nothing."""
        return None

    def tell(self, thing_key: str, patient_key: str) -> None:
        """Nothing is kept."""
