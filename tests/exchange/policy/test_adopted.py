"""The policy that a process goes by: swapped within seconds, kept where the new file is wrong, entered into the log."""

from __future__ import annotations

import json
import logging
import threading

import pytest

from exchange.perform import Spine
from exchange.policy import adopted
from exchange.policy.adopted import PolicyFile, policy, shipped
from exchange.problems import Unavailable
from exchange.settings import Settings
from tests.exchange.policy.episodes import POST
from tests.passage.world import patient_of

TEXT = shipped().read_text()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def eager(monkeypatch):
    """A process that looks at once."""
    monkeypatch.setattr(adopted, "LOOK_SECONDS", 0.0)


@pytest.fixture
def chosen(file, eager, monkeypatch):
    """This process goes by a file of the test's own."""
    monkeypatch.setattr(adopted, "settings", lambda: Settings(policy_file=file))
    monkeypatch.setattr("exchange.perform.PARAMETERS_SECONDS", 0.0)
    return file


def change(path, old="least_reason_letters = 20", new="least_reason_letters = 21"):
    path.with_suffix(".new").write_text(path.read_text().replace(old, new))
    path.with_suffix(".new").replace(path)


def test_the_shipped_policy_is_the_default():
    assert policy().region.name == "La Libertad"
    assert shipped().name == "la-libertad.toml"


def test_a_change_is_seen_and_the_object_swapped_as_a_whole(file, eager):
    watched = PolicyFile(file)
    before = watched.policy()
    assert watched.policy() is before
    change(file)
    after = watched.policy()
    assert (before.emergency.least_reason_letters, after.emergency.least_reason_letters) == (20, 21)
    assert before.digest != after.digest


def test_the_file_is_looked_at_no_more_than_every_two_seconds(file):
    watched = PolicyFile(file)
    change(file)
    assert watched.policy().emergency.least_reason_letters == 20
    watched._looked_at -= adopted.LOOK_SECONDS
    assert watched.policy().emergency.least_reason_letters == 21
    assert adopted.LOOK_SECONDS <= 2


def test_a_file_that_became_wrong_leaves_the_former_policy_and_one_line(file, eager, caplog):
    watched = PolicyFile(file)
    before = watched.policy()
    with caplog.at_level(logging.INFO, "exchange.policy"):
        change(file, "adult_age = 18", 'adult_age = "secret-word"')
        for _ in range(3):
            assert watched.policy() is before
        lines = [each.getMessage() for each in caplog.records]
        assert [each[:5] for each in lines] == ["E-502"]
        assert "secret-word" not in lines[0]
        change(file, '"secret-word"', "19")
        assert watched.policy().minors.adult_age == 19
        assert caplog.records[-1].getMessage().startswith("E-501")


def test_a_file_that_went_away_leaves_the_former_policy(file, eager, caplog):
    watched = PolicyFile(file)
    before = watched.policy()
    file.unlink()
    with caplog.at_level(logging.ERROR, "exchange.policy"):
        assert watched.policy() is before
    assert caplog.records[0].getMessage().startswith("E-503")
    file.write_text(TEXT.replace("adult_age = 18", "adult_age = 17"))
    assert watched.policy().minors.adult_age == 17


def test_a_process_does_not_start_with_a_wrong_policy(file):
    file.write_text(TEXT.replace("adult_age = 18", "adult_age = 180"))
    with pytest.raises(Unavailable, match=r"line \d+: minors.adult_age"):
        PolicyFile(file)
    with pytest.raises(Unavailable, match="cannot be read"):
        PolicyFile(file.with_name("none.toml"))


def test_threads_see_one_policy_or_the_other(file, eager):
    watched = PolicyFile(file)
    seen, stopped = set(), threading.Event()

    def look():
        while not stopped.is_set():
            found = watched.policy()
            seen.add((found.digest, found.emergency.least_reason_letters))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for each in threads:
        each.start()
    change(file)
    while len(seen) < 2 and any(each.is_alive() for each in threads):
        pass
    stopped.set()
    for each in threads:
        each.join(10)
    assert {letters for _, letters in seen} == {20, 21}
    assert len(seen) == 2


def events(world):
    return [each for each in world.events() if "policy adopted" in json.dumps(each)]


def test_a_new_version_is_entered_into_the_log_once_whoever_adopts_it_first(empty, chosen):
    empty.post.store(patient_of(POST, 1))
    before = len(events(empty))
    change(chosen)
    others = [Spine(empty.database_store) for _ in range(3)]
    empty.post.store(patient_of(POST, 2))
    for spine in others:
        spine.rollout.relabel()
    empty.post.store(patient_of(POST, 3))
    assert len(events(empty)) == before + 1


def test_going_back_to_a_former_policy_is_an_event_too(empty, chosen):
    empty.post.store(patient_of(POST, 1))
    before = len(events(empty))
    change(chosen)
    empty.post.store(patient_of(POST, 2))
    chosen.write_text(TEXT)
    empty.post.store(patient_of(POST, 3))
    empty.post.store(patient_of(POST, 4))
    assert len(events(empty)) == before + 2


def test_an_act_goes_by_the_new_policy(empty, chosen):
    from tests.exchange.policy.episodes import a_condition, levels

    empty.post.store(patient_of(POST, 1), a_condition("posta-c1", "I10", encounter=""))
    assert levels(empty)["posta-c1"] == "N"
    change(chosen, '"B20-B24", "F02.4"', '"B20-B24", "I10", "F02.4"')
    empty.post.store(a_condition("posta-c2", "I10", encounter=""))
    assert levels(empty)["posta-c2"] == "R"
