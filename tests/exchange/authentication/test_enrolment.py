"""Who is invited comes in once, with a key of its own; whatever is wrong, the answer is the same and tells nothing."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from hashlib import blake2b, sha256
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from exchange import cli
from exchange.authentication.enrolment import code_digest, invite, waiting_invitations
from exchange.authentication.enrolment_code import DIGITS, make_code, read_code, shown_code
from exchange.authentication.registration import Client, find_client, register
from exchange.commands import clients
from exchange.demo.client import ASSERTION_TYPE
from exchange.hub import Hub
from exchange.perform import Spine
from exchange.problems import Invalid
from exchange.requester import parse_registered_scopes
from tests.exchange.authentication.clinic import Clinic
from tests.passage.live_hub import live_hub
from tests.sample.requester import POST

CODES = json.loads((Path(__file__).parents[2] / "vectors" / "enrolment_codes.json").read_text("utf-8"))


# --- codes


@pytest.mark.parametrize("row", CODES, ids=lambda row: row["typed"][:30])
def test_codes_are_read_as_people_type_them(row):
    assert read_code(row["typed"]) == row["code"]


def test_a_new_code_is_long_and_reads_back():
    made = {make_code() for _ in range(200)}
    assert len(made) == 200
    assert len(DIGITS) ** 24 > 2**119
    for code in made:
        assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}", shown_code(code))
        assert read_code(shown_code(code)) == code


@given(st.text(max_size=80))
def test_any_text_is_a_code_or_none(text):
    found = read_code(text)
    assert found is None or read_code(found) == found


def test_one_wrong_character_is_always_noticed():
    code = make_code()
    for place in range(len(code)):
        for letter in set(DIGITS) - {code[place]}:
            assert read_code(code[:place] + letter + code[place + 1 :]) is None


# --- over HTTP


@pytest.fixture(scope="module")
def hub(server):
    with live_hub(server, EXCHANGE_ENROLMENTS_PER_MINUTE="100000") as made:
        yield made


def a_client(client_id: str, **changed) -> Client:
    told = {
        "client_id": client_id, "name": "Posta", "organization_id": POST, "role": "system",
        "scopes": parse_registered_scopes("system/*.cu"), "purposes": ("TREAT",), "id_prefix": f"z{client_id}-",
        "jwks": {"keys": []}, "is_adapter": True,
    } | changed  # fmt: skip
    return Client(**told)


def invited(hub, client_id: str, *, hours: int = 72, replaces_keys: bool = False, **changed) -> str:
    codes: list[str] = []
    hub.world.spine.operate(
        "clients invite",
        lambda tx: codes.append(
            invite(tx, a_client(client_id, **changed), hours=hours, replaces_keys=replaces_keys)
        ),
    )
    return codes[0]


class Bidder:
    """An adapter, or somebody who would like to be one."""

    def __init__(self, hub) -> None:
        self.hub = hub
        self.key = ec.generate_private_key(ec.SECP384R1())

    @property
    def jwk(self) -> dict:
        return Clinic.jwk(self.key, "own")

    def proof(self, code: str, key=None, algorithm: str = "ES384", **changed) -> str:
        now = int(time.time())
        claims = {
            "aud": f"{self.hub.url}/auth/enrol", "iat": now, "exp": now + 240, "code_sha256": code_digest(code),
        } | changed  # fmt: skip
        kept = {name: value for name, value in claims.items() if value is not ...}
        return jwt.encode(kept, key or self.key, algorithm=algorithm, headers={"kid": "own"})

    def bring(self, code: str, /, **changed):
        told = {"code": shown_code(code), "jwks": {"keys": [self.jwk]}, "proof": self.proof(code)} | changed
        return self.hub.http("POST", "/auth/enrol", json=told)


def refused(answer) -> None:
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})
    assert answer.headers["cache-control"] == "no-store"


def last_event(hub) -> dict:
    """The latest event of enrolling."""
    return next(each for each in reversed(hub.world.events()) if "enrol" in each["outcomeDesc"])


def token_of(hub, client_id: str, key, algorithm: str = "ES384"):
    now = int(time.time())
    claims = {
        "iss": client_id, "sub": client_id, "aud": f"{hub.url}/auth/token", "jti": str(uuid.uuid4()), "exp": now + 100,
    }  # fmt: skip
    form = {
        "grant_type": "client_credentials", "scope": "system/*.cu", "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "own"}),
    }  # fmt: skip
    return hub.http("POST", "/auth/token", data=form)


def keys_of(hub, client_id: str) -> list[str]:
    with hub.world.database_store.transaction() as transaction:
        found = find_client(transaction, client_id)
    return [each["x"] for each in found.jwks["keys"]]


def test_an_invited_system_brings_its_key_and_gets_tokens(hub):
    code, adapter = invited(hub, "comes"), Bidder(hub)
    found = hub.http("GET", "/fhir/.well-known/smart-configuration").json()
    assert found["chasqui_enrolment_endpoint"] == f"{hub.url}/auth/enrol"
    answer = adapter.bring(code)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "client_id": "comes", "id_prefix": "zcomes-", "organization": POST, "scope": "system/*.cu",
    }  # fmt: skip
    event = last_event(hub)
    assert event["outcomeDesc"] == "enrolled by a one-time code"
    assert event["agent"][0]["who"]["identifier"]["value"] == "comes"
    assert token_of(hub, "comes", adapter.key).status_code == 200
    assert token_of(hub, "comes", Bidder(hub).key).status_code == 401


def test_a_code_is_kept_as_a_keyed_hash_alone(hub):
    code = invited(hub, "hashed")
    with hub.world.sql() as cursor:
        cursor.execute("SELECT code_hash FROM client_invitation WHERE client_id = 'hashed'")
        kept = bytes(cursor.fetchone()[0])
        cursor.execute("SELECT client_invitation::text FROM client_invitation WHERE client_id = 'hashed'")
        row = cursor.fetchone()[0]
    assert len(kept) == 32
    assert kept not in {sha256(code.encode()).digest(), blake2b(code.encode(), digest_size=32).digest()}
    assert code not in row


def test_the_same_key_is_answered_again_and_another_is_refused(hub):
    code, adapter, thief = invited(hub, "again"), Bidder(hub), Bidder(hub)
    first = adapter.bring(code)
    assert first.status_code == 200
    again = adapter.bring(code)
    assert (again.status_code, again.json()) == (200, first.json())
    assert last_event(hub)["outcomeDesc"] == "enrolment answered again: the same key"
    refused(thief.bring(code))
    assert "used code" in last_event(hub)["outcomeDesc"]
    assert keys_of(hub, "again") == [adapter.jwk["x"]]


def test_a_repeated_answer_brings_no_retired_key_back(hub):
    code, adapter = invited(hub, "retired"), Bidder(hub)
    adapter.bring(code)
    other = Bidder(hub)
    hub.world.spine.operate(
        "clients register", lambda tx: register(tx, a_client("retired", jwks={"keys": [other.jwk]}))
    )
    assert adapter.bring(code).status_code == 200
    assert keys_of(hub, "retired") == [other.jwk["x"]]


def _wrong(adapter: Bidder, code: str) -> dict[str, dict]:
    """Everything that may be wrong with what somebody brings, by what the log says of it."""
    other = Bidder(adapter.hub)
    small = ec.generate_private_key(ec.SECP256R1())
    long_ago = int(time.time()) - 1000
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(adapter.key)) | {"kid": "own"}
    changed = code[:-1] + ("A" if code[-1] != "A" else "B")
    unknown = make_code()
    return {
        "unknown code": {"code": unknown, "proof": adapter.proof(unknown)},
        "proof of another code": {"code": changed, "proof": adapter.proof(code)},
        "unknown code ": {"code": changed, "proof": adapter.proof("")},
        "proof": {"proof": other.proof(code)},
        "proof ": {"proof": adapter.proof(code, aud="https://elsewhere.example/auth/enrol")},
        "proof  ": {"proof": adapter.proof(code, exp=long_ago)},
        "proof   ": {"proof": adapter.proof(code, exp=...)},
        "proof    ": {"proof": adapter.proof(code, code_sha256=...)},
        "proof     ": {"proof": adapter.proof(code, aud=[f"{adapter.hub.url}/auth/enrol", "x"])},
        "proof lives too long": {"proof": adapter.proof(code, exp=int(time.time()) + 3000)},
        "proof of another code ": {"proof": adapter.proof(code, code_sha256=7)},
        "algorithm": {"proof": adapter.proof(code, key="x" * 40, algorithm="HS256")},
        "algorithm ": {
            "proof": adapter.proof(code, key=rsa.generate_private_key(65537, 2048), algorithm="RS384")
        },
        "key": {"jwks": {"keys": [Clinic.jwk(small, "own") | {"crv": "P-999"}]}},
        "malformed": {"jwks": {"keys": [private]}},
        "malformed ": {"jwks": {"keys": []}},
        "malformed  ": {"code": 7},
        "malformed   ": {"client_id": "comes"},
        "several keys": {"jwks": {"keys": [adapter.jwk, adapter.jwk | {"kid": "b"}]}},
    }


def test_whatever_is_wrong_is_one_answer_and_an_event(hub):
    code, adapter = invited(hub, "wrong"), Bidder(hub)
    for reason, changed in _wrong(adapter, code).items():
        refused(adapter.bring(code, **changed))
        assert f"enrolment refused: {reason.strip()}" in last_event(hub)["outcomeDesc"], reason
    assert keys_of(hub, "wrong") == []
    for body in (b"", b"[]", b"{", b"\xff", b'{"code":' * 2000):
        refused(hub.http("POST", "/auth/enrol", content=body))
    refused(hub.http("POST", "/auth/enrol", content=b" " * 20_000))
    assert "too long" in last_event(hub)["outcomeDesc"]
    assert adapter.bring(code).status_code == 200, "none of that used the code up"


def test_a_code_that_is_over_or_taken_back_is_worth_nothing(hub):
    late, suspended, replaced, withdrawn = (Bidder(hub) for _ in range(4))
    code = invited(hub, "late")
    with hub.world.sql() as cursor:
        cursor.execute("UPDATE client_invitation SET expires_at = 1 WHERE client_id = 'late'")
    refused(late.bring(code))
    assert "expired code" in last_event(hub)["outcomeDesc"]
    code = invited(hub, "suspended")
    hub.suspend("suspended")
    refused(suspended.bring(code))
    first, second = invited(hub, "replaced"), invited(hub, "replaced")
    refused(replaced.bring(first))
    assert replaced.bring(second).status_code == 200
    code = invited(hub, "withdrawn")
    with hub.world.sql() as cursor:
        cursor.execute("DELETE FROM client_invitation WHERE client_id = 'withdrawn'")
    refused(withdrawn.bring(code))


def test_keys_stay_unless_the_operator_says_otherwise(hub):
    first, second = Bidder(hub), Bidder(hub)
    assert first.bring(invited(hub, "keeps")).status_code == 200
    with pytest.raises(Invalid):
        invited(hub, "keeps")
    code = invited(hub, "keeps", replaces_keys=True)
    assert keys_of(hub, "keeps") == [first.jwk["x"]], "the old key is good until the new one comes"
    assert second.bring(code).status_code == 200
    assert keys_of(hub, "keeps") == [second.jwk["x"]]
    # Keys that came another way after the invitation are not overwritten by it.
    code = invited(hub, "registered")
    hub.world.spine.operate(
        "clients register", lambda tx: register(tx, a_client("registered", jwks={"keys": [first.jwk]}))
    )
    refused(second.bring(code))
    assert keys_of(hub, "registered") == [first.jwk["x"]]


def test_of_two_that_bring_one_code_at_once_one_comes_in(hub):
    code, bidders = invited(hub, "race"), [Bidder(hub) for _ in range(6)]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: answers.append(each.bring(code).status_code))
        for each in bidders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 400, 400, 400, 400, 400]
    assert len(keys_of(hub, "race")) == 1


def test_tries_are_limited(server):
    with live_hub(server, EXCHANGE_ENROLMENTS_PER_MINUTE="3") as hub:
        adapter = Bidder(hub)
        answers = [adapter.bring(make_code()) for _ in range(4)]
        assert [each.status_code for each in answers] == [400, 400, 400, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert "too many" in last_event(hub)["outcomeDesc"]


def test_a_client_without_a_key_gets_no_token(hub):
    invited(hub, "waits")
    for key, algorithm in ((Bidder(hub).key, "ES384"), ("x" * 40, "HS256"), ("", "none")):
        assert token_of(hub, "waits", key, algorithm).status_code == 401


# --- the command


@pytest.fixture
def run(store, monkeypatch):
    monkeypatch.setattr(clients, "opened_hub", lambda: Hub(store, Spine(store)))
    monkeypatch.setattr(clients, "out", Console(soft_wrap=True, markup=False, width=400))
    return lambda *words: CliRunner().invoke(cli.app, ["clients", *words], env={"COLUMNS": "400"})


FACILITY = ("--organization", POST, "--id-prefix", "zposta-")


def test_an_operator_invites_lists_and_withdraws(run, store):
    done = run("invite", "posta", *FACILITY, "--hours", "2")
    assert done.exit_code == 0, done.output
    code = re.search(r"((?:[0-9A-Z]{5}-){4}[0-9A-Z]{5})", done.output)
    assert code is not None
    assert read_code(code[1]) is not None
    with store.transaction() as transaction:
        made = find_client(transaction, "posta")
        until = waiting_invitations(transaction)["posta"]
    assert (made.is_adapter, made.jwks, [str(each) for each in made.scopes]) == (
        True,
        {"keys": []},
        ["system/*.cu"],
    )
    assert abs(until - time.time() - 7200) < 60
    listed = run("list").output
    assert "invited until" in listed
    assert code[1] not in listed
    assert run("invite", "posta", "--withdraw").exit_code == 0
    assert run("invite", "posta", "--withdraw").exit_code == 1
    assert "invited until" not in run("list").output


@pytest.mark.parametrize(
    "wrong", [(), ("--hours", "0", *FACILITY), ("--hours", "10000", *FACILITY), ("--role", "god", *FACILITY)]
)
def test_an_invitation_that_is_wrong_is_none(run, store, wrong):
    assert run("invite", "posta", *wrong).exit_code == 2
    with store.transaction() as transaction:
        assert find_client(transaction, "posta") is None


def test_no_person_is_an_adapter(run):
    assert run("invite", "posta", *FACILITY, "--role", "clinician").exception is not None
