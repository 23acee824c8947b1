"""A witness cosigns a log that only grows, once it is on disk, and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exchange.audit.cosignature import read_cosignature
from exchange.problems import SealBroken, Unavailable
from exchange.witness.judgement import MOST_BODY_BYTES, SIZE_TYPE, Witness, parse
from exchange.witness.state import State, make, open_key, opened
from tests.simulators.witness_log import ORIGIN, WitnessLog

NOW = 1_700_000_100


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "w", "witness.example/1")
    return tmp_path / "w"


@pytest.fixture
def log():
    return WitnessLog().grow(20)


@pytest.fixture
def witness(folder, log):
    with opened(folder) as state:
        yield a_witness(state, folder, log)


def a_witness(state, folder, *logs):
    key, signer = open_key(folder)
    return Witness(state, key, signer, {each.origin: (each.public,) for each in logs}, lambda: NOW)


def test_a_log_that_grows_is_cosigned(witness, log):
    for old, size in ((0, 3), (3, 3), (3, 8), (8, 9), (9, 20)):
        verdict = witness.add_checkpoint(log.submission(old, size))
        assert verdict.status == 200
        assert read_cosignature(verdict.text, log.head(size).body(), witness.key) == NOW


def test_it_remembers_after_it_was_stopped(folder, log):
    with opened(folder) as state:
        assert a_witness(state, folder, log).add_checkpoint(log.submission(0, 8)).status == 200
    with opened(folder) as state:
        again = a_witness(state, folder, log)
        verdict = again.add_checkpoint(log.submission(0, 20))
        assert (verdict.status, verdict.text, verdict.media_type) == (409, "8\n", SIZE_TYPE)
        assert again.add_checkpoint(log.submission(8, 20)).status == 200


@pytest.mark.parametrize("old", [0, 5, 9])
def test_another_old_size_is_told_the_true_one(witness, log, old):
    witness.add_checkpoint(log.submission(0, 8))
    verdict = witness.add_checkpoint(log.submission(old, 20))
    assert (verdict.status, verdict.text, verdict.media_type) == (409, "8\n", SIZE_TYPE)


def test_a_log_does_not_shrink(witness, log):
    witness.add_checkpoint(log.submission(0, 20))
    assert witness.add_checkpoint(log.submission(20, 8, proof=[])).status == 400
    assert witness.add_checkpoint(log.submission(8, 8, proof=[])).status == 409
    assert witness.add_checkpoint(log.submission(0, 8)).status == 409
    assert witness.add_checkpoint(log.submission(20, 20)).status == 200


def test_a_fork_is_not_cosigned(witness, log):
    witness.add_checkpoint(log.submission(0, 8))
    fork = WitnessLog().grow(20, "other")
    assert witness.add_checkpoint(fork.submission(8, 20)).status == 422
    assert witness.add_checkpoint(fork.submission(8, 20, proof=[])).status == 422
    assert witness.add_checkpoint(log.submission(8, 20)).status == 200


def test_the_same_size_is_the_same_tree(witness, log):
    witness.add_checkpoint(log.submission(0, 8))
    assert witness.add_checkpoint(WitnessLog().grow(20, "other").submission(8, 8)).status == 409
    assert witness.add_checkpoint(log.submission(8, 8)).status == 200


def test_a_proof_that_says_more_than_it_should(witness, log):
    assert witness.add_checkpoint(log.submission(0, 8, proof=[bytes(32)])).status == 422
    witness.add_checkpoint(log.submission(0, 8))
    assert witness.add_checkpoint(log.submission(8, 8, proof=[bytes(32)])).status == 422


def test_a_log_that_is_not_known(witness):
    assert (
        witness.add_checkpoint(WitnessLog(origin="other.example/audit").grow(3).submission(0)).status == 404
    )


def test_a_key_that_is_not_the_log_s(witness):
    assert witness.add_checkpoint(WitnessLog(seed=2).grow(3).submission(0)).status == 403


def test_a_log_may_change_its_key(folder, log):
    later = WitnessLog(seed=2).grow(20)
    with opened(folder) as state:
        key, signer = open_key(folder)
        both = Witness(state, key, signer, {ORIGIN: (log.public, later.public)}, lambda: NOW)
        assert both.add_checkpoint(log.submission(0, 8)).status == 200
        assert both.add_checkpoint(later.submission(8, 20)).status == 200


def test_two_logs_do_not_meet(folder, log):
    other = WitnessLog(seed=2, origin="other.example/audit").grow(5)
    with opened(folder) as state:
        both = a_witness(state, folder, log, other)
        assert both.add_checkpoint(log.submission(0, 8)).status == 200
        assert both.add_checkpoint(other.submission(0, 5)).status == 200
        assert [(each.origin, each.size) for each in state.all()] == [(ORIGIN, 8), ("other.example/audit", 5)]


def test_nothing_is_cosigned_that_could_not_be_kept(folder, log, monkeypatch):
    with opened(folder) as state:
        witness = a_witness(state, folder, log)

        def failing(*_):
            raise Unavailable("full")

        monkeypatch.setattr(State, "keep", failing)
        with pytest.raises(Unavailable):
            witness.add_checkpoint(log.submission(0, 8))


@pytest.mark.parametrize(
    "broken", ["", "x", "hub.example/audit\n-3\nAAAA\n", "other\n3\nAAAA\n", "a\nb\nc\nd"]
)
def test_a_broken_head_is_not_one_that_was_never_seen(folder, log, broken):
    with opened(folder) as state:
        witness = a_witness(state, folder, log)
        witness.add_checkpoint(log.submission(0, 8))
        next((folder / "heads").glob("*.head")).write_text(broken)
        with pytest.raises(SealBroken):
            witness.add_checkpoint(log.submission(0, 8))


NOTE = WitnessLog().grow(3).note()
HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n", b"old\n\nx", b"old 0", b"old 0\n", b"old 0\n\n", f"old 00\n\n{NOTE}".encode(),
        f"old -1\n\n{NOTE}".encode(), f"old +1\n\n{NOTE}".encode(), f"old 1_0\n\n{NOTE}".encode(),
        f"old  1\n\n{NOTE}".encode(), f"Old 1\n\n{NOTE}".encode(), f"old \u0661\n\n{NOTE}".encode(),
        f"old {2**63}0\n\n{NOTE}".encode(), f"old 1\n{HASH[:-1]}\n\n{NOTE}".encode(), f"old 1\nAAAA\n\n{NOTE}".encode(),
        f"old 1\n{HASH}*\n\n{NOTE}".encode(), f"old 1\n{HASH}\r\n\n{NOTE}".encode(),
        f"old 1\n{(HASH + chr(10)) * 64}\n{NOTE}".encode(), b"old 1\n\xff\n\n" + NOTE.encode(),
        b"old 1\n\n" + b"x" * MOST_BODY_BYTES,
    ],
)  # fmt: skip
def test_what_is_no_request(witness, body):
    assert parse(body) is None
    assert witness.add_checkpoint(body).status == 400


def test_as_many_lines_as_the_protocol_allows():
    found = parse(f"old 1\n{(HASH + chr(10)) * 63}\n{NOTE}".encode())
    assert found is not None
    assert (found.old, len(found.proof), found.note) == (1, 63, NOTE)


@hypothesis_settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans()), max_size=12))
def test_whatever_is_asked_two_cosigned_heads_are_of_one_history(tmp_path_factory, asked):
    """Two histories of one log compete for a witness: it only ever cosigns one."""
    folder = tmp_path_factory.mktemp("w")
    make(folder, "witness.example/1")
    logs = {False: WitnessLog().grow(20), True: WitnessLog().grow(20, "other")}
    cosigned: list[tuple[int, bool]] = []
    with opened(folder) as state:
        witness = a_witness(state, folder, logs[False])
        for old, size, fork in asked:
            body = logs[fork].submission(old, size, proof=None if old <= size else [])
            verdict = witness.add_checkpoint(body)
            if verdict.status == 200 and size:
                cosigned.append((size, fork))
    assert len({fork for _, fork in cosigned}) <= 1
    assert [size for size, _ in cosigned] == sorted(size for size, _ in cosigned)
