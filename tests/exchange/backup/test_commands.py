"""`exchange backup` and `exchange restore`, as an operator types them."""

from __future__ import annotations

import base64

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.commands import backup as command
from exchange.commands import keys
from exchange.hub import database_url, open_hub
from exchange.store import backups


@pytest.fixture
def run(one, monkeypatch):
    for module in (command, keys):
        monkeypatch.setattr(module, "opened_hub", lambda: one.hub)
        monkeypatch.setattr(module, "settings", lambda: one.settings)
    return lambda *words: CliRunner().invoke(cli.app, [str(each) for each in words], env={"COLUMNS": "200"})


@pytest.fixture
def postgres(server):
    return server.url_of("postgres")


def told(one) -> list[str]:
    found = [entity.get("query", "") for event in one.world.events() for entity in event.get("entity", ())]
    return [base64.b64decode(each).decode() for each in found if each]


def rows(one) -> list[tuple]:
    with one.world.database_store.transaction() as transaction:
        return list(backups.newest(transaction, 10))


def test_a_backup_is_made_verified_and_noted_with_events(one, run, postgres):
    path = one.folder / "a.backup"
    done = run("backup", path, "--server", postgres)
    assert done.exit_code == 0, done.output
    assert "The backup is verified." in done.output
    assert path.stat().st_mode & 0o777 == 0o600
    [row] = rows(one)
    assert row[2:4] == (1, 1)
    assert row[5] == path.stat().st_size
    assert row[6] is not None
    number = row[0]
    said = told(one)
    for each in (
        f"exchange backup {number}",
        f"exchange backup {number} made",
        f"exchange backup verify {number}",
    ):
        assert said.count(each) == 1
    assert number in run("backup", "list").output


def test_one_that_is_not_verified_is_said_to_be_none_and_may_be_later(one, run, postgres):
    path = one.folder / "a.backup"
    done = run("backup", "--no-verify", path)
    assert done.exit_code == 0, done.output
    assert "NOT verified" in done.output
    assert rows(one)[0][6] is None
    assert run("backup", "verify", path, "--server", postgres).exit_code == 0
    assert rows(one)[0][6] is not None


def test_verifying_elsewhere_notes_nothing(one, run, postgres, monkeypatch):
    path = one.make()
    monkeypatch.setattr(command, "opened_hub", lambda: pytest.fail("the hub is not here"))
    done = run("backup", "verify", path, "--server", postgres, "--elsewhere")
    assert done.exit_code == 0, done.output
    assert rows(one)[0][6] is None


def test_a_file_that_was_altered_or_is_another_hub_s_is_not_good(one, hub_of, run, postgres):
    path = one.make()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    altered = one.folder / "altered"
    altered.write_bytes(content)
    for wrong in (altered, hub_of("other").make()):
        done = run("backup", "verify", wrong, "--server", postgres)
        assert done.exit_code == 1
        assert "The backup is NOT good" in done.output
    assert rows(one)[0][6] is None


def test_a_file_is_never_written_over(one, run):
    path = one.make()
    before = path.read_bytes()
    done = run("backup", path, "--no-verify")
    assert done.exit_code == 1
    assert "there already" in done.output
    assert path.read_bytes() == before


@pytest.mark.parametrize("words", [
    ("backup", "/nowhere/at/all/x"), ("backup", "verify", "/nowhere/x"), ("restore", "/nowhere/x", "--into", "x"),
    ("restore", __file__), ("restore", __file__, "--into", "x", "--data-folder", "y"), ("backup",),
])  # fmt: skip
def test_what_is_used_wrongly_is_refused(one, run, words):
    assert run(*words).exit_code == 2
    assert rows(one) == []


def test_a_restored_hub_says_in_its_own_log_where_it_came_from(one, run, empty_database):
    done = run("restore", one.make(), "--into", empty_database)
    assert done.exit_code == 0, done.output
    assert "Restored." in done.output
    hub = open_hub(one.settings.model_copy(update={"database_url": empty_database}))
    with hub.store.transaction() as transaction:
        assert transaction.rows("SELECT count(*) FROM audit_leaf l LEFT JOIN audit_event e ON e.id = l.id::text"
                                " WHERE e.id IS NULL") == [(0,)]  # fmt: skip
    hub.store.close()
    again = run("restore", one.folder / "hub.backup", "--into", empty_database)
    assert again.exit_code == 1
    assert "holds something" in again.output


def test_a_hub_is_restored_into_a_new_data_folder(one, run):
    folder = one.folder / "new"
    done = run("restore", one.make(), "--data-folder", folder)
    try:
        assert done.exit_code == 0, done.output
        restored = one.settings.model_copy(update={"database_url": None, "data_folder": folder})
        hub = open_hub(restored)
        with hub.store.transaction() as transaction:
            assert transaction.rows("SELECT count(*) FROM resource") == [(4,)]
        hub.store.close()
        assert str(folder) in database_url(restored) or database_url(restored)
    finally:
        command.EmbeddedPostgres(folder / "postgres").stop("immediate")


def test_the_root_of_the_last_verified_backup_is_not_destroyed(one, run, postgres):
    assert run("backup", one.folder / "a", "--server", postgres).exit_code == 0
    assert run("keys", "rotate", "root").exit_code == 0
    refused = run("keys", "destroy", "root", "1", "--yes")
    assert refused.exit_code == 1
    assert "no verified backup stands under a newer version" in refused.output
    # One that nobody verified is not enough.
    one.world.database_store.crypto.look()
    assert run("backup", one.folder / "b", "--no-verify").exit_code == 0
    assert run("keys", "destroy", "root", "1", "--yes").exit_code == 1
    assert one.root.versions() == [1, 2]
    assert run("backup", "verify", one.folder / "b", "--server", postgres).exit_code == 0
    assert run("keys", "destroy", "root", "1", "--yes").exit_code == 0
    assert one.root.versions() == [2]


def test_whoever_does_without_a_backup_says_so_and_the_log_keeps_it(one, run):
    assert run("keys", "rotate", "root").exit_code == 0
    assert run("keys", "destroy", "root", "1", "--yes", "--without-backup").exit_code == 0
    assert "exchange keys destroy root 1 --without-backup" in told(one)


def test_the_state_tells_how_many_erasures_wait(one, run):
    from exchange.store.erasure import erase

    assert "erasures wait" not in run("keys", "status").output
    one.world.spine.operate("erase --order EXP-1", lambda tx: erase(tx, "posta-p1", linked=False))
    assert "1 erasures wait for older backups" in run("keys", "status").output
    assert run("keys", "rotate", "root").exit_code == 0
    assert "1 erasures wait" in run("keys", "status").output
    assert run("keys", "destroy", "root", "1", "--yes", "--without-backup").exit_code == 0
    assert "erasures wait" not in run("keys", "status").output
