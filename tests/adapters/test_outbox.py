"""What was accepted is durable, sealed, ordered per patient and taken once."""

import dataclasses
import json
import sqlite3
import stat
from decimal import Decimal

import pytest

from adapters.outbox import Outbox
from adapters.outbox.sealing import IdKeyLost, OutboxDamaged, OutboxFull
from adapters.source_record import Entry, Mapped, Refusal, Refused
from adapters.source_record.bundle import finish
from tests.adapters.conftest import ORIGIN, a_mapped, a_record


def refusal(**more):
    return Refusal("mapping", "A-999", "No se entiende.", **more)


def test_a_record_is_taken_once(outbox):
    assert outbox.accept([a_mapped(), a_mapped()]) == ["new", "duplicate"]
    assert outbox.pending() == 1


def test_a_restated_record_with_other_content_is_taken_again(outbox):
    assert outbox.accept([a_mapped(text="a"), a_mapped(text="b"), a_mapped(text="a")]) == ["new"] * 3
    assert outbox.pending() == 3


def test_an_older_version_does_not_follow_a_newer_one(outbox):
    new = a_mapped(text="b", source_time="2026-02-01T00:00:00-05:00")
    old = a_mapped(text="a", source_time="2026-01-01T00:00:00-05:00")
    assert outbox.accept([new, old]) == ["new", "stale"]


def test_order_is_kept_per_patient_and_patients_are_apart(outbox):
    outbox.accept([a_mapped("1", "p1"), a_mapped("2", "p2"), a_mapped("3", "p1")])
    groups = outbox.waiting_groups(10)
    assert [len(outbox.batch(group, 10)) for group in groups] == [2, 1]
    assert outbox.waiting_groups(10, busy=groups[:1]) == groups[1:]


def test_a_refused_record_that_parks_holds_its_patient_only(outbox):
    bad = Refused(a_record("1", "p1"), refusal(parks=True))
    outbox.accept([bad, a_mapped("2", "p1"), a_mapped("3", "p2")])
    status = outbox.status()
    assert (status["quarantined"], status["parked"], status["pending"]) == (1, 1, 1)
    number = outbox.quarantined()[0]["number"]
    assert outbox.discard(number)
    assert outbox.status()["pending"] == 2
    assert outbox.original(number) is None


def test_a_hub_refusal_parks_what_follows_and_a_retry_frees_it(outbox):
    outbox.accept([a_mapped("1"), a_mapped("2")])
    first = outbox.batch(outbox.waiting_groups(1)[0], 1)[0]
    outbox.quarantine(first, Refusal("validation", "A-311", "Rechazado.", parks=True))
    assert outbox.status()["parked"] == 1
    assert outbox.source_record(first.sequence).natural_key == "1"
    assert outbox.requeue(first.sequence, a_mapped("1"))
    assert [item.sequence for item in outbox.batch(first.group, 9)] == [1, 2]


def test_a_corrected_record_replaces_its_quarantined_self(outbox):
    outbox.accept([Refused(a_record("1", content=b"bad"), refusal(parks=True)), a_mapped("2")])
    outbox.accept([a_mapped("1", text="good")])
    status = outbox.status()
    assert (status["quarantined"], status["parked"], status["discarded"], status["pending"]) == (0, 0, 1, 2)


def test_a_merge_joins_two_queues(outbox):
    outbox.accept(
        [a_mapped("1", "old"), a_mapped("2", "new"), a_mapped("3", "new", merged_patient_key="old")]
    )
    outbox.accept([a_mapped("4", "old")])
    assert [len(outbox.batch(group, 9)) for group in outbox.waiting_groups(9)] == [4]


def test_nothing_readable_is_in_the_files(outbox, tmp_path):
    secret = "QUISPE MAMANI 40123456"
    outbox.accept(
        [
            a_mapped(secret, secret, secret),
            Refused(a_record("x" + secret, secret, secret.encode()), refusal()),
        ]
    )
    for path in (tmp_path / "data").iterdir():
        content = path.read_bytes()
        assert b"QUISPE" not in content
        assert b"40123456" not in content


def test_files_belong_to_their_owner_only(outbox, tmp_path):
    outbox.accept([a_mapped()])
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    for path in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_a_moved_or_altered_row_does_not_open(outbox, tmp_path):
    outbox.accept([a_mapped("1"), a_mapped("2", text="other")])
    other = sqlite3.connect(tmp_path / "data" / "outbox.sqlite")
    other.execute(
        "UPDATE record SET payload = (SELECT payload FROM record WHERE sequence = 2) WHERE sequence = 1"
    )
    other.commit()
    other.close()
    with pytest.raises(OutboxDamaged):
        outbox.batch(outbox.waiting_groups(1)[0], 9)


def test_a_database_without_its_key_is_not_taken_over(outbox, tmp_path):
    outbox.accept([a_mapped()])
    (tmp_path / "data" / "outbox.key").unlink()
    with pytest.raises(OutboxDamaged):
        Outbox(tmp_path / "data")


