"""Keys in rotation: who makes what under which version, who waits for whom, and what a process learns meanwhile."""

from __future__ import annotations

import ast
import threading

import pytest

from exchange.problems import Conflict, KeyDestroyed, SealBroken, Unavailable
from exchange.store import key_rotation, rewrapping
from exchange.store.data_keys import REGION
from exchange.store.hub import open_store
from exchange.store.hub_keys import hub_keys
from exchange.store.rewrapping import Rewrapping, counts
from exchange.store.sealed_places import ONE_TIME_CODE, PLACES, SIGNING_KEY
from tests.architecture.sources import files, shown, tree


@pytest.fixture
def other(database, hub_settings, root_key, store):
    """Another process of the same hub."""
    opened = open_store(database, hub_settings, root_key)
    yield opened
    opened.close()


def acted(store, act, *words):
    with store.transaction() as transaction:
        done = act(transaction, *words)
        transaction.commit()
    return done


def made(store, *compartments):
    with store.transaction() as transaction:
        store.data_keys.ciphers_to_write(transaction, compartments)
        transaction.commit()


def under(store) -> dict[int, int]:
    with store.transaction() as transaction:
        return counts(transaction)


def rotate(store) -> int:
    return acted(store, key_rotation.rotate, "record")


def test_a_process_that_has_not_heard_makes_keys_under_the_old_version_until_it_is_retired(store, other):
    rotate(store)
    store.crypto.look()
    made(other, 11)
    made(store, 12)
    with store.transaction() as transaction:
        found = dict(
            transaction.rows("SELECT compartment, wrapping_version FROM data_key WHERE compartment > 0")
        )
    assert found == {11: 1, 12: 2}
    while Rewrapping(store).step():
        pass
    acted(store, key_rotation.retire, "record", 1)
    assert other.crypto.keyring.version("record") == 1, "it has not heard yet"
    made(other, 13)
    assert under(store).keys() == {2}
    assert other.crypto.keyring.version("record") == 2


def test_a_late_writer_and_retire_cannot_pass_each_other(store, other):
    rotate(store)
    store.crypto.look()
    while Rewrapping(store).step():
        pass
    refused = []

    def retire():
        try:
            acted(store, key_rotation.retire, "record", 1)
        except Conflict as conflict:
            refused.append(str(conflict))

    with other.transaction() as late:
        other.data_keys.ciphers_to_write(late, (21,))  # under version 1, not committed
        waiting = threading.Thread(target=retire)
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive(), "retiring waits for whoever is writing under the version"
        late.commit()
    waiting.join(10)
    assert "1 data keys" in refused[0]


def test_a_writer_that_meets_a_retiring_version_waits_and_uses_the_newest(store, other):
    rotate(store)
    store.crypto.look()
    while Rewrapping(store).step():
        pass
    with store.transaction() as retiring:
        key_rotation.retire(retiring, "record", 1)
        writing = threading.Thread(target=made, args=(other, 31))
        writing.start()
        writing.join(0.5)
        assert writing.is_alive()
        retiring.commit()
    writing.join(10)
    with store.transaction() as transaction:
        assert transaction.rows("SELECT wrapping_version FROM data_key WHERE compartment = 31") == [(2,)]


def test_a_reader_opens_what_was_wrapped_anew_under_a_version_that_it_does_not_know(store, other):
    made(store, 41)
    rotate(store)
    store.crypto.look()
    while Rewrapping(store).step():
        pass
    acted(store, key_rotation.retire, "record", 1)
    acted(store, key_rotation.destroy, "record", 1)
    with other.transaction() as transaction:
        assert 41 in other.data_keys.ciphers(transaction, (41,))
    assert other.crypto.keyring.versions("record") == [2]


def test_wrapping_anew_is_cut_off_and_goes_on(store, other, monkeypatch):
    monkeypatch.setattr(rewrapping, "BATCH_ROWS", 7)
    made(store, *range(1, 51))
    before = bodies(store)
    rotate(store)
    walk = Rewrapping(store)
    for _ in range(3):
        assert walk.step()
    assert 0 < under(store)[2] < 51
    with store.transaction() as cut:  # a step that is killed before it commits
        store.crypto.look()
        rewrapping._move(cut, rewrapping.FIRST, 2)
    both = [Rewrapping(store), Rewrapping(other)]  # two new processes begin at the beginning
    while sum(each.step() for each in both):
        pass
    assert under(store).keys() == {2}
    assert sum(each.moved for each in both) + walk.moved == 52  # with the region's key and the dictionary
    acted(store, key_rotation.retire, "record", 1)
    acted(store, key_rotation.destroy, "record", 1)
    assert bodies(store) == before


def bodies(store) -> dict[int, bytes]:
    """What each key makes of the same text: the keys themselves are the same before and after."""
    store.data_keys._kept.clear()
    with store.transaction() as transaction:
        found = store.data_keys.ciphers(transaction, range(1, 51))
    return {place: cipher.encrypt(bytes(12), b"text", None) for place, cipher in found.items()}


def test_a_key_that_somebody_holds_is_left_for_the_next_pass(store, other):
    made(store, 51)
    rotate(store)
    with other.transaction() as holding:
        holding.rows("SELECT 1 FROM data_key WHERE compartment = 51 FOR UPDATE")
        while Rewrapping(store).step():
            pass
        assert under(store)[1] == 1
    while Rewrapping(store).step():
        pass
    assert under(store).keys() == {2}


