"""Every decision vector gives its answer on every way: in memory, by read, by search, by count, with the Patient."""

from __future__ import annotations

from tests.vectors.run import run
from tests.vectors.vector import vectors

LEAST = 300


def test_every_vector_is_right(server):
    chosen = vectors()
    result = run(server, chosen)
    assert result.wrong == [], "\n\n".join(result.wrong)
    assert result.vectors == len(chosen) >= LEAST
    assert result.judged > LEAST * 3 // 4
    assert result.requests > LEAST * 8


def test_vectors_can_be_wrong(server):
    """A vector whose answer is turned round is found wrong on each way."""
    from dataclasses import replace

    chosen = [each for each in vectors() if str(each) == "actors: a permitted facility sees"]
    turned = [replace(each, expected="does not see") for each in chosen]
    (told,) = run(server, turned).wrong
    assert all(
        f"by {way}: sees" in told
        for way in ("judgement", "read", "vread", "history", "search", "count", "$everything")
    )


def test_every_vector_tells_why_and_is_told_in_words():
    for each in vectors():
        assert each.why.endswith((".", '"')), each
        assert each.situation.endswith("."), each
        assert 3 <= len(each.situation.split()) <= 60, each
