"""What a registration may say; keys that are rotated, and keys that lie at the client's own address, over HTTP."""

from __future__ import annotations

import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from exchange import cli
from exchange.authentication.registration import Client, change_keys, find_client, register
from exchange.commands import clients
from exchange.hub import Hub
from exchange.perform import Spine
from exchange.problems import Invalid
from exchange.requester import parse_registered_scopes
from tests.exchange.authentication.clinic import Clinic, refused
from tests.exchange.authentication.test_jwks import public_key
from tests.passage.live_hub import live_hub
from tests.sample.requester import HOSPITAL, POST
from tests.simulators.jwks_server import jwks_server


def a_client(**changed) -> Client:
    told = {
        "client_id": "clinic-1", "name": "Clínica", "organization_id": POST, "role": "system",
        "scopes": parse_registered_scopes("system/*.cruds user/*.rs"), "purposes": ("TREAT",), "id_prefix": "zclinic-",
        "jwks": {"keys": [public_key()]},
    } | changed  # fmt: skip
    return Client(**told)


@pytest.mark.parametrize(
    "more",
    [{}, {"further_roles": ("clinician", "privacy-officer")}, {"within": ("red-1", "geresa")}, {"user_roles": ("physician",)},
     {"user_organizations": {HOSPITAL: ("geresa",), "x": ()}}, {"jwks": {"keys": []}, "jwks_uri": "https://keys.example/k"},
     {"requests_per_minute": 0}, {"role": "patient"}, {"redirect_uris": ("https://app.example/in",)}],
    ids=str,
)  # fmt: skip
def test_a_registration_is_kept_as_it_was_made(transaction, more):
    client = a_client(**more)
    register(transaction, client)
    assert find_client(transaction, "clinic-1") == client


@pytest.mark.parametrize(
    "wrong",
    [{"client_id": "Clinic"}, {"name": ""}, {"name": "a\n"}, {"name": "x" * 201}, {"organization_id": "a b"}, {"role": "god"},
     {"further_roles": ("system",)}, {"further_roles": ("patient",)}, {"further_roles": ("x",)}, {"scopes": ()}, {"purposes": ()},
     {"purposes": ("treat",)}, {"purposes": ("TREAT",) * 21}, {"id_prefix": "abc-"}, {"id_prefix": "clinic"}, {"within": ("a b",)},
     {"within": tuple(f"o{n}" for n in range(9))}, {"user_roles": ("a b",)}, {"user_roles": tuple(f"r{n}" for n in range(51))},
     {"user_organizations": {"a b": ()}}, {"user_organizations": {"a": ("b c",)}}, {"user_organizations": {f"o{n}": () for n in range(51)}},
     {"user_organizations": {"a": tuple(f"o{n}" for n in range(9))}}, {"jwks": {"keys": []}}, {"jwks": {"keys": [public_key(private=True)]}},
     {"jwks_uri": "https://keys.example/k"}, {"jwks": {"keys": []}, "jwks_uri": "http://keys.example/k"},
     {"jwks": {"keys": []}, "jwks_uri": "https://u:p@keys.example/k"}, {"requests_per_minute": -1}, {"is_public": True},
     {"redirect_uris": ("http://app.example/in",)}],
    ids=range(31),
)  # fmt: skip
def test_a_registration_that_says_too_much_is_refused(transaction, wrong):
    with pytest.raises(Invalid):
        register(transaction, a_client(**wrong))
    assert find_client(transaction, "clinic-1") is None


def test_keys_are_added_and_retired_by_their_id(transaction):
    register(transaction, a_client(jwks={"keys": [public_key("old")]}))
    both = change_keys(transaction, "clinic-1", {"keys": [public_key("new")]}, ())
    assert [each["kid"] for each in both.jwks["keys"]] == ["old", "new"]
    change_keys(transaction, "clinic-1", None, ("old",))
    found = find_client(transaction, "clinic-1")
    assert found is not None
    assert [each["kid"] for each in found.jwks["keys"]] == ["new"]


