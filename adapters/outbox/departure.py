"""What may leave: nobody's records without the patient's authorisation to send them, and nobody's who could be anybody.

Spec:    docs/adapters.md, "Sending consent"; docs/decisions/0034.
Leaves:  what the table says to consent; sending to the sender.

What may not leave waits, sealed like the rest, in its patient's order. It goes when consent comes; what has not left when
consent is withdrawn stays; what has left cannot be fetched back, and is counted.
"""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from adapters.outbox.consent import ConsentTable
from adapters.outbox.identified import UNIDENTIFIED, is_identified, names_of, own_patient, unidentified
from adapters.outbox.spool import Spool
from adapters.outbox.timeliness import Timeliness
from adapters.settings import Settings
from adapters.settings.fault import SettingsError
from adapters.source_record import Mapped, Outcome
from adapters.source_record.moment import now_instant

_log = logging.getLogger("adapters.outbox")
_IDENTIFIED: Final = "identified"
_PIECE_GROUPS: Final = 500


class Departure(Timeliness, Spool):
    """The outbox as seen by the one who asks whether a record may leave."""

    def __init__(self, folder: Path, *, min_free_megabytes: int = 0) -> None:
        super().__init__(folder, min_free_megabytes=min_free_megabytes)
        self._consent_mode = "all"
        self._table: ConsentTable | None = None
        self._decided_on: date | None = None

    def obey(self, settings: Settings) -> None:
        """From now on let leave what this site's rule lets leave, and count days as this site does."""
        consent = settings.consent
        self.zone = settings.zone
        self._consent_mode = consent.mode
        self._decided_on = None
        if consent.file is not None:
            self._table = ConsentTable(consent.file, lambda name: self._seals.hash("consent name", name))
            self._read_table()

    def review_consent(self) -> None:
        """Ask again for every patient where the table changed or a day began: release, hold, count withdrawals.

        In pieces, so that nobody who accepts has to wait for long.
        """
        today = self._today()
        if self._consent_mode == "table" and not self._read_table() and self._decided_on == today:
            return
        if self._consent_mode != "table" and self._decided_on is not None:
            return
        self._decided_on = today
        with self._lock:
            groups = [row[0] for row in self._rows(
                "SELECT group_hash FROM consent UNION SELECT group_hash FROM record"
                " WHERE state IN ('pending', 'parked', 'waiting_consent')"
            )]  # fmt: skip
        for start in range(0, len(groups), _PIECE_GROUPS):
            with self._transaction():
                for group in groups[start : start + _PIECE_GROUPS]:
                    self._decide(group)
                    self._restate(group)

    def identified_since(self) -> set[int]:
        """The numbers of records that were held because nobody knew whose they were, and now it is known."""
        with self._lock:
            rows = self._rows(
                "SELECT sequence FROM record r WHERE state = 'quarantined' AND reason_code = ? AND EXISTS"
                " (SELECT 1 FROM named n WHERE n.group_hash = r.group_hash AND n.name_hash = ?)",
                UNIDENTIFIED,
                _IDENTIFIED,
            )
        return {row[0] for row in rows}

    def consents(self) -> dict[str, Any]:
        """How many patients withdrew, and how much of theirs had left before."""
        with self._lock:
            withdrawn = self._row("SELECT COUNT(*) FROM consent WHERE withdrawn_at IS NOT NULL")
            left = self._row(
                "SELECT COUNT(*) FROM record WHERE state = 'applied' AND group_hash IN"
                " (SELECT group_hash FROM consent WHERE withdrawn_at IS NOT NULL)"
            )
        return {"consent_withdrawn_patients": withdrawn[0], "consent_withdrawn_sent": left[0]}

    # --- deciding --------------------------------------------------------------------------------

    def _identified(self, outcome: Outcome, group: str) -> Outcome:
        """The outcome, held where the patient has neither document nor name, now or in what was taken before."""
        own = own_patient(outcome, self.id_key) if isinstance(outcome, Mapped) else None
        if own is None or is_identified(own.resource) or self._is_named(group):
            return outcome
        return unidentified(outcome.record)

    def _is_named(self, group: str) -> bool:
        row = self._row("SELECT 1 FROM named WHERE group_hash = ? AND name_hash = ?", group, _IDENTIFIED)
        return row is not None

    def _learn(self, mapped: Mapped, group: str) -> None:
        """Keep what a record says of its patient's names, hashed, and of his consent."""
        own = own_patient(mapped, self.id_key)
        if own is not None:
            names = [self._seals.hash("consent name", name) for name in names_of(own.resource)]
            if is_identified(own.resource):
                names.append(_IDENTIFIED)
            for name in names:
                self._run("INSERT OR IGNORE INTO named VALUES (?, ?)", group, name)
        if self._consent_mode == "source" and mapped.record.sending is not None:
            self._note_decision(group, is_allowed=mapped.record.sending)

    def _decide(self, group: str) -> bool:
        """Whether a patient's records may leave.

        1. Where the site sends everybody's, they may.
        2. Where the records say it, the last one that said something counts.
        3. Where a table says it, it is asked under every name of the patient; who has none is not in it.
        4. Whatever is not said is no.
        """
        # 1.
        if self._consent_mode == "all":
            return True
        # 3.
        if self._consent_mode == "table":
            names = [row[0] for row in self._rows("SELECT name_hash FROM named WHERE group_hash = ?", group)]
            is_allowed = self._table is not None and self._table.may_leave(names, self._today())
            self._note_decision(group, is_allowed=is_allowed)
            return is_allowed
        # 2. and 4.
        row = self._row("SELECT allowed FROM consent WHERE group_hash = ?", group)
        return bool(row and row[0])

    def _note_decision(self, group: str, *, is_allowed: bool) -> None:
        """Keep a decision, and since when a consent that there was is withdrawn."""
        known = self._row("SELECT allowed FROM consent WHERE group_hash = ?", group)
        if known is not None and bool(known[0]) == is_allowed:
            return
        is_withdrawn = known is not None and not is_allowed
        self._run(
            "INSERT OR REPLACE INTO consent VALUES (?, ?, ?)",
            group,
            int(is_allowed),
            now_instant() if is_withdrawn else None,
        )
        if is_withdrawn:
            sent = self._row("SELECT COUNT(*) FROM record WHERE group_hash = ? AND state = 'applied'", group)
            _log.warning(
                "A-331 consent to send was withdrawn: what waits stays, sent before: records=%d", sent[0]
            )

    def _restate(self, group: str) -> None:
        """Put what waits of a patient into the state that it now has: behind a bad record, without consent, or ready."""
        first = self._row(
            "SELECT MIN(sequence) FROM record WHERE group_hash = ? AND state = 'quarantined' AND parks", group
        )[0]
        self._run(
            "UPDATE record SET state = iif(sequence > ?1, 'parked', ?2) WHERE group_hash = ?3 AND is_free = 0"
            " AND state IN ('pending', 'parked', 'waiting_consent') AND state != iif(sequence > ?1, 'parked', ?2)",
            first if first is not None else 2**63 - 1,
            "pending" if self._decide(group) else "waiting_consent",
            group,
        )

    def _join_names(self, old: str, group: str) -> None:
        """Two patients are one: the names of both; where one refused, both did."""
        self._run("UPDATE OR IGNORE named SET group_hash = ? WHERE group_hash = ?", group, old)
        self._run("DELETE FROM named WHERE group_hash = ?", old)
        rows = self._rows("SELECT allowed FROM consent WHERE group_hash IN (?, ?)", group, old)
        self._run("DELETE FROM consent WHERE group_hash = ?", old)
        if rows:
            self._note_decision(group, is_allowed=all(row[0] for row in rows))

    def _read_table(self) -> bool:
        """Whether the table says something else than before; one that cannot be read leaves things as they were."""
        try:
            return self._table is not None and self._table.read_if_changed()
        except SettingsError as error:
            _log.error("%s the consent table cannot be read: nothing new leaves by it", error.faults[0].code)
            return False

    def _today(self) -> date:
        return datetime.now(UTC).astimezone(self.zone).date()
