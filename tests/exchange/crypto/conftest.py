"""Tokens for the tests of this room, each of its own label."""

from __future__ import annotations

import itertools

import pytest

from tests.sample import softhsm

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def tokens(tmp_path_factory):
    """The environment of a folder of tokens."""
    if not softhsm.IS_HERE:
        pytest.skip(softhsm.WHY_NOT)
    environment = softhsm.prepare(tmp_path_factory.mktemp("softhsm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", environment["SOFTHSM2_CONF"])
        yield environment


@pytest.fixture
def token(tokens):
    """The label of a new token."""
    label = f"chasqui-{next(_NUMBERS)}"
    softhsm.make_token(label, tokens)
    return label