def test_a_full_disk_takes_nothing(outbox):
    pages = outbox._database.execute("PRAGMA page_count").fetchone()[0]
    outbox._database.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(OutboxFull):
        outbox.accept([a_mapped(str(n), text="x" * 5000) for n in range(50)])
    assert outbox.status()["pending"] == 0
    outbox._database.execute("PRAGMA max_page_count = 100000")
    assert outbox.accept([a_mapped()]) == ["new"]


def test_too_little_room_takes_nothing(tmp_path):
    box = Outbox(tmp_path / "data", min_free_megabytes=10**9)
    with pytest.raises(OutboxFull):
        box.accept([a_mapped()])
    box.close()


def test_what_was_accepted_outlives_the_process(tmp_path):
    first = Outbox(tmp_path / "data")
    first.accept([a_mapped()])
    first.close()
    second = Outbox(tmp_path / "data")
    assert second.pending() == 1
    assert second.accept([a_mapped()]) == ["duplicate"]
    second.close()


def test_the_key_of_ids_is_made_once_and_stays(tmp_path):
    first = Outbox(tmp_path / "data")
    first.close()
    second = Outbox(tmp_path / "data")
    second.close()
    assert len(first.id_key) == 32
    assert first.id_key == second.id_key == (tmp_path / "data" / "ids.key").read_bytes()
    assert stat.S_IMODE((tmp_path / "data" / "ids.key").stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "data").glob("*.key*")} == {"outbox.key", "ids.key"}


@pytest.mark.parametrize("put", [None, bytes(32)])
def test_a_new_key_of_ids_is_refused_once_records_were_taken(outbox, tmp_path, put):
    outbox.accept([a_mapped()])
    path = tmp_path / "data" / "ids.key"
    kept = path.read_bytes()
    path.unlink()
    if put:
        path.write_bytes(put)
    with pytest.raises(IdKeyLost):
        Outbox(tmp_path / "data")
    assert path.exists() == bool(put)
    path.write_bytes(kept)
    again = Outbox(tmp_path / "data")
    assert again.accept([a_mapped()]) == ["duplicate"]
    again.close()


def test_a_key_of_ids_from_a_backup_may_come_before_the_first_record(tmp_path):
    Outbox(tmp_path / "data").close()
    (tmp_path / "data" / "ids.key").write_bytes(bytes(32))
    box = Outbox(tmp_path / "data")
    assert box.id_key == bytes(32)
    box.accept([a_mapped()])
    box.close()
    Outbox(tmp_path / "data").close()


def test_half_a_key_of_ids_is_no_key(tmp_path):
    Outbox(tmp_path / "data").close()
    (tmp_path / "data" / "ids.key").write_bytes(b"short")
    with pytest.raises(OutboxDamaged):
        Outbox(tmp_path / "data")


def test_no_statement_walks_through_everything(outbox):
    """Each statement of accepting, sending and settling finds its rows by an index, however many there are."""
    statements = []
    outbox._database.set_trace_callback(statements.append)
    outbox.accept([a_visit("a", "b"), a_visit("a"), a_mapped()])
    sent(outbox)
    outbox._database.set_trace_callback(None)
    walks = {
        statement
        for statement in statements
        if statement.startswith(("SELECT", "UPDATE", "DELETE"))
        for row in outbox._database.execute(f"EXPLAIN QUERY PLAN {statement}")
        if row[3].startswith("SCAN") or "rowid<" in row[3]
    }
    assert {walk for walk in walks if "GROUP BY group_hash" not in walk} == set()
    assert len(statements) > 40


# --- what a restated record no longer says ----------------------------------------------------------


def a_visit(*items, key="v1", text=None, **more):
    """A record that states all of its visit, one Observation for each item."""
    content = text or ",".join(items)
    record = a_record(key, content=content.encode(), states_all=True, **more)
    entries = [
        Entry(
            {
                "resourceType": "Observation",
                "id": ORIGIN.resource_id("Observation", f"{key}|{item}"),
                "status": "final",
                "valueQuantity": {"value": Decimal("1.50")},
            }
        )
        for item in items
    ]
    return finish(ORIGIN, record, entries)


def url_of(item, key="v1"):
    return "Observation/" + ORIGIN.resource_id("Observation", f"{key}|{item}")


def sent(outbox):
    """Everything that waits, as (url, status), in order; it is then taken for applied."""
    found = []
    for group in outbox.waiting_groups(9):
        records = outbox.batch(group, 99)
        found += [
            {
                item.url: json.loads(bytes(item.resource))["status"]
                for item in record.entries
                if item.url.startswith("Observation/")
            }
            for record in records
        ]
        outbox.mark_applied(records, {item.url: 'W/"1"' for record in records for item in record.entries})
    return found


