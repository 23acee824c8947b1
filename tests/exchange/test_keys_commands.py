"""The commands that keep the hub's keys, as an operator types them."""

from __future__ import annotations

import base64

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.audit.checkpoint import read
from exchange.audit.verify import verify_log
from exchange.commands import keys
from exchange.crypto.hub_key import PURPOSES
from exchange.hub import Hub
from exchange.perform import Spine
from exchange.problems import SealBroken
from exchange.store.hub import open_store
from exchange.store.hub_keys import hub_keys
from exchange.store.key_rotation import AUDIT_REST_SECONDS, NEEDS, TOKEN_REST_SECONDS
from tests.passage.world import World, patient_of
from tests.sample.requester import POST
from tests.sample.sealing import seal_every_event

ROTATED = ("record", "token", "audit", "backup")


@pytest.fixture
def run(store, monkeypatch):
    monkeypatch.setattr(keys, "opened_hub", lambda: Hub(store, Spine(store)))

    def typed(*words: str, **more):
        return CliRunner().invoke(cli.app, ["keys", *words], env={"COLUMNS": "200"}, **more)

    return typed


@pytest.fixture
def world(store, database):
    made = World(store, database)
    for number in (1, 2, 3):
        assert made.post.put(patient_of(POST, number)).status == 201
    return made


def states(store) -> dict[tuple[str, int], str]:
    with store.transaction() as transaction:
        return {(key.purpose, key.version): key.state for key in hub_keys(transaction)}


def age(store, purpose: str, seconds: int) -> None:
    """Make a purpose's newest version so much older."""
    with store.transaction() as transaction:
        transaction.run(
            "UPDATE hub_key SET made_at = made_at - %s WHERE purpose = %s "
            "AND version = (SELECT max(version) FROM hub_key WHERE purpose = %s)",
            (seconds * 1_000_000, purpose, purpose),
        )
        transaction.commit()


def ready_to_retire(store, purpose: str, run) -> None:
    age(store, purpose, max(TOKEN_REST_SECONDS, AUDIT_REST_SECONDS) + 1)
    if purpose == "record":
        assert run("rewrap").exit_code == 0
    if purpose == "audit":
        seal_every_event(Spine(store), store)


def events(world) -> list[str]:
    """What the log says of acts on keys."""
    told = [entity.get("query", "") for event in world.events() for entity in event.get("entity", ())]
    said = [base64.b64decode(each).decode() for each in told if each]
    return [each for each in said if each.startswith("exchange keys")]


def test_the_state_names_every_version_and_what_lies_under_it(run, world):
    shown = run("status")
    assert shown.exit_code == 0
    assert all(purpose in shown.output for purpose in PURPOSES)
    assert "active" in shown.output
    assert "root: file" in shown.output


@pytest.mark.parametrize("purpose", ROTATED)
def test_a_key_is_made_retired_and_destroyed_each_with_an_event(run, world, store, purpose):
    done = run("rotate", purpose)
    assert done.exit_code == 0, done.output
    assert "version 2 is made" in done.output
    assert states(store)[purpose, 1] == states(store)[purpose, 2] == "active"
    ready_to_retire(store, purpose, run)
    done = run("retire", purpose, "1")
    assert done.exit_code == 0, done.output
    assert run("destroy", purpose, "1", "--yes").exit_code == 0
    store.crypto.look()
    assert states(store)[purpose, 1] == "destroyed"
    assert (purpose, 1) not in store.crypto.keyring._keys
    with store.transaction() as transaction:
        assert transaction.rows(
            "SELECT length(wrapped) FROM hub_key WHERE purpose = %s AND version = 1", (purpose,)
        ) == [(0,)]
    if purpose != "audit":
        told = events(world)
        for act in ("rotate", "retire", "destroy"):
            assert sum(f"exchange keys {act} {purpose}" in each for each in told) == 1
    assert world.post.get("Patient/posta-p1").status == 200


def test_a_version_is_retired_only_where_nothing_needs_it(run, world, store):
    assert run("rotate", "record").exit_code == 0
    refused = run("retire", "record", "1")
    assert refused.exit_code == 1
    assert "4 data keys" in refused.output
    assert "1 dictionary.sealed" in refused.output
    assert states(store)["record", 1] == "active"
    assert run("rewrap").exit_code == 0
    assert run("retire", "record", "1").exit_code == 0


def test_the_newest_version_and_what_is_not_there_are_not_retired(run, store):
    for purpose, version, words in (
        ("record", "1", "newest"),
        ("record", "2", "no active version"),
        ("place", "1", "not rotated"),
    ):
        refused = run("retire", purpose, version)
        assert refused.exit_code == 1
        assert words in refused.output
    assert run("retire", "root", "1").exit_code == 2
    assert set(states(store).values()) == {"active"}


def test_a_token_s_key_rests_for_as_long_as_a_token_lives(run, store):
    assert run("rotate", "token").exit_code == 0
    refused = run("retire", "token", "1")
    assert refused.exit_code == 1
    assert "seconds more" in refused.output
    age(store, "token", TOKEN_REST_SECONDS - 5)
    assert run("retire", "token", "1").exit_code == 1
    age(store, "token", 6)
    assert run("retire", "token", "1").exit_code == 0


