"""Whose history at the hub lacks something that waits here, and whether the hub was told so.

Spec:    docs/adapters.md, "History incomplete".
Leaves:  how it is told to the cycle.

It is told outside of the patient's own queue, which is what stands still.
"""

from __future__ import annotations

from collections.abc import Callable

from adapters.outbox.accepting import Accepting
from adapters.source_record import Mapped

Notice = Callable[[str, str, str | None], tuple[str, Mapped]]
"""Of patient key, since when, and until when: the URL of the Patient, and what the hub is told."""


class Incomplete(Accepting):
    """The outbox as seen by those who read the record at the hub."""

    def refresh_notices(self, make: Notice, now: str) -> int:
        """Queue what is to be told anew; how many notices.

        1. A patient with a record that holds up others, whose consent lets records leave, and whom the hub knows.
        2. Who was told of and is no longer held: the notice ends.
        """
        with self._transaction():
            held = {group: self._held_since(group) for group in self._held_groups()}
            count = 0
            # 1.
            for group, (since, key) in held.items():
                row = self._row("SELECT since FROM notice WHERE group_hash = ? AND is_active", group)
                if not key or (row and row[0] == since) or not self._decide(group):
                    continue
                url, mapped = make(key, since, None)
                if self._row(
                    "SELECT 1 FROM version WHERE resource_hash = ?", self._seals.hash("version", url)
                ):
                    count += self._tell(group, key, since, mapped, is_active=True)
            # 2.
            for notice_group, group, sealed, since in self._rows(
                "SELECT notice_group, group_hash, patient, since FROM notice WHERE is_active"
            ):
                if group not in held and self._decide(group):
                    key = self._seals.open(notice_group, "notice", sealed).decode()
                    count += self._tell(group, key, since, make(key, since, now)[1], is_active=False)
        return count

    def _held_groups(self) -> list[str]:
        rows = self._rows("SELECT DISTINCT group_hash FROM record WHERE state = 'quarantined' AND parks")
        return [row[0] for row in rows]

    def _held_since(self, group: str) -> tuple[str, str]:
        """When the oldest held record came, and the patient's key in it."""
        message_id, received_at, sealed = self._row(
            "SELECT message_id, received_at, detail FROM record WHERE group_hash = ? AND (state = 'parked'"
            " OR (state = 'quarantined' AND parks)) ORDER BY sequence LIMIT 1",
            group,
        )
        return received_at, self._open_detail(message_id, sealed).patient_key

    def _tell(self, group: str, key: str, since: str, mapped: Mapped, *, is_active: bool) -> bool:
        notice_group = self._seals.hash("patient", f"{mapped.record.system}|{mapped.record.natural_key}")
        sealed = self._seals.seal(notice_group, "notice", key.encode())
        self._run(
            "INSERT OR REPLACE INTO notice VALUES (?, ?, ?, ?, ?)",
            notice_group,
            group,
            int(is_active),
            since,
            sealed,
        )
        return self._take_free(mapped, notice_group)
