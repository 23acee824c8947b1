"""The port under peers that misbehave, for a few seconds; longer by hand."""

import pytest

from tests.adapters.mllp_torture import torture


@pytest.mark.parametrize("seed", [7])
def test_misbehaving_peers_lose_nothing_double_nothing_and_get_their_own_answers(tmp_path, seed):
    outcome = torture(tmp_path, seconds=3, connections=4, seed=seed)
    assert outcome.is_good, outcome
    assert outcome.acknowledged == outcome.sent
    assert outcome.kept >= outcome.acknowledged
    assert outcome.resent
    assert len(outcome.did) >= 8
