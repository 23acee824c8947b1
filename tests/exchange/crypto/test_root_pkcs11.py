"""The root in a PKCS #11 token, on SoftHSM: keys are made there, used there, and never leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.problems import SealBroken, Unavailable
from tests.sample import softhsm

if not softhsm.IS_HERE:
    pytest.skip(softhsm.WHY_NOT, allow_module_level=True)

import pkcs11
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.exceptions import DeviceError, SessionHandleInvalid

from exchange.crypto.hub_crypto import make_hub_keys, open_hub_crypto
from exchange.crypto.keyring import rewrap_hub_key
from exchange.crypto.roots.pkcs11 import Pkcs11Root

NAME = "chasqui-root"


@pytest.fixture
def token():
    return softhsm.make_token()


@pytest.fixture
def pin_file(tmp_path):
    return softhsm.write_pin(tmp_path / "pin")


@pytest.fixture
def root(token, pin_file):
    made = Pkcs11Root(Path(softhsm.MODULE), token, pin_file, NAME)
    assert made.newest() == 0
    assert made.rotate() == 1
    return made


def keys_of(root):
    return list(
        root._session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: root._key_name})
    )


def test_a_key_is_made_in_the_token_and_cannot_leave_it(root):
    [key] = keys_of(root)
    assert (key.key_type, key.key_length) == (KeyType.AES, 256)
    assert not key[Attribute.EXTRACTABLE]
    assert all(
        key[each]
        for each in (
            Attribute.SENSITIVE,
            Attribute.ALWAYS_SENSITIVE,
            Attribute.NEVER_EXTRACTABLE,
            Attribute.PRIVATE,
            Attribute.TOKEN,
        )
    )
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        key[Attribute.VALUE]


def test_what_is_wrapped_opens_under_its_version_and_for_its_place(root):
    version, wrapped = root.wrap(b"k" * 32, b"place")
    assert (version, len(wrapped)) == (1, 12 + 32 + 16)
    assert root.rotate() == 2
    assert root.newest() == 2
    assert root.wrap(b"k" * 32, b"place")[0] == 2
    assert root.unwrap(1, wrapped, b"place") == b"k" * 32
    altered = bytes([wrapped[0] ^ 1]) + wrapped[1:]
    for number, text, place in (
        (2, wrapped, b"place"),
        (3, wrapped, b"place"),
        (1, wrapped, b"other"),
        (1, altered, b"place"),
        (1, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"place"),
        (1, wrapped[:20], b"place"),
        (1, b"", b"place"),
    ):
        with pytest.raises(SealBroken):
            root.unwrap(number, text, place)
    assert root.unwrap(1, wrapped, b"place") == b"k" * 32, "a refusal leaves the token at work"


def test_a_destroyed_version_is_gone_from_the_token(root):
    _, wrapped = root.wrap(b"k" * 32, b"place")
    with pytest.raises(SealBroken, match="newest"):
        root.destroy(1)
    root.rotate()
    root.destroy(1)
    root.destroy(1)
    assert [key[Attribute.ID] for key in keys_of(root)] == [b"\x00\x02"]
    with pytest.raises(SealBroken, match="no version 1"):
        root.unwrap(1, wrapped, b"place")


def test_two_names_share_a_token(root, token, pin_file):
    other = Pkcs11Root(Path(softhsm.MODULE), token, pin_file, "another-root")
    assert other.newest() == 0
    other.rotate()
    _, wrapped = other.wrap(b"k" * 32, b"place")
    with pytest.raises(SealBroken):
        root.unwrap(1, wrapped, b"place")
    assert other.unwrap(1, wrapped, b"place") == b"k" * 32


def test_a_session_that_the_token_has_forgotten_is_opened_again(root):
    _, wrapped = root.wrap(b"k" * 32, b"place")
    root._session.close()
    assert root.unwrap(1, wrapped, b"place") == b"k" * 32
    pkcs11.lib(softhsm.MODULE).reinitialize()  # the driver started anew
    assert root.unwrap(1, wrapped, b"place") == b"k" * 32


@pytest.mark.parametrize("error", [DeviceError, SessionHandleInvalid])
def test_a_token_that_keeps_failing_is_unavailable(root, monkeypatch, error):
    asked = []

    def failing(_session):
        asked.append(1)
        raise error

    monkeypatch.setattr(root, "_keys", failing)
    with pytest.raises(Unavailable, match=error.__name__):
        root.wrap(b"k" * 32, b"place")
    assert len(asked) == 2
    with pytest.raises(Unavailable):
        root.rotate()
    assert len(asked) == 3, "making a key is not tried again"
    monkeypatch.undo()
    assert root.wrap(b"k" * 32, b"place")[0] == 1


def test_keys_that_the_hub_did_not_make_are_refused(root):
    root._session.generate_key(KeyType.AES, 256, label=NAME, id=b"\x00\x01", store=True)
    with pytest.raises(SealBroken, match="did not make"):
        root.wrap(b"k" * 32, b"place")


def test_a_key_that_could_be_taken_out_is_refused(root):
    root._session.generate_key(
        KeyType.AES, 256, label=NAME, id=b"\x00\x02", store=True,
        template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False},
    )  # fmt: skip
    with pytest.raises(SealBroken, match="taken out"):
        root.newest()


def test_a_wrong_pin_is_tried_once(token, tmp_path, monkeypatch):
    pkcs11.lib(softhsm.MODULE).reinitialize()  # nobody is signed in
    root = Pkcs11Root(Path(softhsm.MODULE), token, softhsm.write_pin(tmp_path / "pin", "wrong-pin"), NAME)
    with pytest.raises(SealBroken, match="PinIncorrect") as refused:
        root.newest()
    assert "wrong-pin" not in str(refused.value)


def test_a_pin_file_open_to_others_is_refused(token, pin_file):
    pin_file.chmod(0o644)
    with pytest.raises(SealBroken, match="chmod 600"):
        Pkcs11Root(Path(softhsm.MODULE), token, pin_file, NAME).newest()


def test_no_such_library_and_no_such_token_are_said(pin_file, tmp_path):
    with pytest.raises(SealBroken, match="EXCHANGE_PKCS11_MODULE"):
        Pkcs11Root(tmp_path / "absent.so", "token", pin_file, NAME).newest()
    softhsm.tokens()
    with pytest.raises(Unavailable, match="EXCHANGE_PKCS11_TOKEN"):
        Pkcs11Root(Path(softhsm.MODULE), "absent", pin_file, NAME).newest()


def test_a_hub_s_keys_outlive_the_rotation_of_a_token_s_root(root):
    rows = make_hub_keys(root)
    version, wrapped = open_hub_crypto(root, rows, []).new_wrapped_key(7)
    root.rotate()
    moved = [rewrap_hub_key(root, row) for row in rows]
    root.destroy(1)
    open_hub_crypto(root, moved, []).cipher(7, version, wrapped)
    with pytest.raises(SealBroken):
        open_hub_crypto(root, rows, [])
