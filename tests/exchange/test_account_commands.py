"""The commands that keep accounts and the demonstration's people, as an operator types them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from exchange import cli
from exchange.authentication.account import find_account
from exchange.commands import accounts
from exchange.hub import Hub
from exchange.perform import Spine
from exchange.problems import Invalid, Unavailable
from exchange.settings import settings
from tests.exchange.authentication.app import today

ISSUER = "https://id.example.org"
END = (today() + timedelta(days=30)).isoformat()
ROSA = (
    "add",
    "s-1",
    "--name",
    "Rosa Quispe",
    "--role",
    "clinician",
    "--organization",
    "ipress-1",
    "--until",
    END,
)


@pytest.fixture
def run(store, monkeypatch):
    monkeypatch.setattr(accounts, "opened_hub", lambda: Hub(store, Spine(store)))

    def typed(*words: str, issuer: str = ISSUER):
        more = ("--issuer", issuer) if words[:2] == ("accounts", "add") else ()
        return CliRunner().invoke(cli.app, [*words, *more], env={"COLUMNS": "200"})

    return typed


def entered(done) -> str:
    assert done.exit_code == 0, done.output
    return re.search(r"entered: (u[a-z0-9]{15})", done.output).group(1)


def test_an_account_is_entered_listed_suspended_extended(run, store):
    account_id = entered(run("accounts", *ROSA, "--within", "red-1,geresa", "--functional-role", "physician"))
    assert account_id in run("accounts", "list").output
    with store.transaction() as transaction:
        made = find_account(transaction, account_id)
    assert (made.within, made.functional_role, made.is_open()) == (("red-1", "geresa"), "physician", True)
    assert run("accounts", "suspend", account_id).exit_code == 0
    with store.transaction() as transaction:
        assert not find_account(transaction, account_id).is_open()
    assert run("accounts", "suspend", account_id, "--back").exit_code == 0
    yesterday = (today() - timedelta(days=1)).isoformat()
    assert run("accounts", "extend", account_id, "--until", yesterday).exit_code == 0
    with store.transaction() as transaction:
        assert not find_account(transaction, account_id).is_open()
    assert run("accounts", "extend", account_id, "--until", "soon").exit_code == 2
    assert run("accounts", "suspend", "unobody").exit_code == 1
    assert run("accounts", "extend", "unobody", "--until", END).exit_code == 1


def test_a_person_has_one_account(run):
    entered(run("accounts", *ROSA))
    assert isinstance(run("accounts", *ROSA).exception, Invalid)
    entered(run("accounts", *ROSA, issuer="https://other.example.org"))


@pytest.mark.parametrize(
    ("changed", "element"),
    [
        ({"--until": ""}, "valid_until"), ({"--until": "2001-01-01"}, "valid_until"), ({"--role": "system"}, "role"),
        ({"--organization": ""}, "organization_id"), ({"--organization": "a b"}, "organization_id"),
        ({"--within": "a b"}, "organization_id"), ({"--within": ",".join("abcdefghi")}, "within"),
        ({"--name": ""}, "name"), ({"--name": "a\nb"}, "name"), ({"--functional-role": "Médico"}, "functional_role"),
        ({"--reference": "Patient/p1"}, "reference"), ({"--reference": "Device/d1"}, "reference"),
        ({"--role": "patient"}, "reference"), ({"--role": "patient", "--reference": "Practitioner/p"}, "reference"),
        ({"--issuer": ""}, "subject"),
    ],
    ids=str,
)  # fmt: skip
def test_what_no_account_may_say(run, changed, element):
    told = dict(zip(ROSA[2::2], ROSA[3::2], strict=True)) | {"--issuer": ISSUER} | changed
    words = [word for pair in told.items() for word in pair]
    done = CliRunner().invoke(cli.app, ["accounts", "add", "s-9", *words])
    assert isinstance(done.exception, Invalid), done.output
    assert done.exception.issues[0].expression == element


def test_a_role_that_nobody_has_is_a_wrong_use(run):
    assert run("accounts", *ROSA[:5], "king", *ROSA[6:]).exit_code == 2


def test_a_patient_needs_no_end_and_is_no_facility_s(run, store):
    words = ("add", "p-1", "--name", "Elsa", "--role", "patient", "--reference", "Patient/p1")
    account_id = entered(run("accounts", *words))
    with store.transaction() as transaction:
        made = find_account(transaction, account_id)
    assert (made.valid_until, made.organization_id) == (None, account_id)


def test_no_name_stands_in_the_audit_log_of_the_commands(run, store):
    entered(run("accounts", *ROSA))
    with store.transaction() as transaction:
        assert transaction.rows("SELECT count(*) FROM audit_event")[0][0] == 1


def test_people_are_the_demonstration_s_alone(run):
    for words in (("list",), ("add", "rosa", "--until", END), ("reset", "rosa")):
        assert isinstance(run("people", *words).exception, Unavailable)


def test_people_are_entered_listed_reset(run, monkeypatch):
    monkeypatch.setenv("EXCHANGE_MODE", "demo")
    settings.cache_clear()
    try:
        added = run("people", "add", "rosa.quispe", "--until", END)
        assert added.exit_code == 0, added.output
        key = added.output.strip().rsplit(" ", 1)[1]
        assert "rosa.quispe" in run("people", "list").output
        assert key not in run("people", "list").output
        assert run("people", "reset", "rosa.quispe").output.strip().rsplit(" ", 1)[1] != key
        assert run("people", "reset", "nobody").exit_code == 1
        assert isinstance(run("people", "add", "rosa.quispe", "--until", END).exception, Invalid)
        assert isinstance(run("people", "add", "Rosa Quispe", "--until", END).exception, Invalid)
        assert run("people", "add", "elsa", "--until", "soon").exit_code == 2
    finally:
        monkeypatch.undo()
        settings.cache_clear()
