"""The hub and a naive search agree, for random searches over random shelves of the official examples.

The long run is `make oracle CASES=20000`.
"""

from __future__ import annotations

import os

import pytest

from tests.properties import oracle
from tests.sample import official

CASES = int(os.environ.get("CHASQUI_ORACLE_CASES", "2600"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 5_000])
def test_no_search_finds_other_than_a_naive_one(server, seed):
    examples = [text for _, text in official.examples(oracle.LARGEST_BYTES)]
    if not examples:
        pytest.skip(official.ABSENT)
    result = oracle.run(server, examples, CASES, seed)
    assert result.differences == []
    # A run that finds nothing, or is refused everything, proves nothing.
    assert result.cases == CASES
    assert result.matched > CASES // 3
    assert result.refused < CASES // 20
    assert {
        "chain",
        "_has",
        "_filter",
        "_sort",
        "_include",
        "quantity",
        "composite",
        "date",
        "token:not",
    } <= set(result.shapes)
