"""Reports and metrics over HTTP: who may, what is refused, what is in the audit log and what is not."""

from __future__ import annotations

import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.passage.live_hub import live_hub
from tests.sample.adapter import SCOPE, a_report, encoded
from tests.sample.requester import HOSPITAL, POST

ORDER = ("client", "facility", "reason", "timeliness", "code", "version", "interaction", "status", "le")
TOKEN = "operators-token-of-more-than-32-letters"


@pytest.fixture(scope="module")
def token_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("metrics") / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def hub(server, token_file):
    with live_hub(server, EXCHANGE_METRICS_TOKEN_FILE=str(token_file)) as made:
        made.enter("posta-a", POST, SCOPE, is_adapter=True)
        made.enter("hospital-a", HOSPITAL, SCOPE, is_adapter=True)
        yield made


def tell(hub, client: str, number: int | None = None, body: bytes | None = None, **more):
    report = a_report(number or time.time_ns() // 1000, **more)
    headers = {"Authorization": f"Bearer {hub.clients[client].token()}", "Content-Type": "application/json"}
    return hub.http(
        "POST", "/adapters/state", headers=headers, content=encoded(report) if body is None else body
    )


def count(hub) -> int:
    with hub.world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event")
        return cursor.fetchone()[0]


def figures(hub) -> dict[tuple[str, ...], float]:
    """Every figure by its name and the values of its labels."""
    answer = hub.http("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(sample.labels[each] for each in ORDER if each in sample.labels)): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_endpoint_is_published(hub):
    found = hub.http("GET", "/fhir/.well-known/smart-configuration").json()
    assert found["chasqui_adapter_state_endpoint"] == f"{hub.url}/adapters/state"


def test_a_report_leaves_no_event_and_a_refused_one_does(hub):
    hub.clients["posta-a"].token()
    before = count(hub)
    assert tell(hub, "posta-a").json() == {"taken": True}
    assert tell(hub, "posta-a", number=1).json() == {"taken": False}
    assert count(hub) == before
    refusals = [
        (tell(hub, "posta"), 403),
        (tell(hub, "posta-a", body=b"{}"), 400),
        (tell(hub, "posta-a", body=b" " * 20_000), 413),
        (tell(hub, "posta-a", patient="Rosa"), 400),
        (hub.http("POST", "/adapters/state", content=encoded(a_report())), 401),
    ]
    for answer, status in refusals:
        assert answer.status_code == status, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert "Rosa" not in answer.text
    assert count(hub) - before >= len(refusals)


def test_a_token_that_is_given_is_a_contact(hub):
    hub.enter("quiet-a", POST, SCOPE, is_adapter=True)
    assert ("chasqui_adapter_last_contact_age_seconds", "quiet-a", POST) not in figures(hub)
    hub.clients["quiet-a"].token()
    found = figures(hub)
    assert 0 <= found["chasqui_adapter_last_contact_age_seconds", "quiet-a", POST] < 30
    assert found["chasqui_adapter_ready", "quiet-a", POST] == 0, "it has not reported"
    with hub.world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM adapter_state WHERE client_id = 'posta'")
        assert cursor.fetchone()[0] == 0, "of other systems nothing is remembered"


def test_the_figures_of_adapters(hub):
    assert tell(hub, "hospital-a", trouble="A-313").json() == {"taken": True}
    assert tell(hub, "posta-a").json() == {"taken": True}
    found = figures(hub)
    who = ("posta-a", POST)
    told = {
        "pending_records": 12, "parked_patients": 2, "waiting_consent_records": 1, "waiting_late_records": 3,
        "disk_used_ratio": 0.41, "silent": 0, "ready": 1,
    }  # fmt: skip
    for name, value in told.items():
        assert found[f"chasqui_adapter_{name}", *who] == value, name
    assert 600 <= found["chasqui_adapter_oldest_pending_age_seconds", *who] < 700
    assert found["chasqui_adapter_quarantined_records", *who, "mapping"] == 4
    assert found["chasqui_adapter_recent_records", *who, "late"] == 2
    assert found["chasqui_adapter_recent_records", *who, "on-time"] == 30
    assert found["chasqui_adapter_info", *who, "0.1.0"] == 1
    assert found["chasqui_adapter_trouble", "hospital-a", HOSPITAL, "A-313"] == 1
    assert found["chasqui_adapter_ready", "hospital-a", HOSPITAL] == 0


def test_silence_is_a_figure(hub):
    hub.enter("lost-a", POST, SCOPE, is_adapter=True)
    assert tell(hub, "lost-a").json() == {"taken": True}
    with hub.world.sql() as cursor:
        cursor.execute(
            "UPDATE adapter_state SET contact_at = contact_at - 1000 * 1000000::bigint WHERE client_id = 'lost-a'"
        )
    assert figures(hub)["chasqui_adapter_silent", "lost-a", POST] == 1


def test_the_hub_s_own_figures(hub):
    before = figures(hub).get(("chasqui_requests_seconds_count", "read", "4xx"), 0)
    for _ in range(3):
        hub.clients["posta"].request("GET", "Patient/posta-nobody")
    found = figures(hub)
    assert found["chasqui_requests_seconds_count", "read", "4xx"] == before + 3
    assert found["chasqui_requests_seconds_bucket", "read", "4xx", "+Inf"] == before + 3
    assert found["chasqui_requests_seconds_sum", "read", "4xx"] > 0
    assert found[("chasqui_audit_unsealed_events",)] > 0
    assert found[("chasqui_audit_sealing_lag_seconds",)] > 0
    with hub.world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event")
        assert found[("chasqui_audit_unsealed_events",)] == cursor.fetchone()[0]


def test_the_figures_have_a_token_of_their_own_and_no_event(hub):
    figures(hub)
    before = count(hub)
    figures(hub)
    assert count(hub) == before
    own = hub.clients["administrator"].token()
    before = count(hub)
    wrong = [{}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN},
             {"Authorization": "Bearer"}, {"Authorization": f"Bearer {own}"}, {"Authorization": "Bearer ñ".encode()}]  # fmt: skip
    for headers in wrong:
        answer = hub.http("GET", "/metrics", headers=headers)
        assert answer.status_code == 401
        assert "chasqui_" not in answer.text
    assert count(hub) - before == len(wrong)
    assert hub.http("POST", "/metrics").status_code == 405


def test_the_figures_name_facilities_and_nobody(hub):
    answer = hub.http("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    labels = set(re.findall(r"(\w+)=\"", answer.text))
    assert labels <= {
        "client",
        "facility",
        "reason",
        "timeliness",
        "code",
        "version",
        "interaction",
        "status",
        "le",
    }


@pytest.mark.parametrize("text", ["", "short"])
def test_a_token_that_is_too_short_opens_nothing(server, tmp_path, text):
    from exchange.fleet import desk
    from exchange.problems import Unavailable
    from exchange.settings import Settings

    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    fleet = desk.Fleet(None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(desk, "settings", lambda: Settings(metrics_token_file=path))
        with pytest.raises(Unavailable):
            fleet.is_metrics_token(text)
        path.write_text(TOKEN)
        path.chmod(0o644)
        with pytest.raises(Unavailable):
            fleet.is_metrics_token(TOKEN)
