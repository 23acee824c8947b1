"""Ten seconds of what `python -m tests.adapters.torture` does for a minute."""

from tests.adapters.torture import torture


def test_nothing_is_lost_doubled_or_out_of_order(tmp_path):
    told = torture(tmp_path, seconds=10, kills=3, seed=7)
    assert told.kills == 3
    assert told.misbehaviours["drop"]
    assert told.sent > 50
    assert told.applied >= told.sent
    assert (told.lost, told.doubled, told.out_of_order, told.quarantined) == (0, 0, 0, 0)
