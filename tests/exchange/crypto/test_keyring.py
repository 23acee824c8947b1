"""The key tree: what the root opens, and the files that it refuses."""

from __future__ import annotations

import pickle

import pytest

from exchange.crypto.keyring import (
    DEMO_MARK,
    PURPOSES,
    HubKey,
    make_hub_keys,
    make_root_key_file,
    open_hub_keys,
    read_root_key_file,
)
from exchange.problems import SealBroken

ROOT = bytes(range(32))


def test_the_root_opens_the_keys_that_it_made():
    wrapped = make_hub_keys(ROOT)
    keyring = open_hub_keys(ROOT, wrapped)
    assert {row.purpose for row in wrapped} == set(PURPOSES)
    assert len({keyring.key(purpose) for purpose in PURPOSES}) == len(PURPOSES)
    assert all(len(keyring.key(purpose)) == 32 for purpose in PURPOSES)


def test_two_hubs_have_nothing_in_common():
    one, other = (open_hub_keys(ROOT, make_hub_keys(ROOT)) for _ in range(2))
    assert all(one.key(purpose) != other.key(purpose) for purpose in PURPOSES)


def test_another_root_opens_nothing():
    with pytest.raises(SealBroken, match="does not open"):
        open_hub_keys(bytes(32), make_hub_keys(ROOT))


def test_a_key_does_not_open_for_another_purpose_or_version():
    record = make_hub_keys(ROOT, ("record",))[0]
    for moved in (HubKey("audit", 1, record.wrapped), HubKey("record", 2, record.wrapped)):
        with pytest.raises(SealBroken):
            open_hub_keys(ROOT, [moved])


def test_an_altered_wrapped_key_does_not_open():
    row = make_hub_keys(ROOT, ("audit",))[0]
    for at in range(len(row.wrapped)):
        altered = bytearray(row.wrapped)
        altered[at] ^= 1
        with pytest.raises(SealBroken):
            open_hub_keys(ROOT, [HubKey("audit", 1, bytes(altered))])


def test_the_newest_version_is_used_and_older_ones_stay():
    wrapped = make_hub_keys(ROOT, ("record",), 1) + make_hub_keys(ROOT, ("record",), 2)
    keyring = open_hub_keys(ROOT, wrapped)
    assert keyring.version("record") == 2
    assert keyring.key("record") == keyring.key("record", 2) != keyring.key("record", 1)


def test_a_version_that_is_not_there_is_refused():
    keyring = open_hub_keys(ROOT, make_hub_keys(ROOT, ("record",)))
    for purpose, version in (("record", 9), ("token", None)):
        with pytest.raises(SealBroken):
            keyring.key(purpose, version)


def test_a_keyring_is_never_shown_or_serialised():
    keyring = open_hub_keys(ROOT, make_hub_keys(ROOT))
    assert repr(keyring) == "Keyring(6 keys)"
    with pytest.raises(TypeError):
        pickle.dumps(keyring)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys" / "root.key"
    make_root_key_file(path)
    return path


def test_a_demo_key_is_made_for_its_owner_alone(file):
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert len(read_root_key_file(file, is_demo=True)) == 32


def test_an_existing_key_is_left_as_it_is(file):
    before = file.read_bytes()
    make_root_key_file(file)
    assert file.read_bytes() == before


def test_production_refuses_a_demo_key(file):
    with pytest.raises(SealBroken, match="demo key"):
        read_root_key_file(file, is_demo=False)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_file_open_to_others_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(SealBroken, match="chmod 600"):
        read_root_key_file(file, is_demo=True)


def test_a_production_key_is_read_without_the_mark(file):
    file.write_text(ROOT.hex() + "\n")
    assert read_root_key_file(file, is_demo=False) == ROOT


@pytest.mark.parametrize(
    "content", [b"", b"zz" * 32, b"00" * 31, b"00" * 33, DEMO_MARK.encode(), b"\xff\xfe\x00"]
)
def test_a_malformed_file_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(SealBroken):
        read_root_key_file(file, is_demo=True)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SealBroken, match="cannot be read"):
        read_root_key_file(tmp_path / "absent.key", is_demo=True)
