"""The table of guards stays true: each stands where it says, exactly once, and a few are really taken away each day."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.mutation.run import ROOT, Guard, guards, run

LEAST = 80
A_DAY = 4


def quick() -> list[Guard]:
    """Guards whose test needs no served hub."""
    return [
        each for each in guards() if "authentication" not in each.tests and "properties" not in each.tests
    ]


@pytest.mark.parametrize("guard", guards(), ids=lambda each: each.name)
def test_a_guard_stands_where_the_table_says(guard):
    source = (ROOT / guard.file).read_text()
    assert source.count(guard.text) == 1
    removed = guard.removed(source)
    assert removed != source
    ast.parse(removed)


@pytest.mark.parametrize("guard", guards(), ids=lambda each: each.name)
def test_what_has_to_notice_a_guard_is_there(guard):
    if guard.tests.startswith("vectors: "):
        from tests.vectors.vector import vectors

        words = guard.tests.removeprefix("vectors: ").split()
        assert any(all(word in str(each) for word in words) for each in vectors())
        return
    for path in guard.tests.partition(" -k ")[0].split():
        assert (ROOT / path).exists(), path


def test_the_table_names_each_guard_once():
    named = [each.name for each in guards()]
    assert len(named) == len(set(named)) >= LEAST
    assert len({(each.file, each.text, each.instead) for each in guards()}) == len(named)


def test_every_part_of_the_decision_is_in_the_table():
    """Files whose only task is to decide have guards here."""
    held = {each.file for each in guards()}
    decisive = {f"exchange/consent/{name}.py" for name in ("decision", "dimension", "judgement", "provision", "break_glass",
                "representative", "enforcement", "rules_store", "superseding", "lookup")}  # fmt: skip
    assert decisive | {"exchange/store/visibility.py", "exchange/requester.py"} <= held
    assert all(Path(ROOT / each).exists() for each in held)


@pytest.mark.slow
def test_guards_of_today_are_missed_when_they_are_gone():
    """Other ones each day, so that a fortnight tries many; the whole table is `make mutation`."""
    chosen = quick()
    first = datetime.now(UTC).toordinal() * A_DAY
    today = [chosen[(first + number) % len(chosen)] for number in range(A_DAY)]
    assert run(today, 1, is_told=False) == []
