"""One denial more never shows one row more. The long run is `python -m tests.vectors.monotone 100000`."""

from __future__ import annotations

import os

import pytest

from tests.vectors import monotone

CASES = int(os.environ.get("CHASQUI_MONOTONE_CASES", "600"))


@pytest.mark.slow
def test_a_denial_never_adds_a_row(server):
    outcome = monotone.run(server, CASES, seed=7)
    assert outcome.grown == []
    # A run that shows nothing, or hides nothing, proves nothing.
    assert outcome.cases == CASES
    assert outcome.shown > CASES // 2
    assert outcome.shrunk > CASES // 20
