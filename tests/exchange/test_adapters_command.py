"""`exchange adapters`: what is wrong stands first, for people and for programs."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.authentication.enrolment import invite
from exchange.authentication.registration import Client
from exchange.commands import adapters
from exchange.hub import Hub
from exchange.perform import Spine
from exchange.requester import parse_registered_scopes
from tests.sample.adapter import a_report, encoded, enter_adapter, instant
from tests.sample.requester import POST, a_requester


@pytest.fixture
def hub(store, monkeypatch) -> Hub:
    made = Hub(store, Spine(store))
    monkeypatch.setattr(adapters, "opened_hub", lambda: made)
    return made


def tell(hub, client: str, **more) -> None:
    if client != "wait-a":
        enter_adapter(hub.spine, client)
    requester = a_requester(POST, "system/*.cu", client=client)
    hub.spine.fleet.report(requester, encoded(a_report(**more)))


def run(*words: str):
    return CliRunner().invoke(cli.app, ["adapters", *words], env={"COLUMNS": "400"})


CLEAN = {"quarantine": [], "parked_patients": 0, "waiting_late": 0, "days": []}


def test_all_is_well(hub):
    tell(hub, "good-a", **CLEAN)
    done = run("--json")
    assert done.exit_code == 0, done.output
    [row] = json.loads(done.output)
    assert (row["client"], row["state"], row["wrong"], row["silent"]) == ("good-a", "online", [], False)
    assert row["report"]["pending"] == 12
    assert run().exit_code == 0


def test_what_is_wrong_stands_first(hub):
    tell(hub, "a-good", **CLEAN)
    tell(hub, "b-some")
    tell(
        hub,
        "c-barred",
        **CLEAN
        | {"trouble": "A-313", "disk_used_percent": 91, "certificate_expires_at": instant(-86_400 * 3)},
    )
    tell(hub, "d-lost", **CLEAN)
    scopes = parse_registered_scopes("system/*.cu")
    waits = Client(
        "e-waits", "E", POST, "system", scopes, ("TREAT",), "zewaits-", {"keys": []}, is_adapter=True
    )
    hub.spine.operate("clients invite", lambda tx: invite(tx, waits, hours=1, replaces_keys=False) and None)

    def age(tx) -> None:
        tx.run(
            "UPDATE adapter_state SET contact_at = contact_at - 3600 * 1000000::bigint WHERE client_id = 'd-lost'"
        )

    hub.spine.operate("test", age)
    done = run("--json")
    rows = json.loads(done.output)
    assert done.exit_code == 1
    assert [each["client"] for each in rows] == ["d-lost", "c-barred", "b-some", "e-waits", "a-good"]
    wrong = {each["client"]: each["wrong"] for each in rows}
    assert wrong["d-lost"] == ["silent for 60 min"]
    assert wrong["c-barred"][:2] == ["trouble A-313", "disk 91 %"]
    assert wrong["c-barred"][2].startswith("certificate expires in ")
    assert wrong["b-some"] == [
        "3 wait longer than 24 h",
        "5 in quarantine",
        "2 patients parked",
        "2 late in 7 days",
    ]
    assert wrong["e-waits"] == ["invited, no key yet"]
    shown = run().output
    assert shown.index("d-lost") < shown.index("c-barred") < shown.index("a-good")
    assert "silent" in shown
