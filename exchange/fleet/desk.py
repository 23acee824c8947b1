"""The region's desk of adapters, as the spine has it: reports taken, silences noticed, everything measured.

Spec:    docs/region.md.
Leaves:  what is refused to the spine, which audits it; HTTP to rest; sending to the worker.
"""

from __future__ import annotations

import hmac
import logging
import threading
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from psycopg2 import Error as DatabaseError

from exchange.crypto.roots.private_file import read_private
from exchange.fleet.report import read_report
from exchange.fleet.silence import Due, Silence, claim, taken, watch
from exchange.fleet.state import State, states, take_report
from exchange.fleet.tally import Counts, RequestTally, all_counts
from exchange.problems import Denied, Problem, SealBroken, Unavailable
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Store

LOG: Final = logging.getLogger("exchange.fleet")
WRITE_SECONDS: Final = 10.0
FEWEST_TOKEN_LETTERS: Final = 32
MOST_COUNTED: Final = 100_000

IS_ADAPTER: Final = "SELECT is_adapter AND is_active FROM client WHERE client_id = %s"
# A head stands for every older transaction: what is behind it has no place in the tree yet.
UNSEALED: Final = """
SELECT count(*), min(u.last_updated) FROM (
  SELECT last_updated FROM audit_event
  WHERE transaction > coalesce((SELECT transaction FROM audit_checkpoint ORDER BY size DESC LIMIT 1), 0)
  ORDER BY transaction LIMIT %(limit)s) u"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the metrics tell. `unsealed` counts to 100 000; `sealing_lag_seconds` is the oldest such event's age."""

    now: int
    adapters: tuple[State, ...]
    unsealed: int
    sealing_lag_seconds: float
    requests: Counts


class Fleet:
    """The adapters of one hub; each step is a transaction of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.tally = RequestTally()
        self._metrics_digest: bytes | None = None

    def report(self, requester: Requester, text: bytes) -> bool:
        """Take an adapter's report of itself; False where a newer one is there.

        Raises: Denied - it is no adapter that asks, or a person through it; TooCostly, Malformed - see report.
        """
        # 1. A system by itself. Whose report it is, the token says, and nothing in the report.
        if requester.user is not None or requester.role != "system" or requester.context != "system":
            raise Denied(
                "an adapter reports by itself, for nobody", reason="report of an adapter by a person"
            )
        # 2. What it says, each element by itself.
        report = read_report(text)
        with self._store.transaction() as transaction:
            # 3. Registered as an adapter.
            rows = transaction.rows(IS_ADAPTER, (requester.client_id,))
            if not rows or not rows[0][0]:
                raise Denied("this client is not registered as an adapter", reason="no adapter")
            # 4. Kept, unless a newer one is.
            is_taken = take_report(transaction, requester.client_id, report)
            transaction.commit()
        return is_taken

    @property
    def has_metrics(self) -> bool:
        """Whether the operators set a token for the metrics."""
        return settings().metrics_token_file is not None

    def is_metrics_token(self, token: str) -> bool:
        """Whether a token is the one that the operators set. Raises: Unavailable - its file cannot be read."""
        if self._metrics_digest is None:
            self._metrics_digest = sha256(_metrics_token()).digest()
        return hmac.compare_digest(sha256(token.encode()).digest(), self._metrics_digest)

    def count_until(self, stopped: threading.Event, pause_seconds: float = WRITE_SECONDS) -> None:
        """Write this process's counts again and again, and once more at the end."""
        is_last = False
        while not is_last:
            is_last = stopped.wait(pause_seconds)
            try:
                with self._store.transaction() as transaction:
                    self.tally.write(transaction)
                    transaction.commit()
            except (Problem, DatabaseError) as problem:
                LOG.warning("W-620 counted requests were not written: %s", type(problem).__name__)

    def watch(self, *, is_told: bool) -> tuple[list[Silence], list[Silence]]:
        """Who has fallen silent since the last look, and whose silence is over."""
        with self._store.transaction() as transaction:
            found = watch(transaction, is_told=is_told)
            transaction.commit()
        return found

    def claim(self) -> list[Due]:
        """Notices that are to be sent now."""
        with self._store.transaction() as transaction:
            found = claim(transaction)
            transaction.commit()
        return found

    def taken(self, due: Due) -> None:
        """A notice arrived."""
        with self._store.transaction() as transaction:
            taken(transaction, due)
            transaction.commit()

    def measured(self) -> Measured:
        """Everything that operators measure, as it is now."""
        with self._store.transaction() as transaction:
            self.tally.write(transaction)
            unsealed, oldest = transaction.rows(UNSEALED, {"limit": MOST_COUNTED})[0]
            lag = max(0.0, (transaction.now - oldest) / 1_000_000) if oldest else 0.0
            found = Measured(
                transaction.now, tuple(states(transaction)), unsealed, lag, all_counts(transaction)
            )
            transaction.commit()
        return found


def _metrics_token() -> bytes:
    """The operators' token. Raises: Unavailable - it cannot be read, or could be guessed."""
    path = settings().metrics_token_file
    assert path is not None
    try:
        token = read_private(path, "the token of the metrics").strip()
    except SealBroken as problem:
        LOG.error("E-621 the token of the metrics cannot be read: nobody gets them")  # noqa: TRY400
        raise Unavailable("the metrics cannot be had now") from problem
    if len(token) < FEWEST_TOKEN_LETTERS:
        LOG.error("E-622 the token of the metrics is shorter than 32 characters: nobody gets them")
        raise Unavailable("the metrics cannot be had now")
    return token.encode()
