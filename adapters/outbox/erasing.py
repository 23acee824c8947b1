"""Erasing a patient on an order: all that was taken of him goes, and what his source still says is not taken again.

Spec:    Ley 29733 (Peru), art. 20; https://www.sqlite.org/pragma.html#pragma_secure_delete; docs/adapters.md, "Erasing".
Leaves:  the source itself, which an adapter never changes, to whoever keeps it.

What stays is one keyed hash of the patient's name at this site, so that the next export does not bring him back.
"""

from __future__ import annotations

from typing import Final

from adapters.outbox.spool import Spool
from adapters.source_record import SourceRecord, keyed_name

_BY_KEY: Final = ("ledger", "told", "care")
_BY_GROUP: Final = ("record", "known_by", "version", "thing", "named", "consent", "notice")


class Erasing(Spool):
    """The outbox as seen by an order to erase."""

    def erase_patient(self, patient_id: str) -> int | None:
        """Erase a patient by the id that his Patient has on the hub; how many records went, None where there is none.

        Every record's own key is opened and named as when it was sent: the ids themselves are kept nowhere.
        """
        with self._transaction():
            rows = self._rows("SELECT group_hash, message_id, detail FROM record ORDER BY sequence")
            groups = {
                group for group, message_id, sealed in rows if self._names(message_id, sealed, patient_id)
            }
            number = self._erase(groups) if groups else None
        if groups:
            self._forget_bytes()
        return number

    def erase_group(self, group: str) -> int | None:
        """Erase the patient of a queue, of whom the hub says that his record was erased; how many records went.

        None: two patients were merged into this queue. Only a person can tell which of them was erased.
        """
        with self._transaction():
            if self._row("SELECT 1 FROM merged WHERE group_hash = ? OR into_hash = ?", group, group):
                return None
            number = self._erase({group})
        self._forget_bytes()
        return number

    def _is_erased(self, record: SourceRecord) -> bool:
        if not record.patient_key:
            return False
        name = self._seals.hash("patient", f"{record.system}|{record.patient_key}")
        return self._row("SELECT 1 FROM erased WHERE group_hash = ?", name) is not None

    def _names(self, message_id: str, sealed: bytes, patient_id: str) -> bool:
        detail = self._open_detail(message_id, sealed)
        keys = [key for key in (detail.patient_key, detail.merged_patient_key) if key]
        names = [keyed_name(self.id_key, "resource", f"{detail.system}|Patient|{key}") for key in keys]
        return any(patient_id.endswith(f"-{name}") for name in names)

    def _erase(self, groups: set[str]) -> int:
        """Remove every row of these queues, and of those that were merged into them."""
        number = 0
        for group in groups:
            merged = [
                row[0] for row in self._rows("SELECT group_hash FROM merged WHERE into_hash = ?", group)
            ]
            for name in (group, *merged):
                self._run("INSERT OR IGNORE INTO erased VALUES (?)", name)
            number += int(self._row("SELECT COUNT(*) FROM record WHERE group_hash = ?", group)[0])
            notices = self._rows("SELECT notice_group FROM notice WHERE group_hash = ?", group)
            for queue in (group, *(row[0] for row in notices)):
                self._erase_queue(queue)
            self._run("DELETE FROM merged WHERE into_hash = ?", group)
        return number

    def _erase_queue(self, group: str) -> None:
        for table in _BY_KEY:
            self._run(
                f"DELETE FROM {table} WHERE key_hash IN (SELECT key_hash FROM record WHERE group_hash = ?)",  # noqa: S608
                group,
            )
        for table in _BY_GROUP:
            self._run(f"DELETE FROM {table} WHERE group_hash = ?", group)  # noqa: S608

    def _forget_bytes(self) -> None:
        """Write the file anew without what was deleted, and empty its log."""
        with self._lock:
            self._database.execute("VACUUM")
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
