"""A witness's folder: its key, one process at a time, heads whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from exchange.problems import Conflict, Invalid, SealBroken, Unavailable
from exchange.witness.state import Seen, State, make, open_key, opened

SEEN = Seen(
    "hub.example/audit",
    3,
    bytes(32),
    "hub.example/audit\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\ntime 5\n",
)


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "w", "witness.example/1")
    return tmp_path / "w"


def test_the_key_is_its_owner_s_alone(folder):
    assert (folder / "witness.key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    key, signer = open_key(folder)
    assert key.public == signer.public_key().public_bytes_raw()
    assert key.text().startswith("witness.example/1+")


def test_a_key_that_others_can_read_is_not_used(folder):
    (folder / "witness.key").chmod(0o640)
    with pytest.raises(SealBroken, match="chmod 600"):
        open_key(folder)


def test_a_key_is_never_replaced(folder):
    with pytest.raises(Conflict):
        make(folder, "witness.example/2")
    assert open_key(folder)[0].name == "witness.example/1"


@pytest.mark.parametrize("text", ["", "x", "a\nAAAA\n", "a\n****\n", "a b\n" + "A" * 43 + "=\n"])
def test_a_broken_key(folder, text):
    (folder / "witness.key").write_text(text)
    with pytest.raises(SealBroken, match="broken"):
        open_key(folder)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b"])
def test_a_name_that_no_key_may_bear(tmp_path, name):
    with pytest.raises(Invalid):
        make(tmp_path, name)


def test_no_witness_here(tmp_path):
    with pytest.raises(SealBroken), opened(tmp_path):
        pass
    with pytest.raises(SealBroken):
        open_key(tmp_path)


def test_two_processes_cannot_run_on_one_folder(folder):
    with opened(folder), pytest.raises(Conflict), opened(folder):
        pass
    with opened(folder):
        pass


def test_a_head_is_kept_and_found(folder):
    with opened(folder) as state:
        assert state.last("hub.example/audit") is None
        state.keep(SEEN)
    assert State(folder).last("hub.example/audit") == SEEN
    assert [each.name.endswith(".head") for each in (folder / "heads").iterdir()] == [True]


def test_a_head_is_synced_before_and_after_it_gets_its_name(folder, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (done.append("dir" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), sync(fd)),
    )
    monkeypatch.setattr("pathlib.os.replace", lambda a, b: (done.append("rename"), replace(a, b)))
    with opened(folder) as state:
        state.keep(SEEN)
    assert done == ["file", "rename", "dir"]


def test_a_full_disk_is_said(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with opened(folder) as state, pytest.raises(Unavailable):
        state.keep(SEEN)
    assert State(folder).last("hub.example/audit") is None
