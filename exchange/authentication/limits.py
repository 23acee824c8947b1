"""How often a caller may ask, and for how many different people: limits for each client, user and address.

Spec:    RFC 6585, 4 (429); docs/clients.md
Leaves:  who asks to bearer_token; telling the caller to the doors.

Rates are held in each process: a process has its share of a limit, so that no request waits for a count in the database.
Different values that a search names are counted in the database, by hour: what is repeated is free.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from exchange.authentication.searched_values import searched_values
from exchange.problems import Throttled
from exchange.request import Request
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Store

MOST_BUCKETS: Final = 20_000
HOUR_SECONDS: Final = 3_600
MINUTE_SECONDS: Final = 60.0
MOST_VALUES_KNOWN: Final = 50_000
ENROLMENTS_OF_ALL: Final = 10

HELD: Final = """
SELECT count(*), count(*) FILTER (WHERE value = ANY(%(values)s::bigint[])) FROM searched_value
WHERE hour = %(hour)s AND asker = %(asker)s"""
NOTE: Final = """
SET LOCAL synchronous_commit TO off;
INSERT INTO searched_value (hour, asker, value) SELECT %(hour)s, %(asker)s, unnest(%(values)s::bigint[])
ON CONFLICT DO NOTHING"""
FORGET: Final = "DELETE FROM searched_value WHERE hour < %(hour)s"


class Rates:
    """Token buckets of one process: each holds a minute's share at most, and fills evenly."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, name: str, per_minute: float) -> None:
        """Take one from a bucket. Raises: Throttled - it is empty."""
        now = time.monotonic()
        with self._lock:
            held, at = self._buckets.get(name, (per_minute, now))
            held = min(per_minute, held + (now - at) * per_minute / MINUTE_SECONDS)
            if held >= 1:
                if len(self._buckets) >= MOST_BUCKETS and name not in self._buckets:
                    self._drop_full(now)
                self._buckets[name] = (held - 1, now)
                return
        wait_seconds = math.ceil((1 - held) * MINUTE_SECONDS / per_minute)
        raise Throttled("this caller asks more often than it may; wait a little", wait_seconds)

    def _drop_full(self, now: float) -> None:
        """Forget whoever has not asked for a minute: their buckets are full again."""
        self._buckets = {
            name: (held, at) for name, (held, at) in self._buckets.items() if now - at < MINUTE_SECONDS
        }
        if len(self._buckets) >= MOST_BUCKETS:
            self._buckets.clear()


class Limits:
    """The limits of one process's callers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rates = Rates()
        self._known: set[tuple[int, int]] = set()
        self._hour = 0

    def request(self, requester: Requester) -> None:
        """Count a request. Raises: Throttled."""
        chosen = settings()
        if requester.user is None:
            self._take("client", requester.client_id, _own(requester, chosen.requests_per_minute))
        else:
            self._take("user", _asker(requester), chosen.user_requests_per_minute)
            self._take("client", requester.client_id, _own(requester, chosen.requests_per_minute))

    def token_request(self, address: str) -> None:
        """Count a request for a token, by whoever. Raises: Throttled."""
        self._take("address", address, settings().token_requests_per_minute)

    def enrolment(self, address: str) -> None:
        """Count a try to enrol, by its address and among all. Raises: Throttled."""
        limit = settings().enrolments_per_minute
        self._take("enrolment of", address, limit)
        self._take("enrolment", "", ENROLMENTS_OF_ALL * limit)

    def token(self, requester: Requester) -> None:
        """Count a token that a proven client asks for. Raises: Throttled."""
        self._take("token", _asker(requester), settings().client_tokens_per_minute)

    def search(self, request: Request, requester: Requester) -> None:
        """Count the different identifiers and demographics that a search names. Raises: Throttled.

        1. Nothing is named, or no limit is set: nothing to do. 2. What this process has seen this hour is free. 3. So is
        what the database has seen; what is new has to find room below the limit. 4. Note it, however the search ends.
        """
        # 1.
        chosen = settings()
        limit = chosen.user_distinct_values_per_hour if requester.user else chosen.distinct_values_per_hour
        named = searched_values(request) if limit else ()
        if not named:
            return
        # 2.
        hour = int(time.time()) // HOUR_SECONDS
        is_new_hour = hour != self._hour
        if is_new_hour or len(self._known) >= MOST_VALUES_KNOWN:
            self._known, self._hour = set(), hour
        blind = self._store.crypto.blind_index
        asker = blind.value(f"asker|{_asker(requester)}")
        values = {blind.value(f"searched|{each}") for each in named}
        if all((asker, each) in self._known for each in values):
            return
        # 3.
        told = {"hour": hour, "asker": asker, "values": sorted(values)}
        with self._store.transaction() as transaction:
            if is_new_hour:
                transaction.run(FORGET, told)
            total, known = transaction.rows(HELD, told)[0]
            if total + len(values) - known > limit:
                wait_seconds = HOUR_SECONDS - int(time.time()) % HOUR_SECONDS
                raise Throttled("this caller has looked for more people than it may in an hour", wait_seconds)
            # 4.
            transaction.run(NOTE, told)
            transaction.commit()
        self._known.update((asker, each) for each in values)

    def _take(self, kind: str, name: str, per_minute: int) -> None:
        if per_minute:
            self._rates.take(f"{kind}|{name}", max(1.0, per_minute / settings().workers))


def _own(requester: Requester, otherwise: int) -> int:
    """The limit of a client's registration, where it has one of its own."""
    return otherwise if requester.requests_per_minute is None else requester.requests_per_minute


def _asker(requester: Requester) -> str:
    return f"{requester.client_id}|{requester.user.id}" if requester.user else requester.client_id
