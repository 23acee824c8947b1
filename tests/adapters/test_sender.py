"""Everything arrives exactly once, in order, whatever the hub does."""

import logging
import threading
import time

import pytest

from adapters.sender import REMEDIES, Retry, Sender
from adapters.sender.client_key import ClientKeyMissing, make_client_key, read_client_key
from adapters.sender.hub import HubClient
from adapters.source_record import Entry
from adapters.source_record.bundle import finish
from tests.adapters.conftest import ORIGIN, a_mapped, a_record


def run(sender):
    sender.run(threading.Event(), until_empty=True)


def basic(key):
    return "Basic/" + ORIGIN.resource_id("Basic", key)


def test_everything_is_delivered_once_and_in_order(outbox, sender, hub):
    outbox.accept([a_mapped(f"{n}", f"p{n % 7}") for n in range(60)])
    run(sender)
    assert len(hub.of_type("Basic")) == 60
    assert hub.written_more_than_once() == []
    assert outbox.status()["applied"] == 60
    order = [url for transaction in hub.transactions for url in transaction["urls"]]
    for patient in range(7):
        urls = [basic(str(n)) for n in range(60) if n % 7 == patient]
        assert sorted(urls, key=order.index) == urls
    assert hub.token_requests == 1


def test_versions_of_one_resource_travel_apart(outbox, sender, hub):
    outbox.accept([a_mapped(text=text) for text in ("a", "b", "c")])
    run(sender)
    assert [item["code"]["text"] for item in hub.resources[basic("1")]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "action", ["503", "500", "429", "409", "412", "404", "502", "html", "drop", "refuse"]
)
def test_trouble_on_the_way_never_loses_doubles_or_quarantines(outbox, sender, hub, action):
    hub.next_actions.extend([action] * 3)
    outbox.accept([a_mapped(f"{n}", f"p{n % 3}") for n in range(9)])
    run(sender)
    status = outbox.status()
    assert (status["applied"], status["quarantined"], status["parked"]) == (9, 0, 0)
    assert hub.written_more_than_once() == []


def test_a_hanging_hub_is_given_up_and_asked_again(outbox, hub, tmp_path):
    key = make_client_key(tmp_path / "data")
    hub.register("prueba", key.public_jwk)
    client = HubClient(hub.url, "prueba", key, scope="s", timeout_seconds=0.3)
    hub.next_actions.append("hang")
    outbox.accept([a_mapped()])
    run(Sender(outbox, client, retry=Retry(0.01, 0.05), workers=2, batch_records=5))
    client.close()
    assert hub.attempts == 2
    assert hub.written_more_than_once() == []


def test_what_is_applied_after_everybody_gave_up_overwrites_nothing_newer(outbox, hub, tmp_path):
    key = make_client_key(tmp_path / "data")
    hub.register("prueba", key.public_jwk)
    hub.hang_seconds = 1.0
    client = HubClient(hub.url, "prueba", key, scope="s", timeout_seconds=0.2)
    sender = Sender(outbox, client, retry=Retry(0.01, 0.05), workers=2, batch_records=5)
    for text in ("a", "b", "c", "d"):
        hub.next_actions.append("hang")
        outbox.accept([a_mapped(text=text)])
        run(sender)
    time.sleep(1.2)
    client.close()
    assert [item["code"]["text"] for item in hub.resources[basic("1")]] == ["a", "b", "c", "d"]


def test_what_was_applied_unheard_is_known_again(outbox, sender, hub):
    for text in ("a", "b", "b again"):
        hub.next_actions.append("drop")
        outbox.accept([a_mapped(text=text)])
        run(sender)
    assert [item["code"]["text"] for item in hub.resources[basic("1")]] == ["a", "b", "b again"]
    assert outbox.status()["applied"] == 3


def test_a_new_outbox_writes_over_what_the_hub_holds(outbox, sender, hub):
    hub.resources[basic("1")] = [{"resourceType": "Basic", "version": n} for n in range(5)]
    outbox.accept([a_mapped(str(n), "p1") for n in range(4)])
    run(sender)
    assert outbox.status()["applied"] == 4
    assert hub.resources[basic("1")][-1]["code"]["text"] == "content"
    outbox.accept([a_mapped("1", "p1", "later")])
    attempts = hub.attempts
    run(sender)
    assert hub.attempts == attempts + 1
    assert hub.resources[basic("1")][-1]["code"]["text"] == "later"


def test_retry_after_is_honoured(outbox, sender, hub):
    hub.retry_after = "0.4"
    hub.next_actions.append("503")
    outbox.accept([a_mapped()])
    stop = threading.Event()
    threading.Timer(0.25, stop.set).start()
    sender.run(stop, until_empty=True)
    assert hub.attempts == 1
    run(sender)
    assert outbox.status()["applied"] == 1


