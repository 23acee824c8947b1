"""The tables of the outbox: states and keyed hashes in the open, everything else sealed.

Spec:    docs/adapters.md, "Outbox".
Leaves:  what the rows mean to the package.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS record (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id TEXT NOT NULL UNIQUE,
  key_hash TEXT NOT NULL,
  group_hash TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending','applied','quarantined','parked','waiting_consent',
    'discarded')),
  parks INTEGER NOT NULL DEFAULT 0,
  reason_class TEXT, reason_code TEXT,
  received_at TEXT NOT NULL, applied_at TEXT, hub_version TEXT, states_all INTEGER NOT NULL DEFAULT 0,
  is_free INTEGER NOT NULL DEFAULT 0,
  detail BLOB NOT NULL, original BLOB, payload BLOB, corrected BLOB, decision BLOB
);
CREATE INDEX IF NOT EXISTS record_by_state ON record (state, sequence);
CREATE INDEX IF NOT EXISTS record_by_group ON record (group_hash, state, sequence);
CREATE INDEX IF NOT EXISTS record_by_key ON record (key_hash, state);
CREATE INDEX IF NOT EXISTS record_kept ON record (applied_at) WHERE state = 'applied' AND original IS NOT NULL;
CREATE TABLE IF NOT EXISTS ledger (
  key_hash TEXT PRIMARY KEY, content_hash TEXT NOT NULL, source_time TEXT, stated_at TEXT,
  revision INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (path_hash TEXT PRIMARY KEY, stamp TEXT NOT NULL, content_hash TEXT NOT NULL)
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS thing (thing_hash TEXT PRIMARY KEY, group_hash TEXT NOT NULL, owner BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoint (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS merged (group_hash TEXT PRIMARY KEY, into_hash TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased (group_hash TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known_by (
  resource_hash TEXT NOT NULL, key_hash TEXT NOT NULL, group_hash TEXT NOT NULL,
  PRIMARY KEY (resource_hash, key_hash)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS known_by_key ON known_by (key_hash) WHERE key_hash != '';
CREATE TABLE IF NOT EXISTS version (
  resource_hash TEXT PRIMARY KEY, etag TEXT NOT NULL, content_mark TEXT NOT NULL, group_hash TEXT NOT NULL,
  sequence INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (key_hash TEXT PRIMARY KEY, items BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unmapped (
  code_table TEXT NOT NULL, code TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (code_table, code)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS site (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS care (
  resource_hash TEXT PRIMARY KEY, key_hash TEXT NOT NULL, closed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS care_by_key ON care (key_hash) WHERE closed_at > 0;
CREATE TABLE IF NOT EXISTS sent_day (
  day TEXT PRIMARY KEY, on_time INTEGER NOT NULL, late INTEGER NOT NULL, worst_seconds INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS named (
  group_hash TEXT NOT NULL, name_hash TEXT NOT NULL, PRIMARY KEY (group_hash, name_hash)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consent (
  group_hash TEXT PRIMARY KEY, allowed INTEGER NOT NULL, withdrawn_at TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notice (
  notice_group TEXT PRIMARY KEY, group_hash TEXT NOT NULL, is_active INTEGER NOT NULL, since TEXT NOT NULL,
  patient BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS notice_by_group ON notice (group_hash);
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
"""