def test_the_tokens_of_a_stolen_key_are_ended_at_once(run, store):
    assert run("rotate", "token").exit_code == 0
    assert run("rotate", "record").exit_code == 0
    page = store.crypto._seal("token", b"page token", 1, b"[1]", b"query")
    assert store.crypto.open_page(page, b"query") == b"[1]"
    assert run("retire", "record", "1", "--now").exit_code == 2
    assert states(store)["record", 1] == "active"
    assert run("retire", "token", "1", "--now").exit_code == 0
    store.crypto.look()
    with pytest.raises(SealBroken):
        store.crypto.open_page(page, b"query")
    assert store.crypto.open_page(store.crypto.seal_page(b"[1]", b"query"), b"query") == b"[1]"


def test_an_audit_key_rests_until_the_new_one_has_signed(run, world, store):
    assert run("rotate", "audit").exit_code == 0
    age(store, "audit", AUDIT_REST_SECONDS + 1)
    refused = run("retire", "audit", "1")
    assert refused.exit_code == 1
    assert "checkpoint" in refused.output
    seal_every_event(Spine(store), store)
    assert run("retire", "audit", "1").exit_code == 0


def test_both_audit_keys_sign_until_the_former_is_retired_and_the_log_verifies_for_ever(run, world, store):
    def newest_note() -> str:
        seal_every_event(Spine(store), store)
        with store.transaction() as transaction:
            assert verify_log(transaction).is_verified
            return transaction.rows("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1")[0][0]

    former = store.crypto.checkpoint_key
    first = newest_note()
    assert run("rotate", "audit").exit_code == 0
    age(store, "audit", AUDIT_REST_SECONDS + 1)
    second = store.crypto.checkpoint_key
    overlap = newest_note()
    for key in (former, second):
        assert read(overlap, [key])
    for act in (("retire", "audit", "1"), ("destroy", "audit", "1", "--yes")):
        assert run(*act).exit_code == 0
        store.crypto.look()
        after = newest_note()
        assert read(after, [second])
        with pytest.raises(SealBroken):
            read(after, [former])
        assert read(first, store.crypto.checkpoint_keys) == read(first, [former])
    assert store.crypto.checkpoint_keys == [second, former]


def test_a_rotation_is_ended_before_the_next_one(run, store):
    assert run("rotate", "backup").exit_code == 0
    refused = run("rotate", "backup")
    assert refused.exit_code == 1
    assert "versions 1 and 2 are active" in refused.output
    assert run("retire", "backup", "1").exit_code == 0
    assert "version 3 is made" in run("rotate", "backup").output


def test_places_are_never_rotated_and_unknown_keys_are_unknown(run, store):
    refused = run("rotate", "place")
    assert (refused.exit_code, "not rotated" in refused.output) == (1, True)
    assert "place" not in NEEDS
    for words in (
        ("rotate", "other"),
        ("retire", "other", "1"),
        ("destroy", "other", "1", "--yes"),
        ("retire", "record", "0"),
    ):
        assert run(*words).exit_code == 2
    assert len(states(store)) == len(PURPOSES)


def test_destroying_is_asked_for_and_only_of_what_is_retired(run, store):
    assert run("destroy", "record", "1").exit_code == 2
    refused = run("destroy", "record", "1", "--yes")
    assert refused.exit_code == 1
    assert "no retired version 1" in refused.output
    assert set(states(store).values()) == {"active"}


def test_a_refused_act_leaves_no_event(run, world):
    assert run("retire", "record", "1").exit_code == 1
    assert events(world) == []


def test_rotating_with_wait_leaves_nothing_behind(run, world, store):
    done = run("rotate", "record", "--wait")
    assert done.exit_code == 0
    assert "nothing lies under an older version" in done.output
    with store.transaction() as transaction:
        assert transaction.rows("SELECT DISTINCT wrapping_version FROM data_key") == [(2,)]


def test_the_root_is_rotated_and_its_old_version_destroyed(
    run, world, store, database, hub_settings, root_key
):
    done = run("rotate", "root")
    assert done.exit_code == 0
    assert f"version 2 now wraps the hub's keys; {len(PURPOSES)} were wrapped anew" in done.output
    assert run("destroy", "root", "2", "--yes", "--without-backup").exit_code == 1
    refused = run("destroy", "root", "1", "--yes")
    assert refused.exit_code == 1
    assert "no verified backup stands under a newer version" in refused.output
    assert run("destroy", "root", "1", "--yes", "--without-backup").exit_code == 0
    assert list(root_key.keys) == [2]
    again = open_store(database, hub_settings, root_key)
    assert World(again, database).post.get("Patient/posta-p2").status == 200
    again.close()
    assert len([each for each in events(world) if "root" in each]) == 2


def test_an_old_root_stays_while_it_wraps_a_key(run, store, root_key):
    root_key.rotate()
    refused = run("destroy", "root", "1", "--yes", "--without-backup")
    assert refused.exit_code == 1
    assert f"wraps {len(PURPOSES)} keys" in refused.output
    assert sorted(root_key.keys) == [1, 2]


def test_a_rotation_of_the_root_that_was_cut_off_goes_on(run, store, root_key):
    root_key.rotate()  # made, and then the command was killed
    done = run("rotate", "root")
    assert "version 2 now wraps" in done.output
    assert sorted(root_key.keys) == [1, 2]
    assert "version 3 now wraps" in run("rotate", "root").output
