"""The root in a file, and which root the settings name."""

from __future__ import annotations

import pytest

from exchange.crypto.roots.choice import open_root
from exchange.crypto.roots.file import FileRoot
from exchange.problems import SealBroken
from exchange.settings import Settings

KEY = "ab" * 32


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys" / "root.key"
    FileRoot(path).rotate()
    return path


def test_a_file_is_made_for_its_owner_alone(file):
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert FileRoot(file).newest() == 1
    assert "production hub refuses" in file.read_text()


def test_what_is_wrapped_opens_under_its_version_and_for_its_place(file):
    root = FileRoot(file)
    version, wrapped = root.wrap(b"k" * 32, b"place")
    assert root.rotate() == 2
    assert (version, root.newest(), root.wrap(b"k" * 32, b"place")[0]) == (1, 2, 2)
    assert FileRoot(file).unwrap(1, wrapped, b"place") == b"k" * 32
    for number, text, place in (
        (2, wrapped, b"place"),
        (3, wrapped, b"place"),
        (1, wrapped, b"other"),
        (1, wrapped[:-1], b"place"),
        (1, b"", b"place"),
    ):
        with pytest.raises(SealBroken):
            root.unwrap(number, text, place)


def test_a_destroyed_version_is_gone_from_the_file(file):
    root = FileRoot(file)
    old = file.read_text().splitlines()[-1]
    _, wrapped = root.wrap(b"k" * 32, b"place")
    root.rotate()
    root.destroy(1)
    assert old.split(":")[1] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    with pytest.raises(SealBroken):
        root.unwrap(1, wrapped, b"place")
    with pytest.raises(SealBroken, match="only version"):
        root.destroy(2)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_file_open_to_others_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(SealBroken, match="chmod 600"):
        FileRoot(file).newest()


@pytest.mark.parametrize(
    "content",
    ["", "# remark\n", KEY, f"0:{KEY}", f"1:{KEY[2:]}", f"1:{KEY}00", f"1:{KEY.upper()}", f"1:{KEY}\n1:{KEY}", "1:zz",
     f" 1:{KEY}", f"1:{KEY}\nx", "\ufeff"],
)  # fmt: skip
def test_a_malformed_file_is_refused(file, content):
    file.write_text(content)
    with pytest.raises(SealBroken) as refused:
        FileRoot(file).wrap(b"k" * 32, b"")
    assert KEY not in str(refused.value)


def test_a_file_of_more_than_a_few_lines_is_refused(file):
    file.write_text("# remark\n" * 10_000)
    with pytest.raises(SealBroken, match="few lines"):
        FileRoot(file).newest()


def test_a_folder_and_what_is_not_there_are_refused(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    for path in (folder, tmp_path / "absent.key"):
        with pytest.raises(SealBroken, match="cannot be read"):
            FileRoot(path).wrap(b"k" * 32, b"")


def test_production_refuses_a_file_and_says_what_to_set(tmp_path):
    with pytest.raises(SealBroken, match=r"EXCHANGE_ROOT_PROVIDER to pkcs11 or transit \(docs/keys.md\)"):
        open_root(Settings(mode="production", root_key_file=tmp_path / "root.key"))
    assert open_root(Settings(mode="demo", data_folder=tmp_path)).name == "file"


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        ({"root_provider": "pkcs11"}, "EXCHANGE_PKCS11_MODULE"),
        ({"root_provider": "pkcs11", "pkcs11_module": "m.so"}, "EXCHANGE_PKCS11_TOKEN"),
        ({"root_provider": "pkcs11", "pkcs11_module": "m.so", "pkcs11_token": "t"}, "EXCHANGE_PKCS11_PIN_FILE"),
        ({"root_provider": "transit"}, "EXCHANGE_TRANSIT_URL"),
        ({"root_provider": "transit", "transit_url": "https://a:8200"}, "EXCHANGE_TRANSIT_TOKEN_FILE"),
    ],
)  # fmt: skip
def test_a_missing_setting_is_named(told, missing):
    with pytest.raises(SealBroken, match=f"{missing} is not set"):
        open_root(Settings(**told))


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 65, "-a"])
def test_a_key_s_name_is_a_plain_word(name):
    with pytest.raises(ValueError, match="root_key_name"):
        Settings(root_key_name=name)