def test_with_one_active_version_a_step_touches_nothing(store):
    made(store, 61)
    with store.transaction() as transaction:
        before = transaction.rows("SELECT xmin, compartment FROM data_key ORDER BY 2")
    assert Rewrapping(store).step() is False
    with store.transaction() as transaction:
        assert transaction.rows("SELECT xmin, compartment FROM data_key ORDER BY 2") == before


def test_secrets_move_with_their_key_and_stay_bound_to_their_place(store):
    with store.transaction() as transaction:
        sealed = SIGNING_KEY.seal(transaction, "identity", b"private")
        transaction.run("INSERT INTO signing_key (purpose, sealed) VALUES ('identity', %s)", (sealed,))
        for place, row in ((SIGNING_KEY, "other"), (ONE_TIME_CODE, "identity")):
            with pytest.raises(SealBroken):
                place.open(transaction, row, sealed)
        transaction.commit()
    rotate(store)
    while Rewrapping(store).step():
        pass
    acted(store, key_rotation.retire, "record", 1)
    acted(store, key_rotation.destroy, "record", 1)
    store.crypto.look()
    with store.transaction() as transaction:
        [(moved,)] = transaction.rows("SELECT sealed FROM signing_key")
        assert SIGNING_KEY.open(transaction, "identity", bytes(moved)) == b"private"


def test_a_secret_is_never_sealed_under_a_version_that_was_retired(store, other):
    rotate(store)
    while Rewrapping(store).step():
        pass
    acted(store, key_rotation.retire, "record", 1)
    assert other.crypto.keyring.version("record") == 1
    with other.transaction() as transaction:
        assert ONE_TIME_CODE.seal(transaction, "s", b"code")[:2] == b"\x00\x02"


def test_every_place_of_a_secret_is_in_the_list():
    """Whoever seals under the key `record` elsewhere would be left behind when it is rotated."""
    sealing = {
        shown(path)
        for path in files("exchange")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("seal_secret", "seal_dictionary")
    }
    assert sealing == {
        "exchange/store/sealed_places.py",
        "exchange/crypto/hub_crypto.py",
        "exchange/store/hub.py",
    }
    assert {place.table for place in PLACES} == {"dictionary", "signing_key", "provider_person"}


def test_a_process_whose_root_is_away_cannot_write_under_a_version_that_it_cannot_open(
    store, other, monkeypatch
):
    made(store, 71)
    rotate(store)
    store.crypto.look()
    while Rewrapping(store).step():
        pass
    acted(store, key_rotation.retire, "record", 1)

    def away(*_):
        raise Unavailable("the root does not answer")

    monkeypatch.setattr(other.crypto.keyring.root, "unwrap", away)
    with pytest.raises(Unavailable):
        made(other, 72)
    with other.transaction() as transaction, pytest.raises(Unavailable):
        other.data_keys.ciphers(transaction, (71,))


# -- destroyed data keys


def destroyed(store, compartment: int) -> None:
    with store.transaction() as transaction:
        store.data_keys.destroy(transaction, compartment)
        transaction.commit()


def test_a_destroyed_key_opens_nothing_and_is_not_made_again(store, other):
    made(store, 81, 82)
    destroyed(store, 81)
    for each in (store, other):
        with each.transaction() as transaction:
            for act in (each.data_keys.ciphers, each.data_keys.ciphers_to_write):
                with pytest.raises(KeyDestroyed):
                    act(transaction, (81, 82))
                assert 82 in act(transaction, (82,))
            transaction.commit()
    with store.transaction() as transaction:
        assert [tuple(row) for row in transaction.rows("SELECT wrapping_version, length(wrapped) FROM data_key WHERE compartment = 81")] == [(0, 0)]  # fmt: skip


def test_a_record_that_never_had_a_key_can_be_destroyed_ahead(store):
    destroyed(store, 91)
    with pytest.raises(KeyDestroyed):
        made(store, 91)


def test_another_process_forgets_a_destroyed_key_within_seconds(store, other, monkeypatch):
    made(store, 101)
    with other.transaction() as transaction:
        other.data_keys.ciphers(transaction, (101,))
    destroyed(store, 101)
    monkeypatch.setattr("exchange.store.data_keys.KEPT_SECONDS", 0.0)
    with other.transaction() as transaction, pytest.raises(KeyDestroyed):
        other.data_keys.ciphers(transaction, (101,))


def test_a_destruction_that_is_undone_destroys_nothing(store):
    made(store, 111)
    with store.transaction() as transaction:
        store.data_keys.destroy(transaction, 111)
    made(store, 111)


def test_the_region_s_own_key_is_never_destroyed(store):
    with store.transaction() as transaction, pytest.raises(SealBroken):
        store.data_keys.destroy(transaction, REGION)


def test_a_tombstone_needs_no_version_of_the_wrapping_key(store):
    made(store, 121)
    destroyed(store, 121)
    rotate(store)
    while Rewrapping(store).step():
        pass
    acted(store, key_rotation.retire, "record", 1)
    with store.transaction() as transaction:
        assert {
            key.state for key in hub_keys(transaction) if (key.purpose, key.version) == ("record", 1)
        } == {"retired"}
