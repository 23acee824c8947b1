"""Regular expressions that cannot run away."""

import random
import re
import time

import pytest

from exchange.fhir.regular import MAX_TEXT, Regular

PARTS = ["a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab|a)*", "a*", "b+", "(a?b){1,3}", r"\d", r"\w+", "a{2}",
         "[a-c]{0,2}", "(a|ab)(c|bcd)(d*)", "(?:x|a)", "[]a]", r"[\d-]", r"\.", "a{2,}", "a+?", r"\u0061"]  # fmt: skip


def test_it_agrees_with_a_backtracking_engine():
    chance = random.Random(3)
    for _ in range(4_000):
        pattern = "".join(chance.choice(PARTS) for _ in range(chance.randint(1, 4)))
        pattern = chance.choice(["", "^"]) + pattern + chance.choice(["", "$"])
        text = "".join(chance.choice("abcdx1-. ]") for _ in range(chance.randint(0, 8)))
        ours = Regular(pattern)
        assert ours.matches_whole(text) == bool(re.fullmatch(pattern, text, re.ASCII)), (pattern, text)
        assert ours.search(text) == bool(re.search(pattern, text, re.ASCII)), (pattern, text)
        assert ours.matches_whole(text) == bool(re.fullmatch(pattern, text, re.ASCII)), (pattern, text)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a|a)*c", "(.*a){0,50}c", "(a*)*b"])
def test_a_bomb_is_only_a_pattern(pattern):
    before = time.monotonic()
    try:
        assert not Regular(pattern).search("a" * 3_000 + "!")
    except ValueError as refused:
        assert "too l" in str(refused)  # noqa: PT017
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    "pattern",
    ["((a{1,200}){1,200}){1,200}", "a{99999}", "(" * 60 + ")" * 60, "a" * 3_000, "(?=a)", "(?<n>a)", r"\1", r"\p{L}",
     "[[:alpha:]]", "a**", "a++", "*a", "(a", "a)", "[a", "[b-a]", "a{2,1}", "a{x}", "\\", r"\uZZZZ", "a{2"],
)  # fmt: skip
def test_what_is_no_pattern_here_is_refused(pattern):
    with pytest.raises(ValueError, match=r"."):
        Regular(pattern)


def test_a_text_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="too long"):
        Regular("a").search("a" * (MAX_TEXT + 1))
