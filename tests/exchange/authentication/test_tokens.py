"""Looking into tokens and ending them: each client its own, an administrator any; strangers learn nothing."""

from __future__ import annotations

import json
import time

import jwt
import pytest

from exchange.crypto.hub_crypto import HubCrypto
from tests.exchange.authentication.clinic import Clinic, refused
from tests.passage.live_hub import live_hub
from tests.sample.requester import HOSPITAL

INACTIVE = {"active": False}


@pytest.fixture(scope="module")
def clinic(live):
    return Clinic(live)


@pytest.fixture(scope="module")
def stranger(live):
    return Clinic(live, organization=HOSPITAL)


@pytest.fixture(scope="module")
def region(live):
    return Clinic(live, role="administrator", scope="system/AuditEvent.rs", organization="geresa")


def works(clinic, token) -> bool:
    return clinic.get("Organization", token).status_code == 200


def test_every_document_names_the_endpoints(live):
    for path in ("/fhir/.well-known/smart-configuration", "/.well-known/oauth-authorization-server"):
        told = live.http("GET", path).json()
        assert told["issuer"] == live.url
        assert told["token_endpoint"] == f"{live.url}/auth/token"
        for name, place in (("introspection", "introspect"), ("revocation", "revoke")):
            assert told[f"{name}_endpoint"] == f"{live.url}/auth/{place}"
            assert told[f"{name}_endpoint_auth_methods_supported"] == ["private_key_jwt"]


def test_a_client_looks_into_its_own_token(clinic):
    token = clinic.token("system/Patient.rs")
    answer = clinic.post("/auth/introspect", token=token, token_type_hint="access_token")
    told = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert told["active"] is True
    assert (told["client_id"], told["scope"], told["token_type"]) == (
        clinic.id,
        "system/Patient.rs",
        "bearer",
    )
    assert told["exp"] > time.time()
    assert told["extensions"]["ihe_iua"]["purpose_of_use"][0]["code"] == "TREAT"


def test_an_administrator_looks_into_any(clinic, region):
    assert region.post("/auth/introspect", token=clinic.token()).json()["active"] is True


def test_what_is_another_s_unknown_altered_or_expired_looks_alike(clinic, stranger, live):
    token = clinic.token()
    head, _, signature = token.rpartition(".")
    spoilt = f"{head}.{'A' * len(signature)}"
    crypto: HubCrypto = live.world.database_store.crypto
    now = int(time.time())
    expired = crypto.sign_access_token(
        jwt.decode(token, options={"verify_signature": False}) | {"iat": now - 600, "exp": now - 300}
    )
    answers = {
        name: stranger.post("/auth/introspect", token=each)
        for name, each in {
            "foreign": token, "unknown": "x", "spoilt": spoilt, "expired": expired, "assertion": clinic.assertion(),
            "long": "x" * 20_000,
        }.items()
    }  # fmt: skip
    for answer in answers.values():
        assert (answer.status_code, answer.json()) == (200, INACTIVE)
    assert clinic.post("/auth/introspect", token=expired).json() == INACTIVE


@pytest.mark.parametrize("path", ["/auth/introspect", "/auth/revoke"])
def test_nobody_is_answered_without_proof(clinic, path):
    token = clinic.token()
    refused(clinic.live.http("POST", path, data={"token": token}), 400, "invalid_request")
    refused(clinic.post(path), 400, "invalid_request")
    refused(clinic.post(path, clinic.assertion(), token=""), 400, "invalid_request")
    refused(clinic.post(path, clinic.assertion(aud="http://elsewhere"), token=token))
    refused(clinic.post(path, clinic.assertion(clinic.p256, "ES256", "p256"), token=token))
    used = clinic.assertion()
    assert clinic.post(path, used, token="x").status_code == 200
    refused(clinic.post(path, used, token=token))
    twice = f"token={token}&token={token}"
    refused(clinic.live.http("POST", path, content=twice), 400, "invalid_request")
    bearer = {"Authorization": f"Bearer {token}"}
    refused(clinic.live.http("POST", path, data={"token": token}, headers=bearer), 400, "invalid_request")
    assert works(clinic, token)


def test_a_token_that_its_client_ends_is_worth_nothing_within_seconds(clinic):
    token, other = clinic.token(), clinic.token()
    assert works(clinic, token)
    answer = clinic.post("/auth/revoke", token=token)
    assert (answer.status_code, answer.content) == (200, b"")
    time.sleep(1.1)  # the hub of these tests remembers a token for a second
    assert not works(clinic, token)
    assert works(clinic, other)
    assert clinic.post("/auth/introspect", token=token).json() == INACTIVE
    assert clinic.post("/auth/revoke", token=token).status_code == 200


def test_a_stranger_ends_nothing_and_cannot_tell(clinic, stranger):
    token = clinic.token()
    told = [stranger.post("/auth/revoke", token=each) for each in (token, "x", "a.b.c")]
    assert {(each.status_code, each.content) for each in told} == {(200, b"")}
    time.sleep(1.1)
    assert works(clinic, token)


def test_an_administrator_ends_any(clinic, region):
    token = clinic.token()
    assert region.post("/auth/revoke", token=token).status_code == 200
    time.sleep(1.1)
    assert not works(clinic, token)


def test_each_of_it_is_in_the_log(clinic, stranger):
    token = clinic.token()
    token_id = jwt.decode(token, options={"verify_signature": False})["jti"]
    stranger.post("/auth/introspect", token=token)
    clinic.post("/auth/introspect", token=token)
    clinic.post("/auth/revoke", token=token)
    said = [each["outcomeDesc"] for each in clinic.live.world.events() if clinic.id in json.dumps(each)]
    assert said[-3:] == ["token issued", "token introspected", "token revoked"]
    by_stranger = [each for each in clinic.live.world.events() if stranger.id in json.dumps(each)][-1]
    assert by_stranger["outcomeDesc"] == "token introspected: not active"
    assert token_id not in json.dumps(by_stranger)


def test_a_token_of_another_hub_is_worth_nothing_here(clinic, server):
    with live_hub(server) as other:
        foreign = Clinic(other).token()
        assert (
            other.http(
                "GET", "/fhir/Organization", headers={"Authorization": f"Bearer {foreign}"}
            ).status_code
            == 200
        )
    assert clinic.get("Organization", foreign).status_code == 401
    assert clinic.post("/auth/introspect", token=foreign).json() == INACTIVE