def test_what_was_applied_and_is_no_longer_said_is_withdrawn(outbox):
    outbox.accept([a_visit("a", "b")])
    sent(outbox)
    outbox.accept([a_visit("a")])
    assert sent(outbox) == [{url_of("a"): "final", url_of("b"): "entered-in-error"}]
    outbox.accept([a_visit("a", text="a once more")])
    assert sent(outbox) == [{url_of("a"): "final"}]


def test_what_still_waits_to_be_applied_counts_too(outbox):
    outbox.accept([a_visit("a", "b"), a_visit("a"), a_visit("c")])
    assert sent(outbox) == [
        {url_of("a"): "final", url_of("b"): "final"},
        {url_of("a"): "final", url_of("b"): "entered-in-error"},
        {url_of("c"): "final", url_of("a"): "entered-in-error"},
    ]


def test_a_withdrawal_that_the_hub_refused_is_made_again(outbox):
    outbox.accept([a_visit("a", "b")])
    sent(outbox)
    outbox.accept([a_visit("a")])
    record = outbox.batch(outbox.waiting_groups(1)[0], 1)[0]
    outbox.quarantine(record, Refusal("validation", "A-311", "Rechazado.", parks=True))
    outbox.accept([a_visit("a", text="corrected")])
    assert sent(outbox) == [{url_of("a"): "final", url_of("b"): "entered-in-error"}]


def test_what_the_hub_never_took_is_not_withdrawn(outbox):
    outbox.accept([a_visit("a", "b")])
    record = outbox.batch(outbox.waiting_groups(1)[0], 1)[0]
    outbox.quarantine(record, Refusal("validation", "A-311", "Rechazado.", parks=True))
    outbox.accept([a_visit("a")])
    assert sent(outbox) == [{url_of("a"): "final"}]


def test_a_record_that_does_not_state_all_withdraws_nothing(outbox):
    outbox.accept([a_visit("a", "b")])
    sent(outbox)
    partial = a_visit("a")
    outbox.accept([Mapped(dataclasses.replace(partial.record, states_all=False), partial.entries)])
    assert sent(outbox) == [{url_of("a"): "final"}]
    outbox.accept([a_visit("a", text="whole again")])
    assert sent(outbox) == [{url_of("a"): "final", url_of("b"): "entered-in-error"}]


def test_a_withdrawal_keeps_every_digit_and_is_the_same_bytes_again(outbox, tmp_path):
    outbox.accept([a_visit("a", "b")])
    sent(outbox)
    outbox.accept([a_visit("a")])
    first = outbox.batch(outbox.waiting_groups(1)[0], 1)
    box = Outbox(tmp_path / "data")
    assert box.batch(box.waiting_groups(1)[0], 1) == first
    box.close()
    assert b"1.50" in next(bytes(item.resource) for item in first[0].entries if item.url == url_of("b"))


def test_the_later_of_two_exports_is_the_newer_one(outbox):
    def said(source_day, exported_day):
        return a_visit(
            "a",
            text=f"{source_day} {exported_day}",
            source_time=f"2026-01-{source_day}T00:00:00-05:00",
            stated_at=f"2026-02-{exported_day}T00:00:00Z",
        )

    assert outbox.accept([said("10", "10")]) == ["new"]
    assert outbox.accept([said("09", "09"), said("11", "09"), said("09", "10")]) == ["stale"] * 3
    assert outbox.accept([said("09", "11"), said("12", "11")]) == ["new"] * 2


def test_moments_of_different_zones_are_compared_as_moments(outbox):
    new = a_mapped(text="b", source_time="2026-01-01T22:00:00-05:00")
    old = a_mapped(text="a", source_time="2026-01-02T01:00:00Z")
    assert outbox.accept([new, old]) == ["new", "stale"]


def test_a_checkpoint_is_there_with_its_records_or_not_at_all(outbox, monkeypatch):
    outbox.accept([a_mapped("1")], {"read": "10"})
    assert outbox.checkpoint("read") == "10"

    def broken(*_):
        raise RuntimeError

    monkeypatch.setattr(outbox, "_keep_owner", broken)
    with pytest.raises(RuntimeError):
        outbox.accept([a_mapped("2", text="other")], {"read": "20"})
    assert outbox.checkpoint("read") == "10"
    assert outbox.pending() == 1


def test_the_owner_of_a_thing_is_known_until_the_patient_is_erased(outbox):
    secret = "dni|40123456"
    outbox.accept([a_mapped("1", secret, thing_key="visita|1")])
    assert outbox.owner("his", "visita|1") == secret
    assert outbox.owner("otro", "visita|1") is None
    outbox.accept([a_mapped("2", "p2", thing_key="visita|1")])
    assert outbox.owner("his", "visita|1") == "p2"
    group = outbox.batch(outbox.waiting_groups(9)[1], 9)[0].group
    outbox.erase_group(group)
    assert outbox.owner("his", "visita|1") is None
    content = b"".join(path.read_bytes() for path in outbox._folder.iterdir())
    assert secret.encode() not in content
