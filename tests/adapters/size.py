"""How many bytes a waiting record takes in the outbox, and its original once it is applied: `python -m tests.adapters.size`.

The reviewed examples, each taken some hundred times under other names, as a source of that kind would bring them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from adapters.outbox import Outbox
from adapters.source_record import Mapped, Outcome
from adapters.sources.message_folder import split_messages
from tests.adapters import test_births, test_primary, test_secondary, test_tertiary
from tests.adapters.conftest import GOLDEN

TIMES = 300


def examples() -> Iterator[tuple[str, list[Outcome]]]:
    yield "his-trama (a visit of some rows)", test_primary.trama()
    yield "his-trama (a birth)", test_births.births()
    yield (
        "hl7v2",
        [
            test_secondary.map_message(test_secondary.HOSPITAL, raw, test_secondary.AT)
            for raw in split_messages((GOLDEN / "hospital.hl7").read_bytes())
        ],
    )
    yield "ccda-folder (8 kB)", [test_tertiary.read((GOLDEN / "institute.xml").read_bytes())]


def measured(outcomes: list[Outcome]) -> tuple[int, int]:
    """Bytes of the file for each waiting record, and for each applied one whose original is kept."""
    good = [each for each in outcomes if isinstance(each, Mapped)]
    with tempfile.TemporaryDirectory() as folder:
        box = Outbox(Path(folder))
        path = Path(folder) / "outbox.sqlite"
        before = path.stat().st_size
        for number in range(TIMES):
            box.accept([
                replace(each, record=replace(each.record, natural_key=f"{each.record.natural_key}|{number}",
                                             patient_key=f"{each.record.patient_key}|{number}",
                                             original=each.record.original + b" " * (number % 3)))
                for each in good
            ])  # fmt: skip
        count = TIMES * len(good)
        box.close()
        waiting = path.stat().st_size - before
        box = Outbox(Path(folder))
        sealed = box._row("SELECT sum(length(original)), count(*) FROM record")
        box.close()
        assert sealed is not None
        assert sealed[1] == count
        return waiting // count, sealed[0] // count


def main() -> None:
    for name, outcomes in examples():
        waiting, original = measured(outcomes)
        print(f"{name:36} {waiting:>8} bytes waiting, {original:>7} of them the original")


if __name__ == "__main__":
    main()
