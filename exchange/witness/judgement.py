"""Whether a witness cosigns: the head is of a known log, signed by it, and grew out of the last one seen.

Spec:    https://c2sp.org/tlog-witness, add-checkpoint
Leaves:  HTTP to server; keeping heads to state.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.audit.chain import EMPTY_ROOT, HASH_BYTES, is_consistent
from exchange.audit.checkpoint import MAX_NOTE_LETTERS, read
from exchange.audit.cosignature import VerifierKey, cosign
from exchange.problems import SealBroken
from exchange.witness.state import Seen, State

MOST_PROOF_LINES: Final = 63
MOST_SIZE: Final = (1 << 63) - 1
MOST_BODY_BYTES: Final = MAX_NOTE_LETTERS + 64 * 64
SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered: a status of HTTP, a text and its type."""

    status: int
    text: str
    media_type: str = TEXT_TYPE


@dataclass(frozen=True, slots=True)
class Submission:
    """A head that somebody hands in, with the proof that it grew out of one of `old` leaves."""

    old: int
    proof: tuple[bytes, ...]
    note: str


class Witness:
    """One witness: the logs that it knows, by their origins and their keys, and its state."""

    def __init__(
        self,
        state: State,
        key: VerifierKey,
        signer: Ed25519PrivateKey,
        logs: Mapping[str, tuple[bytes, ...]],
        clock: Clock = time.time,
    ) -> None:
        self.key = key
        self._state = state
        self._signer = signer
        self._logs = logs
        self._clock = clock
        self._lock = threading.Lock()

    def add_checkpoint(self, body: bytes) -> Verdict:
        """Judge a head, and cosign it.

        1. The body is what the protocol says. 2. The log is known. 3. It signed the head. 4. The head is not smaller than
        the one it is said to follow. 5. That one is the last that was seen; nobody gets between looking and keeping.
        6. The same size is the same tree. 7. Another size is proved to have grown. 8. Kept on disk; only then cosigned.
        """
        # 1.
        submitted = parse(body)
        if submitted is None:
            return Verdict(400, "the request is not as tlog-witness says\n")
        # 2.
        origin = submitted.note.partition("\n")[0]
        keys = self._logs.get(origin)
        if keys is None:
            return Verdict(404, "this witness does not know the log\n")
        # 3.
        try:
            head = read(submitted.note, keys)
        except SealBroken:
            return Verdict(403, "the log did not sign this head\n")
        # 4.
        if not submitted.old <= head.size <= MOST_SIZE or len(head.root) != HASH_BYTES:
            return Verdict(400, "the head is smaller than the one it should follow\n")
        with self._lock:
            # 5.
            seen = self._state.last(origin)
            known = seen.size if seen else 0
            if submitted.old != known:
                return Verdict(409, f"{known}\n", SIZE_TYPE)
            # 6.
            known_root = seen.root if seen else EMPTY_ROOT
            if head.size == known and head.root != known_root:
                return Verdict(409, f"{known}\n", SIZE_TYPE)
            # 7.
            if not is_consistent(known, head.size, known_root, head.root, submitted.proof):
                return Verdict(422, "the proof does not show that the log grew\n")
            # 8.
            self._state.keep(Seen(origin, head.size, head.root, head.body()))
        return Verdict(200, cosign(head.body(), int(self._clock()), self.key, self._signer.sign))


def parse(body: bytes) -> Submission | None:
    """A request's body; None: it is not as the protocol says.

    1. Bounded, UTF-8. 2. `old N`, without leading zeroes. 3. At most 63 lines of proof. 4. An empty line, then the note.
    """
    # 1.
    if len(body) > MOST_BODY_BYTES:
        return None
    try:
        first, _, rest = body.decode().partition("\n")
        # 2.
        old = _number(first.removeprefix("old ")) if first.startswith("old ") else None
        # 3.
        proof: list[bytes] = []
        line, mark, rest = rest.partition("\n")
        while line and mark and len(proof) < MOST_PROOF_LINES:
            proof.append(_hash(line))
            line, mark, rest = rest.partition("\n")
    except (ValueError, binascii.Error):
        return None
    # 4.
    if old is None or line or not mark or not rest:
        return None
    return Submission(old, tuple(proof), rest)


def _number(text: str) -> int | None:
    is_plain = (
        text.isascii()
        and text.isdigit()
        and (text == "0" or text[0] != "0")
        and len(text) <= len(str(MOST_SIZE))
    )
    return int(text) if is_plain else None


def _hash(line: str) -> bytes:
    found = base64.b64decode(line, validate=True)
    if len(found) != HASH_BYTES or base64.b64encode(found).decode() != line:
        raise ValueError("no hash")
    return found
