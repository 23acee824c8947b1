"""What an adapter seals and what the hub seals is one format: each opens the same examples, and each the other's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.outbox import sealing
from adapters.outbox.sealing import OutboxDamaged
from exchange.crypto import envelope
from exchange.problems import SealBroken

EXAMPLES = json.loads((Path(__file__).parents[1] / "vectors" / "envelope.json").read_text())
NONE = envelope.Dictionaries({})
OPENERS = {
    "adapter": sealing.open_sealed,
    "hub": lambda key, body, bound_to: envelope.open_sealed(key, NONE, body, bound_to),
}
SEALERS = {
    "adapter": sealing.seal,
    "hub": lambda key, text, bound_to: envelope.seal(key, NONE, text, bound_to),
}


def parts(example: dict[str, str]) -> tuple[AESGCM, bytes, bytes, bytes]:
    text, body = bytes.fromhex(example["text"]), bytes.fromhex(example["body"])
    return AESGCM(bytes.fromhex(example["key"])), example["bound_to"].encode(), text, body


@pytest.mark.parametrize("who", OPENERS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each["bound_to"])
def test_both_open_every_example_and_nothing_near_it(example, who):
    key, bound_to, text, body = parts(example)
    assert OPENERS[who](key, body, bound_to) == text
    for place in range(min(len(body), 80)):
        altered = bytearray(body)
        altered[place] ^= 1
        with pytest.raises((OutboxDamaged, SealBroken)):
            OPENERS[who](key, bytes(altered), bound_to)
    for wrong in (body[:-1], body[:14], b"", body + b"\0"):
        with pytest.raises((OutboxDamaged, SealBroken)):
            OPENERS[who](key, wrong, bound_to)
    with pytest.raises((OutboxDamaged, SealBroken)):
        OPENERS[who](key, body, bound_to + b"x")
    with pytest.raises((OutboxDamaged, SealBroken)):
        OPENERS[who](AESGCM(bytes(32)), body, bound_to)


@pytest.mark.parametrize("sealer", SEALERS)
@pytest.mark.parametrize("opener", OPENERS)
def test_each_opens_what_the_other_sealed(sealer, opener):
    key = AESGCM(AESGCM.generate_key(256))
    for text in (b"", b"a", b"z" * 100_000):
        body = SEALERS[sealer](key, text, b"place")
        assert OPENERS[opener](key, body, b"place") == text
