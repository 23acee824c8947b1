"""A backup's file is there whole or not at all, and for its owner alone."""

from __future__ import annotations

import os
import stat

import pytest

from exchange.backup.new_file import new_file
from exchange.problems import Conflict, Unavailable


def test_it_is_there_when_the_block_has_ended_well(tmp_path):
    path = tmp_path / "a"
    with new_file(path) as file:
        file.write(b"one ")
        assert not path.exists()
        file.write(b"two")
    assert path.read_bytes() == b"one two"
    assert (file.size, len(file.digest)) == (7, 32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_it_is_nowhere_when_the_block_has_not(tmp_path):
    def fails() -> None:
        with new_file(tmp_path / "a") as file:
            file.write(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_said_so_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"), new_file(tmp_path / "a") as file:
        file.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over_and_two_do_not_write_one_file(tmp_path):
    path = tmp_path / "a"
    with new_file(path) as file:
        file.write(b"first")
        with pytest.raises(Conflict, match="another command"), new_file(path):
            pass
    with pytest.raises(Conflict, match="there already"), new_file(path):
        pass
    assert path.read_bytes() == b"first"


def test_what_a_killed_process_left_is_taken_over_and_a_link_is_not_followed(tmp_path):
    (tmp_path / ".a.partial").write_bytes(b"left behind, and longer than what comes")
    (tmp_path / ".a.partial").chmod(0o644)
    with new_file(tmp_path / "a") as file:
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    (tmp_path / "other").write_bytes(b"kept")
    (tmp_path / ".b.partial").symlink_to(tmp_path / "other")
    with pytest.raises(Unavailable), new_file(tmp_path / "b"):
        pass
    assert (tmp_path / "other").read_bytes() == b"kept"
