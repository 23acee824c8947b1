"""The key tree: what the root opens, what a version opens, and what a process learns while it serves."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto import keyring as room
from exchange.crypto.hub_crypto import make_hub_keys
from exchange.crypto.hub_key import ACTIVE, DESTROYED, PURPOSES, RETIRED
from exchange.crypto.keyring import Keyring, make_hub_key, open_hub_key, rewrap_hub_key
from exchange.problems import SealBroken, Unavailable
from tests.sample.root import RootInMemory

ROOT = RootInMemory()
ROWS = make_hub_keys(ROOT)


class Away(RootInMemory):
    """A root that can go away, and counts how often it is asked."""

    is_away = False
    asked = 0

    def unwrap(self, version: int, wrapped: bytes, bound_to: bytes) -> bytes:
        self.asked += 1
        if self.is_away:
            raise Unavailable("the root does not answer")
        return super().unwrap(version, wrapped, bound_to)


def test_the_root_opens_the_keys_that_it_made():
    keyring = Keyring(ROOT, ROWS)
    assert {row.purpose for row in ROWS} == set(PURPOSES)
    assert len({keyring.key(purpose) for purpose in PURPOSES}) == len(PURPOSES)
    assert all(len(keyring.key(purpose)) == 32 for purpose in PURPOSES)


def test_two_hubs_have_nothing_in_common():
    one, other = (Keyring(ROOT, make_hub_keys(ROOT)) for _ in range(2))
    assert all(one.key(purpose) != other.key(purpose) for purpose in PURPOSES)


def test_another_root_opens_nothing():
    with pytest.raises(SealBroken, match="does not open"):
        Keyring(RootInMemory(), ROWS)


@given(
    purpose=st.sampled_from(PURPOSES),
    version=st.integers(1, 32_767),
    other=st.sampled_from(PURPOSES),
    moved=st.integers(1, 32_767),
)
def test_a_key_opens_for_its_purpose_and_version_alone(purpose, version, other, moved):
    row = make_hub_key(ROOT, purpose, version)
    assert len(open_hub_key(ROOT, row)) == 32
    if (purpose, version) != (other, moved):
        with pytest.raises(SealBroken):
            open_hub_key(ROOT, replace(row, purpose=other, version=moved))
    with pytest.raises(SealBroken):
        open_hub_key(ROOT, replace(row, root_version=2))


def test_an_altered_wrapped_key_does_not_open():
    row = make_hub_key(ROOT, "audit", 1)
    for at in range(len(row.wrapped)):
        altered = bytearray(row.wrapped)
        altered[at] ^= 1
        with pytest.raises(SealBroken):
            open_hub_key(ROOT, replace(row, wrapped=bytes(altered)))


def test_a_root_that_gives_back_another_key_is_found_out():
    row, other = make_hub_key(ROOT, "record", 1), make_hub_key(ROOT, "record", 1)
    with pytest.raises(SealBroken, match="another key"):
        open_hub_key(ROOT, replace(row, wrapped=other.wrapped))

    class Liar(RootInMemory):
        def unwrap(self, version: int, wrapped: bytes, bound_to: bytes) -> bytes:
            return b"short"

    with pytest.raises(SealBroken, match="no key"):
        make_hub_key(Liar(), "record", 1)


def test_a_wrap_that_does_not_open_again_is_never_used():
    class Careless(RootInMemory):
        def wrap(self, key: bytes, bound_to: bytes) -> tuple[int, bytes]:
            return 1, super().wrap(b"0" * 32, bound_to)[1]

    with pytest.raises(SealBroken, match="another key"):
        make_hub_key(Careless(), "record", 1)
    with pytest.raises(SealBroken):
        rewrap_hub_key(Careless(ROOT.keys[1]), ROWS[0])


def test_a_key_is_the_same_under_the_next_version_of_the_root():
    root = RootInMemory()
    row = make_hub_key(root, "record", 1)
    assert root.rotate() == 2
    moved = rewrap_hub_key(root, row)
    assert (moved.root_version, row.root_version) == (2, 1)
    assert open_hub_key(root, moved) == open_hub_key(root, row)
    root.destroy(1)
    assert open_hub_key(root, moved)
    with pytest.raises(SealBroken, match="version 1"):
        open_hub_key(root, row)


def test_the_newest_active_version_makes_what_is_new_and_older_ones_open():
    one, two = make_hub_key(ROOT, "record", 1), make_hub_key(ROOT, "record", 2)
    keyring = Keyring(ROOT, [one, two])
    assert keyring.version("record") == 2
    assert keyring.key("record") == keyring.key("record", 2) != keyring.key("record", 1)
    assert keyring.active("record") == [2, 1]
    keyring.learn([replace(one, state=RETIRED), two])
    assert (keyring.active("record"), keyring.versions("record")) == ([2], [2, 1])


def test_what_is_read_elsewhere_is_made_by_a_version_that_everybody_knows(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    one, two = make_hub_key(ROOT, "token", 1), make_hub_key(ROOT, "token", 2)
    keyring = Keyring(ROOT, [one])
    assert keyring.settled_version("token") == 1
    now[0] += 60
    keyring.learn([one, two])
    assert (keyring.version("token"), keyring.settled_version("token")) == (2, 1)
    now[0] += room.SETTLED_SECONDS
    assert keyring.settled_version("token") == 2
    assert Keyring(ROOT, [one, two]).settled_version("token") == 1, "a new process does not run ahead either"
    assert Keyring(ROOT, [replace(one, state=RETIRED), two]).settled_version("token") == 2


def test_a_version_that_is_not_there_is_refused():
    keyring = Keyring(ROOT, [make_hub_key(ROOT, "record", 1)])
    for purpose, version in (("record", 9), ("token", None)):
        with pytest.raises(SealBroken):
            keyring.key(purpose, version)


def test_a_version_that_is_not_known_is_looked_for():
    one, two = make_hub_key(ROOT, "record", 1), make_hub_key(ROOT, "record", 2)
    keyring = Keyring(ROOT, [one])
    table = [[one, two]]
    keyring.reread = lambda: table[0]
    before = keyring.generation
    assert len(keyring.key("record", 2)) == 32
    assert keyring.generation > before
    table[0] = [replace(one, state=DESTROYED, wrapped=b""), two]
    keyring.look()
    assert keyring.versions("record") == [2]
    with pytest.raises(SealBroken):
        keyring.key("record", 1)


def test_what_is_open_is_not_asked_of_the_root_again():
    root = Away()
    one, two = make_hub_key(root, "record", 1), make_hub_key(root, "record", 2)
    keyring = Keyring(root, [one])
    asked = root.asked
    for _ in range(5):
        keyring.learn([one])
        keyring.learn([replace(one, state=RETIRED)])
    assert root.asked == asked
    keyring.learn([one, two])
    keyring.learn([one, two])
    assert root.asked == asked + 1


def test_a_root_that_is_away_leaves_open_what_is_open(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    root = Away()
    one, two = make_hub_key(root, "record", 1), make_hub_key(root, "record", 2)
    keyring = Keyring(root, [one])
    keyring.reread = lambda: [one, two]
    root.is_away = True
    for _ in range(5):
        keyring.look()
    assert (keyring.version("record"), keyring.active("record")) == (1, [1])
    with pytest.raises(Unavailable):
        keyring.key("record", 2)
    asked = root.asked
    keyring.look()
    assert root.asked == asked, "a root that does not answer is left alone for a while"
    root.is_away = False
    now[0] += room.AWAY_SECONDS + 1
    keyring.look()
    assert keyring.version("record") == 2
    root.is_away = True
    with pytest.raises(Unavailable):
        Keyring(root, [one])


def test_callers_make_a_process_look_once_a_second_at_most(monkeypatch):
    now, looked = [100.0], []
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    keyring = Keyring(ROOT, ROWS)
    keyring.reread = lambda: looked.append(1) or ROWS
    for version in range(2, 50):
        assert keyring.told_key("token", version) is None
    assert len(looked) == 1
    now[0] += room.TOLD_SECONDS
    keyring.told_key("token", 7)
    assert len(looked) == 2


def test_a_retired_version_is_no_longer_taken_from_callers():
    one, two = make_hub_key(ROOT, "token", 1), make_hub_key(ROOT, "token", 2)
    keyring = Keyring(ROOT, [one, two])
    assert keyring.told_key("token", 1)
    keyring.learn([replace(one, state=RETIRED), two])
    assert keyring.told_key("token", 1) is None
    assert keyring.told_key("token", 2)


def test_one_broken_row_does_not_close_what_is_open():
    one, two = make_hub_key(ROOT, "record", 1), make_hub_key(ROOT, "record", 2)
    keyring = Keyring(ROOT, [one])
    keyring.learn([one, replace(two, fingerprint=b"12345678")])
    assert keyring.version("record") == 1


def test_a_keyring_is_never_shown_or_serialised():
    keyring = Keyring(ROOT, ROWS)
    assert repr(keyring) == "Keyring(6 keys)"
    with pytest.raises(TypeError):
        pickle.dumps(keyring)


def test_states_are_three():
    assert {row.state for row in ROWS} == {ACTIVE}
