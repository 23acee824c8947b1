"""Every attack of `make tamper` is detected offline; an untouched log verifies."""

from __future__ import annotations

import pytest

from tests.passage.world import a_world
from tests.tamper.attacks import ATTACKS
from tests.tamper.run import carried_out, verified
from tests.tamper.thief import HEADS, Thief

CLASSES = {
    "alter a byte", "delete", "reorder", "back-date", "insert", "fork", "truncate the tail", "restore yesterday's backup",
    "swap two patients' rows", "re-sign with another key",
}  # fmt: skip


@pytest.fixture(scope="module")
def thief(server):
    with a_world(server) as world:
        yield Thief(world)


def test_there_are_ten_classes_in_several_forms():
    assert {each.kind for each in ATTACKS} == CLASSES
    assert all(sum(each.kind == kind for each in ATTACKS) >= 2 for kind in CLASSES)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_untouched_log_verifies(thief, tmp_path, processes):
    for size in ("", *HEADS):
        outcome = verified(
            thief.world, tmp_path, thief.kept_heads[size] if size else "", "--processes", processes
        )
        assert outcome.code == 0, outcome.text


@pytest.mark.parametrize("each", [pytest.param(each, id=f"{each.kind}: {each.form}") for each in ATTACKS])
def test_it_is_detected_and_undone(thief, tmp_path, each):
    outcome = carried_out(thief, each, tmp_path)
    assert outcome.code == 1, outcome.text
    assert outcome.where
    assert verified(thief.world, tmp_path).code == 0
