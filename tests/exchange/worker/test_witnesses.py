"""New heads reach every witness; one that is away, slow, lies or answers garbage stops nobody, and is told of."""

from __future__ import annotations

import logging
import socket

import pytest

from exchange.audit.cosignature import WITNESS_KEY, VerifierKey, read_cosignature
from exchange.audit.receipt import head_over
from exchange.audit.witnessing import OutsideWitness, outside_witnesses
from exchange.problems import Invalid
from exchange.settings import settings
from exchange.worker.witnesses import SILENT_SECONDS, HandingOut
from tests.sample.sealing import seal_every_event
from tests.simulators.witness import honest_witness, lying_witness
from tests.simulators.witness_log import WitnessLog

OTHER = VerifierKey("witness.example/9", WITNESS_KEY, WitnessLog(seed=9).public)


@pytest.fixture
def grow(spine, store):
    """Write events, and seal them."""

    def grown(count: int = 3) -> int:
        for number in range(count):
            spine.operate(f"test {number}", lambda _: None)
        return seal_every_event(spine, store)

    return grown


@pytest.fixture
def honest(tmp_path, store):
    with honest_witness(tmp_path / "w", settings().audit_origin, *store.crypto.checkpoint_keys) as (url, key):
        yield OutsideWitness(url, key)


def cosigned(store) -> list[tuple[int, str]]:
    with store.transaction() as transaction:
        return transaction.rows("SELECT size, witness FROM audit_cosignature ORDER BY size, witness")


def test_every_new_head_is_cosigned_once(spine, store, grow, honest):
    rounds = HandingOut(spine.witnesses, [honest])
    assert rounds.round(0) == 0, "an empty log has no head"
    sizes = []
    for _ in range(3):
        sizes.append(grow())
        assert rounds.round(0) == 1
        assert rounds.round(0) == 0
    assert cosigned(store) == [(size, "witness.example/1") for size in sizes]
    with store.transaction() as transaction:
        note, head = head_over(transaction, 0)
    line = note.splitlines(keepends=True)[-1]
    assert read_cosignature(line, head.body(), honest.key) > 0


def test_a_witness_that_saw_more_than_was_kept_here_is_asked_from_there(spine, store, grow, honest):
    rounds = HandingOut(spine.witnesses, [honest])
    grow()
    rounds.round(0)
    with store.transaction() as transaction:
        transaction.run("DELETE FROM audit_cosignature")
        transaction.commit()
    assert rounds.round(0) == 1
    grow()
    assert rounds.round(0) == 1


def test_a_log_that_was_restored_is_refused_with_an_alarm(spine, store, grow, honest, caplog):
    rounds = HandingOut(spine.witnesses, [honest])
    small = grow()
    rounds.round(0)
    grow()
    rounds.round(0)
    with store.transaction() as transaction:
        transaction.run(
            "DELETE FROM audit_event WHERE id IN (SELECT id::text FROM audit_leaf WHERE leaf_index >= %s)",
            (small,),
        )
        transaction.run("DELETE FROM audit_leaf WHERE leaf_index >= %s", (small,))
        transaction.run("DELETE FROM audit_checkpoint WHERE size > %s", (small,))
        transaction.run("DELETE FROM audit_cosignature")
        transaction.commit()
    assert rounds.round(0) == 0
    assert rounds.round(0) == 0
    assert [each.levelno for each in caplog.records if "E-324" in each.message] == [logging.CRITICAL]
    # It goes on past what the witness saw: another history.
    caplog.clear()
    grow(9)
    assert HandingOut(spine.witnesses, [honest]).round(0) == 0
    assert "another history" in caplog.text
    assert cosigned(store) == []


@pytest.mark.parametrize(
    "answer",
    [
        (200, b""), (200, b"garbage"), (200, b"\xff" * 900), (200, b"x" * 10_000_000), (500, b""), (403, b""), (404, b""),
        (307, b""), (409, b""), (409, b"many\n"), (409, b"-1\n"), (409, b"9" * 5000 + b"\n"), "endless", "hangs-up",
        (200, "\u2014 witness.example/9 AAAA\n".encode() * 200),
    ],
)  # fmt: skip
def test_one_that_lies_stops_nobody(spine, store, grow, honest, answer):
    grow()
    with lying_witness() as liar:
        liar.answer = answer
        rounds = HandingOut(spine.witnesses, [OutsideWitness(liar.url, OTHER), honest])
        assert rounds.round(0) == 1
        assert len(liar.asked) == 1
    assert [witness for _, witness in cosigned(store)] == ["witness.example/1"]


@pytest.mark.parametrize("answer", ["silent", "drip"])
def test_one_that_is_slow_stops_nobody(spine, store, grow, honest, answer, monkeypatch):
    monkeypatch.setattr("exchange.worker.witnesses.MOST_SECONDS", 1.0)
    grow()
    with lying_witness() as liar:
        liar.answer = answer
        assert HandingOut(spine.witnesses, [OutsideWitness(liar.url, OTHER), honest]).round(0) == 1
    assert [witness for _, witness in cosigned(store)] == ["witness.example/1"]


def test_one_that_claims_more_than_the_log_holds_is_an_alarm(spine, grow, caplog):
    grow()
    with lying_witness() as liar:
        liar.answer = (409, b"1000000\n")
        assert HandingOut(spine.witnesses, [OutsideWitness(liar.url, OTHER)]).round(0) == 0
    assert "E-324" in caplog.text


def test_a_cosignature_by_another_key_is_not_kept(spine, store, grow, honest):
    grow()
    stranger = OutsideWitness(honest.url, VerifierKey(honest.key.name, WITNESS_KEY, OTHER.public))
    assert HandingOut(spine.witnesses, [stranger]).round(0) == 0
    assert cosigned(store) == []


def test_an_hour_of_silence_is_told_once(spine, grow, caplog):
    grow()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        rounds = HandingOut(
            spine.witnesses, [OutsideWitness(f"http://127.0.0.1:{nobody.getsockname()[1]}", OTHER)]
        )
        for now in (10, SILENT_SECONDS, SILENT_SECONDS + 11, SILENT_SECONDS + 12):
            assert rounds.round(now) == 0
    assert [each.levelno for each in caplog.records if "E-325" in each.message] == [logging.ERROR]


KEY = OTHER.text()


def test_the_setting_names_witnesses_or_a_file(tmp_path):
    one = f"https://w.example {KEY}"
    path = tmp_path / "witnesses"
    path.write_text(f"# ours\n{one}\n\n")
    assert outside_witnesses("") == []
    assert (
        outside_witnesses(one) == outside_witnesses(str(path)) == [OutsideWitness("https://w.example", OTHER)]
    )
    both = outside_witnesses(f"{one}; http://127.0.0.1:1/x/ {honest_key()}")
    assert [each.url for each in both] == ["https://w.example", "http://127.0.0.1:1/x"]


def honest_key() -> str:
    return VerifierKey("witness.example/1", WITNESS_KEY, WitnessLog(seed=8).public).text()


@pytest.mark.parametrize(
    "setting",
    [
        f"http://w.example {KEY}", f"ftp://w.example {KEY}", f"https://u@w.example {KEY}", f"https://w.example?x {KEY}",
        f"https:// {KEY}", "https://w.example", "https://w.example x+y+z", "/nowhere/at/all",
        f"https://a.example {KEY}; https://b.example {KEY}", f"https://w.example {WitnessLog().key.text()}",
    ],
)  # fmt: skip
def test_what_is_no_witness(setting):
    with pytest.raises(Invalid):
        outside_witnesses(setting)