@pytest.mark.parametrize(
    ("added", "retired"),
    [(None, ("old",)), (None, ("other",)), ({"keys": [public_key("old")]}, ()), ({"keys": [public_key("b", private=True)]}, ()),
     ({"keys": [public_key(str(n)) for n in range(10)]}, ()), ([], ())],
    ids=range(6),
)  # fmt: skip
def test_a_change_that_leaves_no_good_set_of_keys_is_refused(transaction, added, retired):
    register(transaction, a_client(jwks={"keys": [public_key("old")]}))
    with pytest.raises(Invalid):
        change_keys(transaction, "clinic-1", added, retired)
    found = find_client(transaction, "clinic-1")
    assert found is not None
    assert [each["kid"] for each in found.jwks["keys"]] == ["old"]
    with pytest.raises(Invalid):
        change_keys(transaction, "nobody", {"keys": [public_key("new")]}, ())


def test_a_change_of_a_registration_lets_no_suspended_client_back(transaction):
    from exchange.authentication.registration import set_active

    register(transaction, a_client())
    set_active(transaction, "clinic-1", is_active=False)
    register(transaction, a_client(name="Otra"))
    change_keys(transaction, "clinic-1", {"keys": [public_key("new")]}, ())
    found = find_client(transaction, "clinic-1")
    assert found is not None
    assert not found.is_active


def test_a_rotated_key_is_good_at_once_and_a_retired_one_no_longer(live):
    clinic = Clinic(live)
    new = ec.generate_private_key(ec.SECP384R1())
    refused(clinic.ask(clinic.assertion(new, kid="new")))
    live.world.spine.operate(
        "clients rotate",
        lambda tx: change_keys(tx, clinic.id, {"keys": [Clinic.jwk(new, "new")]}, ()) and None,
    )
    assert clinic.ask(clinic.assertion(new, kid="new")).status_code == 200
    assert clinic.ask(clinic.assertion()).status_code == 200
    live.world.spine.operate("clients rotate", lambda tx: change_keys(tx, clinic.id, None, ("ec",)) and None)
    refused(clinic.ask(clinic.assertion()))
    assert clinic.ask(clinic.assertion(new, kid="new")).status_code == 200


# --- keys at an address


@pytest.fixture(scope="module")
def fetching(server):
    """A demonstration's hub, that fetches keys from loopback."""
    with live_hub(
        server, EXCHANGE_MODE="demo", EXCHANGE_DANGEROUSLY_FETCH_CLIENT_KEYS_FROM_THIS_MACHINE="true"
    ) as hub:
        yield hub


def test_keys_at_an_address_prove_a_client(fetching, monkeypatch):
    allow_loopback(monkeypatch)
    key = ec.generate_private_key(ec.SECP384R1())
    with jwks_server({"keys": [Clinic.jwk(key, "ec")]}) as server:
        clinic = Clinic(fetching, jwks={"keys": []}, jwks_uri=server.url)
        clinic.ec = key
        for _ in range(3):
            assert clinic.ask(clinic.assertion()).status_code == 200
        for kid in ("x", "y", "z"):
            refused(clinic.ask(clinic.assertion(kid=kid)))
        refused(clinic.ask(clinic.assertion(ec.generate_private_key(ec.SECP384R1()))))
        assert server.asked == 1


@pytest.mark.parametrize("behaviour", ["redirect", "error", "bomb", "drip", "silent", "text"])
def test_a_server_of_keys_that_misbehaves_lets_nobody_in_and_holds_nobody_up(
    fetching, monkeypatch, behaviour
):
    allow_loopback(monkeypatch)
    key = ec.generate_private_key(ec.SECP384R1())
    with jwks_server({"keys": [Clinic.jwk(key, "ec")]}) as server:
        server.behaviour = behaviour
        clinic = Clinic(fetching, jwks={"keys": []}, jwks_uri=server.url)
        clinic.ec = key
        began = time.monotonic()
        refused(clinic.ask(clinic.assertion()))
        assert time.monotonic() - began < 8
        refused(clinic.ask(clinic.assertion()))
        assert server.asked == 1
    events = [each["outcomeDesc"] for each in fetching.world.events()]
    assert any("no such key; " in each for each in events)
    with fetching.world.sql() as cursor:
        # Of this hub alone: another one's tests may share the server.
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        assert cursor.fetchone()[0] == 0


