"""Attacks on the token endpoint and on access tokens, over HTTP, with real keys. Each is refused in the same words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from exchange.demo.client import ASSERTION_TYPE
from tests.exchange.authentication.clinic import Clinic, b64, raw, refused
from tests.passage.world import patient_of
from tests.sample.requester import HOSPITAL, POST


@pytest.fixture
def clinic(live):
    return Clinic(live)


# --- what is good


@pytest.mark.parametrize(("algorithm", "kid"), [("ES384", "ec"), ("RS384", "rsa")])
def test_a_good_assertion_is_granted_a_short_token(clinic, algorithm, kid):
    answer = clinic.ask(clinic.assertion(getattr(clinic, kid), algorithm, kid))
    assert answer.status_code == 200
    granted = answer.json()
    assert granted.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (granted["token_type"], granted["scope"]) == ("bearer", "system/*.rs")
    assert granted["expires_in"] <= 300
    token = {"Authorization": f"Bearer {granted['access_token']}"}
    assert clinic.live.http("GET", "/fhir/Organization", headers=token).status_code == 200


# --- algorithms and keys


def test_no_algorithm_is_refused(clinic):
    for none in ("none", "None", "NONE", ""):
        refused(clinic.ask(raw({"alg": none, "kid": "ec", "typ": "JWT"}, clinic.claims())))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_as_a_shared_secret_is_refused(clinic, algorithm):
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    for kid, key in (("ec", clinic.ec), ("rsa", clinic.rsa)):
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signed = raw({"alg": algorithm, "kid": kid}, clinic.claims()).rpartition(".")[0]
        refused(clinic.ask(f"{signed}.{b64(hmac.new(public, signed.encode(), digest).digest())}"))


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS384", "PS256"])
def test_another_algorithm_is_refused_with_the_right_key(clinic, algorithm):
    refused(clinic.ask(clinic.assertion(clinic.rsa, algorithm, "rsa")))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384"])
def test_a_weaker_curve_is_refused(clinic, algorithm):
    if algorithm == "ES256":
        refused(clinic.ask(clinic.assertion(clinic.p256, algorithm, "p256")))
    else:
        refused(clinic.ask(clinic.assertion(clinic.ec, algorithm, "p256")))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_small_rsa_key_is_refused(clinic):
    refused(clinic.ask(clinic.assertion(clinic.small, "RS384", "small")))


@pytest.mark.parametrize("kid", ["", "rsa", "unknown", "EC", "../ec", "ec\u0000", "' OR '1'='1"])
def test_another_key_id_is_refused(clinic, kid):
    refused(clinic.ask(clinic.assertion(kid=kid)))


def test_a_strangers_key_is_refused_whatever_the_header_offers(clinic):
    stranger = ec.generate_private_key(ec.SECP384R1())
    offered = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(stranger.public_key())) | {"kid": "ec"}
    for headers in (
        {}, {"jwk": offered}, {"jku": "http://127.0.0.1:1/jwks.json"}, {"x5u": "http://127.0.0.1:1/cert"}, {"x5c": ["AAAA"]},
        {"jku": "https://example.org/jwks", "x5t": "AAAA"},
    ):  # fmt: skip
        began = time.monotonic()
        refused(clinic.ask(clinic.assertion(stranger, headers=headers)))
        assert time.monotonic() - began < 5


def test_a_signature_altered_by_a_bit_is_refused(clinic):
    head, _, signature = clinic.assertion().rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[5] ^= 1
    refused(clinic.ask(f"{head}.{b64(bytes(raw))}"))
    refused(clinic.ask(f"{head}."))
    refused(clinic.ask(head))


def test_claims_exchanged_under_a_good_signature_are_refused(clinic):
    header, _, signature = clinic.assertion().split(".")
    refused(
        clinic.ask(
            f"{header}.{b64(json.dumps(clinic.claims(exp=int(time.time()) + 200)).encode())}.{signature}"
        )
    )


# --- claims


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "jti"])
def test_a_missing_claim_is_refused(clinic, claim):
    refused(clinic.ask(clinic.assertion(**{claim: ...})))


@pytest.mark.parametrize(
    "changed",
    [{"iss": "somebody"}, {"sub": "posta"}, {"sub": "nobody"}, {"iss": "posta", "sub": "posta"}, {"aud": "http://elsewhere/auth/token"},
     {"aud": ""}, {"aud": []}, {"aud": ["http://elsewhere"]}, {"aud": None}, {"sub": ["x"]}, {"sub": {}}, {"sub": ""}, {"sub": None},
     {"sub": "x\u0000y"}, {"jti": ""}, {"jti": "x" * 201}, {"jti": "a\u0000b"}, {"jti": 7}],
    ids=str,
)  # fmt: skip
def test_a_wrong_claim_is_refused(clinic, changed):
    claims = clinic.claims(**changed)
    signed = raw({"alg": "ES384", "kid": "ec"}, claims).rpartition(".")[0]
    signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA384).sign(signed.encode(), clinic.ec)
    refused(clinic.ask(f"{signed}.{b64(signature)}"))


@pytest.mark.parametrize("audience", ["/auth/token/", "/fhir", "", "/AUTH/TOKEN"])
def test_an_audience_that_is_nearly_right_is_refused(clinic, audience):
    refused(clinic.ask(clinic.assertion(aud=clinic.live.url + audience)))


def test_an_assertion_for_several_audiences_is_refused(clinic):
    own = f"{clinic.live.url}/auth/token"
    refused(clinic.ask(clinic.assertion(aud=[own, "https://another.example/token"])))
    refused(clinic.ask(clinic.assertion(aud=[own, own])))
    assert clinic.ask(clinic.assertion(aud=[own])).status_code == 200


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("exp", -60), ("exp", -11), ("exp", 400), ("exp", 86_400), ("nbf", 60), ("iat", 600)],
)
def test_a_time_that_does_not_fit_is_refused(clinic, name, seconds):
    refused(clinic.ask(clinic.assertion(**{name: int(time.time()) + seconds})))


@pytest.mark.parametrize(
    "text", ["Infinity", "-Infinity", "NaN", "1e400", "[]", "{}", '"x"', "null", "true", "9" * 400]
)
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
def test_a_time_that_is_none_is_refused(clinic, claim, text):
    claims = json.dumps(clinic.claims(**{claim: "@"})).replace('"@"', text)
    signed = f"{b64(json.dumps({'alg': 'ES384', 'kid': 'ec'}).encode())}.{b64(claims.encode())}"
    signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA384).sign(signed.encode(), clinic.ec)
    answer = clinic.ask(f"{signed}.{b64(signature)}")
    if claim == "exp" or answer.status_code != 200:
        refused(answer)


def test_an_assertion_is_good_once(clinic):
    assertion = clinic.assertion()
    assert clinic.ask(assertion).status_code == 200
    refused(clinic.ask(assertion))
    refused(
        clinic.ask(clinic.assertion(jti=jwt.decode(assertion, options={"verify_signature": False})["jti"]))
    )


def test_racing_replays_of_one_assertion_are_granted_once(clinic):
    from concurrent.futures import ThreadPoolExecutor

    assertion = clinic.assertion()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: clinic.ask(assertion).status_code, range(8)))
    assert sorted(statuses) == [200] + [401] * 7


@pytest.mark.parametrize(
    "assertion",
    ["", "x", "..", "a.b.c", "\u00f1", "A" * 9_000, "e30.e30.", b64(b"[" * 5_000) + ".e30.", "e30." + b64(b"[" * 5_000) + ".",
     raw([], []), raw({"alg": "ES384", "kid": 7}, {}), raw({"alg": ["ES384"]}, {}), raw({"alg": "ES384", "crit": ["x"]}, {"sub": "posta"}),
     raw({"alg": "ES384", "kid": "ec"}, {"sub": "a\u0000"}), raw({"alg": "ES384", "b64": False, "crit": ["b64"]}, {"sub": "posta"})],
    ids=range(15),
)  # fmt: skip
def test_what_is_no_assertion_is_refused(clinic, assertion):
    refused(clinic.ask(assertion))


# --- the form


@pytest.mark.parametrize(
    ("form", "error"),
    [({"grant_type": "password"}, "unsupported_grant_type"), ({"grant_type": ""}, "unsupported_grant_type"),
     ({"client_assertion_type": "x"}, "invalid_request"), ({"scope": ""}, "invalid_request")],
)  # fmt: skip
def test_another_grant_is_refused(clinic, form, error):
    refused(clinic.ask(clinic.assertion(), **form), 400, error)


def test_a_parameter_told_twice_is_refused(clinic):
    body = f"grant_type=client_credentials&scope=system/*.rs&scope=system/*.cruds&client_assertion_type={ASSERTION_TYPE}&client_assertion={clinic.assertion()}"
    refused(clinic.live.http("POST", "/auth/token", content=body), 400, "invalid_request")
    refused(clinic.live.http("POST", "/auth/token", content="x" * 40_000), 400, "invalid_request")


# --- scopes


@pytest.mark.parametrize(
    "scope",
    ["system:Patient.read", "system:Patient.rs", "system/Patient.rs system/Patient.read", "system/Patient.cruds system/*.read",
        "system/Patient.read", "system/Patient.write", "system/*.*", "system/Patient.*", "SYSTEM/Patient.rs", "System/Patient.rs",
     "system/patient.rs", "system/Patient.RS", "system/Patient.sr", "system/Patient.rr", "system/Patient.", "system/.rs", "system/Patient.rsx",
     "user/Patient.rs", "patient/Patient.rs", "system/Patient.rs system/Patient.rs", "system/Patient.rs  system/Observation.rs", " system/Patient.rs",
     "system/Patient.rs ", "system/Patient.rs\tsystem/Observation.rs", "system/Pati\u0435nt.rs", "system/Patient.\uff52s", "\u017fystem/Patient.rs",
     "system/Patient.rs?code=1", "system/Patient.rs,system/Observation.rs", "openid", "*", "system/*", "system/**.rs", "system/Patient.rs\n",
     "system/Patient.rs\u0000"],
)  # fmt: skip
def test_a_scope_that_is_not_written_as_it_should_be_is_refused(clinic, scope):
    refused(clinic.ask(clinic.assertion(), scope), 400, "invalid_scope")


@pytest.mark.parametrize(
    "scope",
    [
        "system/*.rs",
        "system/Patient.c",
        "system/Observation.rs system/Patient.cr",
        "system/AuditEvent.r",
        "system/Patient.rd",
    ],
)
def test_a_scope_broader_than_registered_is_refused_whole(live, scope):
    client = f"narrow-{uuid.uuid4().hex[:8]}"
    asking = live.enter(client, POST, "system/Patient.rs", id_prefix=f"z{uuid.uuid4().hex[:8]}-")
    told = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
    refused(
        live.http(
            "POST", "/auth/token", data=told | {"scope": scope, "client_assertion": asking.assertion()}
        ),
        400,
        "invalid_scope",
    )
    good = live.http(
        "POST",
        "/auth/token",
        data=told | {"scope": "system/Patient.r", "client_assertion": asking.assertion()},
    )
    assert good.json()["scope"] == "system/Patient.r"


# --- purpose of use


def _purpose(*codes: str) -> dict:
    return {"hl7-b2b": {"version": "1", "purpose_of_use": list(codes)}}


@pytest.mark.parametrize(
    "extensions",
    [_purpose("http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG"), _purpose("urn:oid:2.16.840.1.113883.5.8#HOPERAT"), _purpose("TREAT"),
     _purpose("urn:oid:1.2.3#TREAT"), _purpose(), {"hl7-b2b": {"purpose_of_use": "urn:oid:2.16.840.1.113883.5.8#TREAT"}}, {"hl7-b2b": {"purpose_of_use": [7]}},
     _purpose("urn:oid:2.16.840.1.113883.5.8#TREAT", "urn:oid:2.16.840.1.113883.5.8#PUBHLTH"), _purpose("urn:oid:2.16.840.1.113883.5.8#treat")],
    ids=str,
)  # fmt: skip
def test_a_purpose_that_is_not_registered_is_refused(clinic, extensions):
    refused(clinic.ask(clinic.assertion(extensions=extensions)))


@pytest.mark.parametrize(
    "extensions", [None, [], "x", {"hl7-b2b": None}, {"hl7-b2b": []}, {"hl7-b2b": {}}], ids=str
)
def test_claims_of_no_form_are_refused(clinic, extensions):
    refused(clinic.ask(clinic.assertion(extensions=extensions)))


@pytest.mark.parametrize("extensions", [..., {}, _purpose("urn:oid:2.16.840.1.113883.5.8#PUBHLTH")], ids=str)
def test_without_a_purpose_the_registered_one_stands(clinic, extensions):
    answer = clinic.ask(clinic.assertion(extensions=extensions))
    assert answer.status_code == 200
    told = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    is_told = isinstance(extensions, dict) and extensions.get("hl7-b2b")
    assert told["purpose_of_use"] == ("PUBHLTH" if is_told else "TREAT")


# --- access tokens


def _asks(live, *authorizations: str):
    return live.http(
        "GET", "/fhir/Organization", headers=[("Authorization", each) for each in authorizations]
    )


@pytest.fixture
def token(live) -> str:
    return live.clients["posta"].token()


def test_a_token_of_another_making_is_refused(live, token):
    claims = jwt.decode(token, options={"verify_signature": False})
    stolen = raw({"alg": "none", "typ": "at+jwt"}, claims)
    rsa_key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    header, payload, signature = token.split(".")
    wide = b64(json.dumps(claims | {"scope": "system/*.cruds", "sub": "hospital"}).encode())
    for forged in (
        stolen, jwt.encode(claims, "x" * 32, "HS256"), jwt.encode(claims, "x" * 64, "HS512"), jwt.encode(claims, rsa_key, "RS384"),
        f"{header}.{wide}.{signature}", f"{header}.{payload}.", f"{header}.{payload}.{signature[:-4]}AAAA", token + "A", token[1:], "null", "undefined",
        b64(b"[" * 5_000) + ".e30.AAAA", b64(b'{"alg":"HS256"}') + "." + b64(b"[" * 5_000) + ".AAAA",
    ):  # fmt: skip
        answer = _asks(live, f"Bearer {forged}")
        assert answer.status_code == 401, forged[:80]
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert forged[:20] not in answer.text


def test_a_client_assertion_is_no_access_token(live):
    assert _asks(live, f"Bearer {live.clients['posta'].assertion()}").status_code == 401


@pytest.mark.parametrize(
    "form",
    ["Basic {}", "{}", "bearer{}", "Bearer  {}", "DPoP {}", "Token {}", "Bearer {},Bearer x", "Bearer {} x"],
)
def test_another_scheme_is_refused(live, token, form):
    assert _asks(live, form.format(token)).status_code == 401


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}"])
def test_the_scheme_has_no_case(live, token, form):
    assert _asks(live, form.format(token)).status_code == 200


def test_several_authorization_headers_are_refused(live, token):
    for pair in (
        (f"Bearer {token}", "Bearer x"),
        ("Bearer x", f"Bearer {token}"),
        (f"Bearer {token}", "Basic eDp4"),
        (f"Bearer {token}", f"Bearer {token}"),
    ):
        assert _asks(live, *pair).status_code == 401


@pytest.mark.parametrize("place", ["?access_token={}", "?token={}"])
def test_a_token_in_the_address_is_no_token(live, token, place):
    assert live.http("GET", "/fhir/Organization" + place.format(token)).status_code == 401


def test_a_suspended_client_is_out_within_seconds_and_back_again(live):
    client = live.enter(
        f"leaving-{uuid.uuid4().hex[:6]}", HOSPITAL, "system/*.rs", id_prefix=f"z{uuid.uuid4().hex[:8]}-"
    )
    held = client.token()
    assert _asks(live, f"Bearer {held}").status_code == 200
    live.suspend(client.client_id)
    began = time.monotonic()
    while _asks(live, f"Bearer {held}").status_code == 200:
        assert time.monotonic() - began < 5
        time.sleep(0.1)
    told = {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion_type": ASSERTION_TYPE,
    }
    refused(live.http("POST", "/auth/token", data=told | {"client_assertion": client.assertion()}))
    live.suspend(client.client_id, back=True)
    assert _asks(live, f"Bearer {held}").status_code == 200


def test_a_narrowed_registration_narrows_the_tokens_that_are_out(live):
    name, prefix = f"narrowed-{uuid.uuid4().hex[:6]}", f"z{uuid.uuid4().hex[:8]}-"
    client = live.enter(name, HOSPITAL, "system/Patient.rs system/Organization.rs", id_prefix=prefix)
    held = client.token()
    assert _asks(live, f"Bearer {held}").status_code == 200
    live.enter(name, HOSPITAL, "system/Patient.rs", id_prefix=prefix)
    began = time.monotonic()
    while _asks(live, f"Bearer {held}").status_code == 200:
        assert time.monotonic() - began < 5
        time.sleep(0.1)
    assert _asks(live, f"Bearer {held}").status_code == 403


def test_the_token_says_who_asks_and_the_body_does_not(live):
    """A caller is its token: nothing in a request makes it another facility."""
    live.clients["posta"].request("PUT", "Patient/posta-p77", body=patient_of(POST, 77)).raise_for_status()
    for headers in (
        {"X-Organization": POST},
        {"X-Forwarded-User": "posta"},
        {"From": "posta"},
        {"X-HTTP-Method-Override": "DELETE"},
    ):
        assert (
            live.clients["hospital"].request("GET", "Patient/posta-p77", headers=headers).status_code == 404
        )


def test_tokens_granted_and_refused_are_audited(clinic):
    before = len(clinic.live.world.events("&subtype=operation"))
    clinic.ask(clinic.assertion())
    clinic.ask(clinic.assertion(aud="x"))
    clinic.ask("x")
    clinic.ask(clinic.assertion(), "system/*.wrong")
    assert len(clinic.live.world.events("&subtype=operation")) == before + 4