def test_a_refused_record_is_found_and_parks_its_patient_only(outbox, sender, hub):
    hub.refuse_ids.add(ORIGIN.resource_id("Basic", "2"))
    outbox.accept([a_mapped(str(n), "p1") for n in range(5)] + [a_mapped("9", "p2")])
    run(sender)
    status = outbox.status()
    assert (status["applied"], status["quarantined"], status["parked"]) == (3, 1, 2)
    quarantined = outbox.quarantined()[0]
    assert (quarantined["reason_class"], quarantined["code"]) == ("validation", "A-311")
    hub.refuse_ids.clear()
    assert outbox.requeue(quarantined["number"], a_mapped("2", "p1"))
    run(sender)
    assert outbox.status()["applied"] == 6
    assert hub.written_more_than_once() == []


def bar(hub, code):
    """Make the hub refuse the adapter, not a record; how to let it in again."""
    if code == "A-304":
        jwks = dict(hub.jwks)
        hub.jwks.clear()
        return lambda: hub.jwks.update(jwks)
    if code == "A-305":
        hub.refuse_tokens = True
        return lambda: setattr(hub, "refuse_tokens", False)
    if code == "A-307":
        hub.granted_scope = "system/Patient.r"
        return lambda: setattr(hub, "granted_scope", None)
    hub.unscoped_types.add("Basic")
    return hub.unscoped_types.clear


BARRED = ["A-304", "A-305", "A-307", "A-313"]


@pytest.mark.parametrize("code", BARRED)
def test_a_hub_that_does_not_let_the_adapter_in_stops_it_and_blames_no_record(
    outbox, sender, hub, caplog, code
):
    outbox.accept([a_mapped(f"{n}", f"p{n % 5}") for n in range(20)])
    let_in = bar(hub, code)
    run(sender)  # ends although everything still waits
    status = outbox.status()
    assert (status["pending"], status["quarantined"], status["parked"]) == (20, 0, 0)
    assert sender.barred == status["trouble"] == code
    assert f"{code} {REMEDIES[code]}" in caplog.text
    let_in()
    time.sleep(0.06)
    run(sender)
    status = outbox.status()
    assert (status["applied"], status["quarantined"], status["trouble"]) == (20, 0, None)
    assert hub.written_more_than_once() == []


@pytest.mark.parametrize("code", BARRED)
def test_what_bars_the_adapter_is_asked_again_slowly(outbox, client, hub, code):
    outbox.accept([a_mapped(f"{n}", f"p{n}") for n in range(20)])
    bar(hub, code)
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    Sender(outbox, client, retry=Retry(0.001, 0.4), workers=3, batch_records=5).run(stop)
    # At first each worker may find out; then one patient in each pause, of 0.2 to 0.4 s.
    assert hub.attempts + hub.token_requests <= 3 * 3 + 5 * 4
    assert outbox.pending() == 20


def test_a_single_token_that_ended_early_is_renewed_and_nothing_stops(outbox, sender, hub):
    hub.next_actions.append("401")
    outbox.accept([a_mapped(f"{n}", f"p{n}") for n in range(3)])
    run(sender)
    assert (outbox.status()["applied"], sender.barred) == (3, "")


def test_a_type_without_scope_stops_all_while_others_could_go(outbox, sender, hub):
    hub.unscoped_types.add("Flag")
    record = a_record("flag", "p9")
    flag = {"resourceType": "Flag", "id": ORIGIN.resource_id("Flag", "flag")}
    outbox.accept([finish(ORIGIN, record, [Entry(flag)])])
    outbox.accept([a_mapped(f"{n}", f"p{n}") for n in range(3)])
    run(sender)
    assert outbox.status()["quarantined"] == 0
    assert outbox.status()["pending"] >= 1
    assert sender.barred == "A-313"


def test_a_conflict_that_does_not_end_is_the_records_own(outbox, sender, hub):
    hub.conflict_ids.add(ORIGIN.resource_id("Basic", "1"))
    outbox.accept([a_mapped("1", "p1"), a_mapped("2", "p1"), a_mapped("3", "p2")])
    run(sender)
    status = outbox.status()
    assert (status["applied"], status["quarantined"], status["parked"]) == (1, 1, 1)
    quarantined = outbox.quarantined()[0]
    assert (quarantined["reason_class"], quarantined["code"]) == ("validation", "A-314")
    assert hub.attempts >= 10


def test_a_hub_that_is_away_is_waited_for(outbox, tmp_path):
    key = make_client_key(tmp_path / "data")
    client = HubClient("http://127.0.0.1:9/fhir", "prueba", key, scope="s", timeout_seconds=1)
    outbox.accept([a_mapped(str(n), str(n)) for n in range(20)])
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    sender = Sender(outbox, client, retry=Retry(0.01, 0.05), workers=3, batch_records=5)
    sender.run(stop)
    client.close()
    assert outbox.pending() == 20
    assert sender.last_trouble == "A-301"


def test_the_same_record_has_the_same_request_id_and_bytes(outbox, sender, hub):
    hub.next_actions.append("drop")
    outbox.accept([a_mapped()])
    run(sender)
    assert len(hub.transactions) == 2
    assert hub.transactions[0] == hub.transactions[1]