def test_a_private_key_at_an_address_lets_nobody_in(fetching, monkeypatch):
    allow_loopback(monkeypatch)
    key = ec.generate_private_key(ec.SECP384R1())
    private = Clinic.jwk(key, "ec") | {"d": "AAAA"}
    with jwks_server({"keys": [private]}) as server:
        clinic = Clinic(fetching, jwks={"keys": []}, jwks_uri=server.url)
        clinic.ec = key
        refused(clinic.ask(clinic.assertion()))


def test_a_hub_in_production_asks_nothing_of_its_own_machine(live, monkeypatch):
    allow_loopback(monkeypatch)
    key = ec.generate_private_key(ec.SECP384R1())
    with jwks_server({"keys": [Clinic.jwk(key, "ec")]}) as server:
        for number, url in enumerate(
            (server.url, server.url.replace("http:", "https:"), server.url.replace("127.0.0.1", "localhost"))
        ):
            clinic = Clinic(live, jwks={"keys": []}, jwks_uri=url, id_prefix=f"zq{number}q-")
            clinic.ec = key
            refused(clinic.ask(clinic.assertion()))
        assert server.asked == 0


def allow_loopback(monkeypatch) -> None:
    """Let this process write registrations that a production hub would refuse; the server has its own settings."""
    monkeypatch.setattr("exchange.authentication.registration.is_jwks_url", lambda _: True)


# --- as an operator types it


@pytest.fixture
def run(store, monkeypatch):
    monkeypatch.setattr(clients, "opened_hub", lambda: Hub(store, Spine(store)))
    return lambda *words: CliRunner().invoke(cli.app, ["clients", *(str(each) for each in words)])


def test_the_commands_register_rotate_and_suspend(run, store, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(json.dumps({"keys": [public_key("old")]}))
    second.write_text(json.dumps({"keys": [public_key("new")]}))
    done = run(
        "register", "clinic-1", "--organization", POST, "--jwks", first, "--scopes", "system/*.cruds user/*.rs",
        "--id-prefix", "zclinic-", "--role", "system", "--role", "clinician", "--within", "red-1", "--within", "geresa",
        "--user-role", "physician", "--user-organization", f"{HOSPITAL}:geresa", "--requests-per-minute", "600",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    with store.transaction() as transaction:
        found = find_client(transaction, "clinic-1")
    assert found is not None
    assert (found.roles, found.within) == (("system", "clinician"), ("red-1", "geresa"))
    assert found.user_organizations == {HOSPITAL: ("geresa",)}
    assert run("rotate", "clinic-1", "--add", second).output.strip() == "keys now: old, new"
    assert run("rotate", "clinic-1", "--retire", "old").output.strip() == "keys now: new"
    assert "clinic-1" in run("list").output
    assert run("suspend", "clinic-1").exit_code == 0
    assert run("suspend", "nobody").exit_code == 1


@pytest.mark.parametrize(
    "words",
    [("rotate", "clinic-1"), ("register", "c-1", "--organization", POST, "--scopes", "system/*.x", "--id-prefix", "z1-"),
     ("register", "c-1", "--organization", POST, "--scopes", "system/*.rs", "--id-prefix", "z1-", "--role", "god")],
    ids=range(3),
)  # fmt: skip
def test_a_command_that_makes_no_sense_says_so(run, words):
    assert run(*words).exit_code == 2


def test_a_file_that_is_no_set_of_keys_says_so(run, tmp_path):
    for text in ("no json", "[]", '"x"'):
        file = tmp_path / "keys.json"
        file.write_text(text)
        done = run(
            "register",
            "c-1",
            "--organization",
            POST,
            "--jwks",
            file,
            "--scopes",
            "system/*.rs",
            "--id-prefix",
            "z1-",
        )
        assert done.exit_code == 2
