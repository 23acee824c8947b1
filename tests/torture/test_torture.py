"""Half a minute of what `make torture` does for a week."""

from tests.torture.__main__ import Torture


def test_nothing_is_lost_doubled_delayed_or_out_of_order(tmp_path):
    run = Torture(tmp_path, days=1, kills=8, seconds=14, seed=3, bits_per_second=500_000, timeout=5)
    told = run.run()
    assert told.wrong == []
    assert told.is_good
    assert told.applied == told.sent > 60
    assert sum(each.kills for each in run.adapters) + run.hub_kills == 8
    assert run.link.counts["lost segments"]
    assert run.hospital.is_poisoned