def test_logs_carry_no_content(outbox, sender, hub, caplog):
    caplog.set_level(logging.DEBUG, logger="adapters")
    hub.refuse_ids.add(ORIGIN.resource_id("Basic", "40123456"))
    outbox.accept([a_mapped("40123456", "QUISPE", "MAMANI")])
    run(sender)
    assert "A-311" in caplog.text
    assert not any(word in caplog.text for word in ("40123456", "QUISPE", "MAMANI"))


def test_a_client_key_is_made_once_and_stays(tmp_path):
    with pytest.raises(ClientKeyMissing):
        read_client_key(tmp_path)
    assert make_client_key(tmp_path).kid == make_client_key(tmp_path).kid
    assert set(make_client_key(tmp_path).public_jwk) == {
        "kty",
        "crv",
        "x",
        "y",
        "kid",
        "alg",
        "use",
        "key_ops",
    }
    (tmp_path / "client_key.pem").write_text("x")
    with pytest.raises(ClientKeyMissing):
        read_client_key(tmp_path)


def test_pauses_grow_to_the_cap_with_jitter():
    retry = Retry(1, 60)
    assert 0.5 <= retry.pause(0) <= 1
    assert 30 <= retry.pause(99) <= 60


# --- many patients in one transaction -----------------------------------------------------------------


def many(outbox, count=60):
    outbox.accept([a_mapped(str(number), f"p{number}", f"content {number}") for number in range(count)])


def packed(outbox, client):
    return Sender(outbox, client, retry=Retry(0.001, 0.01), workers=1, batch_records=100)


def test_many_patients_take_one_round_trip(outbox, client, hub):
    many(outbox)
    run(packed(outbox, client))
    assert hub.attempts == 1
    assert len(hub.resources) == 120
    assert hub.written_more_than_once() == []


def test_each_patients_records_stay_in_order_beside_others(outbox, client, hub):
    for number in range(30):
        outbox.accept([a_mapped(f"{number % 5}", f"p{number % 5}", f"content {number}")])
    run(packed(outbox, client))
    texts = {
        url: [each["code"]["text"] for each in told] for url, told in hub.resources.items() if "Basic/" in url
    }
    assert [len(each) for each in texts.values()] == [6] * 5
    for told in texts.values():
        assert told == sorted(told, key=lambda text: int(text.split()[1]))
    assert hub.attempts == 6  # one resource is written once in a transaction


def test_a_refusal_that_names_an_entry_sets_one_patient_apart(outbox, client, hub):
    many(outbox)
    hub.refuse_ids.add(ORIGIN.resource_id("Basic", "7"))
    run(packed(outbox, client))
    # All; all but the one, and the one.
    assert hub.attempts == 3
    status = outbox.status()
    assert (status["applied"], status["quarantined"]) == (59, 1)


def test_a_refusal_that_names_nothing_is_found_in_few_rounds(outbox, client, hub):
    many(outbox)
    hub.conflict_ids.add(ORIGIN.resource_id("Basic", "7"))
    run(packed(outbox, client))
    status = outbox.status()
    assert (status["applied"], status["quarantined"]) == (59, 1)
    assert hub.attempts < 40  # ten of them are the one's own
    assert hub.written_more_than_once() == []


@pytest.mark.parametrize("trouble", ["drop", "stall"])
def test_a_lost_answer_for_many_is_asked_for_together(outbox, client, hub, trouble):
    hub.hang_seconds = 2.2
    many(outbox)
    hub.next_actions.append(trouble)
    run(packed(outbox, client))
    assert outbox.status()["applied"] == 60
    assert hub.written_more_than_once() == []
    # Unheard; then in two halves: not as new, but as themselves.
    assert hub.attempts <= 7


def test_what_another_wrote_meanwhile_is_one_patients_matter(outbox, client, hub):
    many(outbox)
    place = f"Basic/{ORIGIN.resource_id('Basic', '7')}"
    hub.resources[place] = [{"resourceType": "Basic", "id": "other"}]
    run(packed(outbox, client))
    assert outbox.status()["applied"] == 60
    assert hub.resources[place][-1]["code"]["text"] == "content 7"
    assert [url for url in hub.written_more_than_once() if url != place] == []


@pytest.mark.parametrize("status", ["500", "504", "html"])
def test_an_answer_that_settles_nothing_loses_nothing_of_many(outbox, client, hub, status):
    many(outbox)
    hub.next_actions.extend([status] * 3)
    run(packed(outbox, client))
    assert outbox.status()["applied"] == 60
    assert hub.written_more_than_once() == []


def test_a_large_parcel_is_divided_by_its_bytes(outbox, client, hub, monkeypatch):
    monkeypatch.setattr("adapters.sender.parcel.MOST_BYTES", 3000)
    many(outbox)
    run(packed(outbox, client))
    assert hub.attempts > 5
    assert max(map(len, hub.bodies)) < 6000
    assert outbox.status()["applied"] == 60


def test_what_travels_is_compressed(outbox, client, hub):
    many(outbox)
    run(packed(outbox, client))
    assert hub.received_bytes < sum(map(len, hub.bodies)) / 3
