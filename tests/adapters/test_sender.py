"""Everything arrives exactly once, in order, whatever the hub does."""

import logging
import threading

import pytest

from adapters.sender import Retry, Sender
from adapters.sender.client_key import ClientKeyMissing, make_client_key, read_client_key
from adapters.sender.hub import HubClient
from tests.adapters.conftest import ORIGIN, a_mapped


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
    "action", ["503", "500", "429", "409", "412", "401", "404", "502", "html", "drop", "refuse"]
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


def test_what_may_not_be_sent_is_of_class_consent(outbox, sender, hub):
    hub.forbid_ids.add(ORIGIN.resource_id("Basic", "1"))
    outbox.accept([a_mapped()])
    run(sender)
    assert outbox.quarantined()[0]["reason_class"] == "consent"


def test_an_unknown_client_waits_and_quarantines_nothing(outbox, sender, hub):
    hub.jwks.clear()
    outbox.accept([a_mapped()])
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    sender.run(stop, until_empty=True)
    assert outbox.pending() == 1
    assert sender.last_trouble == "A-304"


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
