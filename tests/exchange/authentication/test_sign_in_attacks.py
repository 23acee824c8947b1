"""Attacks on people's sign-in, over HTTP: on what apps ask, on codes, on the provider's answers, on the browser between."""

from __future__ import annotations

import time
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from exchange.authentication.account import set_account_active
from exchange.problems import Invalid
from tests.exchange.authentication.app import (
    BACK,
    Browser,
    an_account,
    an_app,
    bearer,
    challenge,
    descriptions,
    told,
)
from tests.passage.live_hub import live_hub
from tests.simulators.openid_provider import openid_provider


@pytest.fixture(scope="module")
def provider():
    with openid_provider() as made:
        yield made


@pytest.fixture(scope="module")
def hub(server, provider):
    with live_hub(server, EXCHANGE_MODE="demo", EXCHANGE_OPENID_ISSUER=provider.issuer) as made:
        yield made


@pytest.fixture(scope="module")
def account(hub, provider):
    return an_account(hub, provider.issuer)


@pytest.fixture(scope="module")
def app(hub):
    return an_app(hub)


@pytest.fixture
def browser(hub, provider):
    provider.behave()
    made = Browser(hub)
    yield made
    made.close()


def shown(answer, status=400) -> None:
    """A page that says nothing of the reason, and leads nowhere."""
    assert answer.status_code == status, answer.text
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.text


def sent_back(answer, error, hub) -> dict[str, str]:
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{BACK}?")
    brought = told(answer.headers["location"])
    assert (brought["error"], brought["iss"]) == (error, hub.url)
    assert "code" not in brought
    return brought


# --- what an app asks


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": ...}, {"code_challenge_method": ...}, {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"}, {"code_challenge": ""}, {"code_challenge": "x" * 42},
        {"code_challenge": "x" * 44}, {"code_challenge": "+" * 43}, {"code_challenge": ..., "code_challenge_method": ...},
    ],
    ids=str,
)  # fmt: skip
def test_without_pkce_s256_nobody_is_sent_to_the_provider(hub, browser, app, changed):
    sent_back(browser.authorize(app.request(**changed)), "invalid_request", hub)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": ...}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"aud": ...}, "invalid_request"),
        ({"aud": "https://other.example.org/fhir"}, "invalid_request"),
        ({"state": ...}, "invalid_request"),
        ({"state": "x" * 401}, "invalid_request"),
        ({"state": "a\r\nSet-Cookie: x=1"}, "invalid_request"),
        ({"nonce": "x" * 201}, "invalid_request"),
        ({"purpose_of_use": "TREAT|HMARKT"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://attacker.example.org/r"}, "request_not_supported"),
        ({"scope": ...}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "fhirUser user/*.rs"}, "invalid_scope"),
        ({"scope": "system/*.rs"}, "invalid_scope"),
        ({"scope": "user/*.rs system/*.rs"}, "invalid_scope"),
        ({"scope": "user/*.rs patient/*.rs"}, "invalid_scope"),
        ({"scope": "user/*.rs user/*.rs"}, "invalid_scope"),
        ({"scope": "user/*.sr"}, "invalid_scope"),
        ({"scope": "user/*.read"}, "invalid_scope"),
        ({"scope": "USER/*.rs"}, "invalid_scope"),
        ({"scope": "user/*.rs launch/patient"}, "invalid_scope"),
        ({"scope": "user/*.rs\x00"}, "invalid_scope"),
        ({"scope": "patient/*.cruds"}, "invalid_scope"),  # the app is registered for patient/*.rs
        ({"scope": "user/" + "x" * 1_000}, "invalid_scope"),
    ],
    ids=str,
)
def test_what_an_app_may_not_ask_is_refused_to_it(hub, browser, app, changed, error):
    brought = sent_back(browser.authorize(app.request(**changed)), error, hub)
    if "state" not in changed:
        assert brought["state"] == app.asked["state"]
    else:
        assert "state" not in brought


@pytest.mark.parametrize(
    "uri",
    [
        ..., "", "https://app.example.org/back/", "https://app.example.org/back/../x", "https://app.example.org/backdoor",
        "https://app.example.org/Back", "https://APP.example.org/back", "HTTPS://app.example.org/back",
        "https://app.example.org/back?x=1", "https://app.example.org/back#x", "https://app.example.org:443/back",
        "https://app.example.org:444/back", "https://user@app.example.org/back", "https://app.example.org@evil.example/back",
        "https://app.example.org.evil.example/back", "https://evil.example/https://app.example.org/back",
        "https://app.example.org/back%2e%2e", "https://app.example.org/%62ack", "https://app.example.org\\@evil.example/back",
        "https://app.example.org/back\r\nSet-Cookie: a=b", "https://app.example.org/back\x00", " https://app.example.org/back",
        "https://app.example.org/back ", "http://app.example.org/back", "//app.example.org/back", "/back",
        "javascript:alert(1)//https://app.example.org/back", "data:text/html,x", "https://app.example.org/bаck",
        "https://app.example.org/back\thttps://evil.example",
    ],
    ids=str,
)  # fmt: skip
def test_an_address_that_is_not_exactly_registered_is_never_followed(browser, app, uri):
    """Whatever else is wrong with the request, too: an error is no way to be sent anywhere either."""
    shown(browser.authorize(app.request(redirect_uri=uri)))
    shown(browser.authorize(app.request(redirect_uri=uri, response_type="token")))


@pytest.mark.parametrize("uri", [
    "http://app.example.org/back", "https://*.example.org/back", "https://app.example.org/back#x", "https:///back",
    "https://user@app.example.org/back", "javascript:alert(1)", "https://app.example.org:x/back", "https://a b/back",
    "https://app.example.org/back\r\nX: y", "https://" + "x" * 400, "ftp://app.example.org/", "https://app.example.org:0/",
    "https://аpp.example.org/back", "https://app.example.org\\@evil.example/", "custom:/back",
])  # fmt: skip
def test_no_such_address_is_registered(hub, uri):
    with pytest.raises(Invalid):
        an_app(hub, redirect_uris=(uri,))


def test_a_public_client_holds_no_key_and_no_system_scope(hub):
    for wrong in ({"scopes": "system/*.rs"}, {"scopes": "user/*.rs system/*.rs"}, {"redirect_uris": ()}):
        with pytest.raises(Invalid):
            an_app(hub, **wrong)


@pytest.mark.parametrize("client", ["", "nobody", "app\x00", "' OR '1'='1", "х", "x" * 5_000])
def test_an_unknown_app_is_shown_to_the_person(browser, app, client):
    shown(browser.authorize(app.request(client_id=client)))


def test_a_system_without_addresses_signs_nobody_in(browser, app):
    for uri in (BACK, "", ...):
        shown(browser.authorize(app.request(client_id="hospital", redirect_uri=uri)))


def test_parameters_that_stand_twice_or_are_oversized_are_shown(browser, app):
    asked = list(app.request().items())
    for name in ("redirect_uri", "client_id", "state", "scope", "code_challenge"):
        shown(browser.authorize([*asked, (name, "https://evil.example/")]))
    shown(browser.authorize([*asked, ("x", "y" * 20_000)]))
    shown(browser.authorize([*asked, *((f"x{n}", "y") for n in range(100))]))


def test_parameters_in_other_methods_are_not_looked_at(hub, app):
    assert hub.http("POST", "/auth/authorize", data=app.request()).status_code == 405


# --- codes


def a_code(browser, provider, app, account) -> str:
    return told(browser.sign_in(app, provider, account.subject).headers["location"])["code"]


def refused(answer, error="invalid_grant", status=400) -> None:
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    assert answer.headers["cache-control"] == "no-store"


def test_a_code_is_good_once_and_its_tokens_end_when_it_comes_again(hub, browser, provider, app, account):
    code = a_code(browser, provider, app, account)
    headers = bearer(app.redeem(code))
    assert hub.http("GET", "/fhir/Organization", headers=headers).status_code == 200
    refused(app.redeem(code))
    began = time.monotonic()
    while hub.http("GET", "/fhir/Organization", headers=headers).status_code != 401:
        assert time.monotonic() - began < 5
        time.sleep(0.1)
    assert "login; token refused: code used again" in descriptions(hub)


@pytest.mark.parametrize("verifier", [
    ..., "", "x" * 42, "x" * 43, "x" * 129, "the challenge itself", "é" * 43, "x" * 43 + "\x00",
])  # fmt: skip
def test_a_wrong_verifier_is_refused_and_uses_the_code_up(browser, provider, app, account, verifier):
    code = a_code(browser, provider, app, account)
    if verifier == "the challenge itself":
        verifier = challenge(app.verifier)
    refused(app.redeem(code, code_verifier=verifier))
    refused(app.redeem(code))


def test_a_code_of_another_app_is_refused(hub, browser, provider, app, account):
    for other in (an_app(hub), an_app(hub, is_public=False)):
        code = a_code(browser, provider, app, account)
        other.verifier = app.verifier
        refused(other.redeem(code))
        refused(app.redeem(code))


@pytest.mark.parametrize("uri", [..., "", f"{BACK}/", "https://app.example.org/other"])
def test_a_code_is_redeemed_for_the_address_that_it_went_to(hub, browser, provider, account, uri):
    two = an_app(hub, redirect_uris=(BACK, "https://app.example.org/other"))
    refused(two.redeem(a_code(browser, provider, two, account), redirect_uri=uri))


@pytest.mark.parametrize("code", ["", "x", "x" * 20_000, "' OR '1'='1", "a\x00b", "é", ...])
def test_an_invented_code_is_refused(app, code):
    app.request()
    refused(app.redeem(code))


def test_a_confidential_app_proves_itself(hub, browser, provider, account):
    app, stranger = an_app(hub, is_public=False), an_app(hub, is_public=False)
    code = a_code(browser, provider, app, account)
    nothing = {"client_assertion": ..., "client_assertion_type": ...}
    refused(app.redeem(code, **nothing), "invalid_client", 401)
    refused(app.redeem(code, **nothing, client_id=app.client_id), "invalid_client", 401)
    refused(app.redeem(code, client_assertion_type="jwt"), "invalid_client", 401)
    refused(app.redeem(code, client_assertion="e30.e30.e30"), "invalid_client", 401)
    refused(app.redeem(code, client_id=stranger.client_id), "invalid_client", 401)
    used = app.system.assertion()
    assert app.redeem(code, client_assertion=used).status_code == 200
    refused(app.redeem(a_code(browser, provider, app, account), client_assertion=used), "invalid_client", 401)


def test_a_public_app_gets_no_token_of_its_own_right(app):
    answer = app.redeem("x", grant_type="client_credentials", scope="user/*.rs")
    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.json()


def test_a_form_with_a_field_twice_is_refused(hub, browser, provider, app, account):
    code = a_code(browser, provider, app, account)
    form = [("grant_type", "authorization_code"), ("code", code), ("code", "x"), ("client_id", app.client_id),
            ("redirect_uri", BACK), ("code_verifier", app.verifier)]  # fmt: skip
    answer = hub.http("POST", "/auth/token", content=urlencode(form),
                      headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    refused(answer, "invalid_request")


def test_an_expired_code_is_refused(hub, browser, provider, app, account):
    code = a_code(browser, provider, app, account)
    with hub.world.sql() as cursor:
        cursor.execute(
            "UPDATE authorization_code SET expires_at = expires_at - 61 WHERE client_id = %s",
            (app.client_id,),
        )
    refused(app.redeem(code))


def test_no_code_lies_in_the_database(hub, browser, provider, app, account):
    code = a_code(browser, provider, app, account)
    with hub.world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM authorization_code a WHERE a::text LIKE %s", (f"%{code}%",))
        assert cursor.fetchone() == (0,)


def test_an_account_that_is_suspended_between_sign_in_and_token_gets_none(hub, browser, provider, app):
    made = an_account(hub, provider.issuer)
    code = a_code(browser, provider, app, made)
    hub.world.spine.operate("x", lambda tx: set_account_active(tx, made.account_id, is_active=False) and None)
    refused(app.redeem(code))


# --- the browser in between


def test_a_sign_in_ends_in_the_browser_that_began_it(hub, provider, app, account):
    """Login CSRF: the attacker begins, the victim's browser is sent to the end."""
    attacker, victim = Browser(hub), Browser(hub)
    location = attacker.authorize(app.request()).headers["location"]
    brought = provider.authorize(location, account.subject)
    shown(victim.callback(brought))  # no sign-in under way
    victim.authorize(app.request())
    shown(victim.callback(brought))  # another one under way
    assert "login; sign-in refused: state" in descriptions(hub)
    assert "code" in told(attacker.callback(brought).headers["location"])
    attacker.close()
    victim.close()


@pytest.mark.parametrize("state", [..., "", "x", "é", "\x00"])
def test_state_is_not_to_be_guessed_or_left_out(browser, provider, app, account, state):
    location = browser.authorize(app.request()).headers["location"]
    shown(browser.callback(provider.authorize(location, account.subject, state=state)))


def test_a_callback_comes_back_once(browser, provider, app, account):
    location = browser.authorize(app.request()).headers["location"]
    brought = provider.authorize(location, account.subject)
    assert "code" in told(browser.callback(brought).headers["location"])
    shown(browser.callback(brought))  # the cookie is gone


def test_a_code_of_the_provider_is_not_used_twice_even_with_its_cookie(hub, browser, provider, app, account):
    location = browser.authorize(app.request()).headers["location"]
    cookies = dict(browser.http.cookies)
    brought = provider.authorize(location, account.subject)
    browser.callback(brought)
    browser.http.cookies.update(cookies)
    sent_back(browser.callback(brought), "temporarily_unavailable", hub)


@pytest.mark.parametrize("cookie", ["", "x", "x" * 8_000, "AAAA", "é", "%00"])
def test_a_forged_cookie_is_refused(hub, provider, app, account, browser, cookie):
    location = browser.authorize(app.request()).headers["location"]
    brought = provider.authorize(location, account.subject)
    value = f"chasqui-sign-in={cookie}".encode()
    shown(hub.http("GET", f"/auth/callback?{urlencode(brought)}", headers={b"Cookie": value}))


def test_an_altered_cookie_does_not_open(hub, provider, app, account, browser):
    location = browser.authorize(app.request()).headers["location"]
    sealed = browser.http.cookies["chasqui-sign-in"]
    brought = provider.authorize(location, account.subject)
    for altered in (sealed[:-2] + ("AA" if sealed[-2:] != "AA" else "BB"), sealed[1:], sealed + "AAAA"):
        shown(
            hub.http(
                "GET", "/auth/callback", params=brought, headers={"Cookie": f"chasqui-sign-in={altered}"}
            )
        )


def test_the_cookie_is_the_browser_s_alone_and_holds_nothing_readable(hub, browser, app):
    answer = browser.authorize(app.request())
    cookie = answer.headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=600"):
        assert attribute in cookie
    assert "Domain" not in cookie
    assert app.verifier not in cookie
    assert len(cookie) < 4_096
    scope = " ".join(f"user/T{'a' * number}.rs" for number in range(1, 36))[:1_000].rsplit(" ", 1)[0]
    far = "https://app.example.org/" + "x" * (400 - len("https://app.example.org/"))
    wide = an_app(hub, redirect_uris=(far,)).request(
        state="x" * 400, nonce="y" * 200, scope=scope, redirect_uri=far
    )
    longest = browser.authorize(wide)
    assert longest.status_code == 303
    assert len(scope) > 930
    assert len(longest.headers["set-cookie"]) < 4_096


def test_a_production_cookie_is_tied_to_host_and_https(server):
    with live_hub(
        server, EXCHANGE_OPENID_ISSUER="https://127.0.0.1:1", EXCHANGE_PUBLIC_URL="https://hub.example.org"
    ) as made:
        # Its provider does not answer, so no sign-in begins; a cookie of the demonstration's name counts for nothing.
        shown(made.http("GET", "/auth/callback?state=x&code=y", headers={"Cookie": "chasqui-sign-in=x"}))
        found = made.http("GET", "/fhir/.well-known/smart-configuration").json()
        assert found["authorization_endpoint"] == "https://hub.example.org/auth/authorize"


def test_nothing_splits_the_answer(hub, browser, provider, app, account):
    location = browser.authorize(app.request(state="a&code=forged#x%0d%0aX")).headers["location"]
    back = browser.callback(provider.authorize(location, account.subject))
    assert told(back.headers["location"])["state"] == "a&code=forged#x%0d%0aX"
    assert back.headers["location"].count("code=") == 1
    raw = f"{hub.url}/auth/callback?state=x%0d%0aSet-Cookie:%20a=b&code={quote('é')}"
    answer = hub.http("GET", raw)
    shown(answer)
    assert "set-cookie" not in answer.headers


# --- what the provider says


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "another"}, "nonce"), ({"nonce": ...}, "nonce"), ({"nonce": 1}, "nonce"), ({"nonce": "é"}, "nonce"),
        ({"aud": "another"}, "InvalidAudienceError"), ({"aud": ["chasqui", "another"]}, "further audiences"),
        ({"aud": ...}, "MissingRequiredClaimError"), ({"azp": "another"}, "authorized party"),
        ({"iss": "https://evil.example"}, "InvalidIssuerError"), ({"iss": ...}, "MissingRequiredClaimError"),
        ({"exp": 1}, "ExpiredSignatureError"), ({"exp": ...}, "MissingRequiredClaimError"),
        ({"iat": 1}, "age"), ({"iat": 2**40}, "ImmatureSignatureError"), ({"nbf": 2**40}, "ImmatureSignatureError"),
        ({"sub": ""}, "subject"), ({"sub": ...}, "MissingRequiredClaimError"), ({"sub": 7}, "InvalidSubjectError"),
        ({"sub": "x" * 256}, "subject"), ({"sub": "a\x00b"}, "subject"), ({"at_hash": "AAAA"}, "at_hash"),
        ({"iat": -(10**400)}, "age"), ({"exp": "never"}, ""),
    ],
    ids=str,
)  # fmt: skip
def test_an_id_token_that_does_not_say_it_is_refused(hub, browser, provider, app, account, claims, reason):
    provider.claims = claims
    sent_back(browser.sign_in(app, provider, account.subject), "access_denied", hub)
    assert descriptions(hub)[-1].startswith("login; sign-in refused: id token: ")
    assert reason in descriptions(hub)[-1]


@pytest.mark.parametrize("forge", ["none", "HS256"])
def test_an_id_token_signed_by_nobody_or_with_the_public_key_is_refused(
    hub, browser, provider, app, account, forge
):
    provider.forge = forge
    sent_back(browser.sign_in(app, provider, account.subject), "access_denied", hub)
    assert descriptions(hub)[-1] == "login; sign-in refused: id token: algorithm"


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256"])
def test_the_provider_s_own_keys_are_good(browser, provider, app, account, algorithm):
    provider.algorithm = algorithm
    provider.claims = {"at_hash": ...}
    assert "code" in told(browser.sign_in(app, provider, account.subject).headers["location"])


@pytest.mark.parametrize("header", [
    {}, {"kid": "stranger"}, {"kid": "ec"}, {"kid": "rsa", "jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/"},
])  # fmt: skip
def test_a_stranger_s_key_is_refused_whatever_the_header_offers(hub, browser, provider, app, account, header):
    provider.key, provider.header = provider.stranger, header
    sent_back(browser.sign_in(app, provider, account.subject), "access_denied", hub)


def test_a_small_key_is_refused(hub, browser, provider, app, account, recwarn):
    provider.key = rsa.generate_private_key(65537, 1024)
    sent_back(browser.sign_in(app, provider, account.subject), "access_denied", hub)
    recwarn.clear()


@pytest.mark.parametrize("iss", [..., "", "https://evil.example"])
def test_an_answer_of_another_provider_is_refused_before_its_code_is_sent_anywhere(
    hub, browser, provider, app, account, iss
):
    """Mix-up: the code of one provider must not reach another's token endpoint."""
    location = browser.authorize(app.request()).headers["location"]
    before = provider.requests.count("/token")
    sent_back(browser.callback(provider.authorize(location, account.subject, iss=iss)), "access_denied", hub)
    assert provider.requests.count("/token") == before
    assert descriptions(hub)[-1] == "login; sign-in refused: issuer of the answer"


def test_a_provider_that_refuses_is_refused_to_the_app(hub, browser, provider, app):
    location = browser.authorize(app.request()).headers["location"]
    state = told(location)["state"]
    brought = {
        "error": "login_required<script>",
        "error_description": "x",
        "state": state,
        "iss": provider.issuer,
    }
    sent_back(browser.callback(brought), "access_denied", hub)


def test_an_old_answer_does_not_fit_a_new_sign_in(hub, browser, provider, app, account):
    """Nonce replay: an ID token of an earlier sign-in, under the right state."""
    first = browser.authorize(app.request()).headers["location"]
    old = told(first)["nonce"]
    second = browser.authorize(app.request()).headers["location"]
    assert told(second)["nonce"] != old
    provider.claims = {"nonce": old}
    sent_back(browser.callback(provider.authorize(second, account.subject)), "access_denied", hub)


@pytest.mark.parametrize("behaviour", [{"slow_seconds": 30.0}, {"drip": True}])
def test_a_slow_provider_is_left_and_holds_up_nobody(hub, browser, provider, app, account, behaviour):
    for name, value in behaviour.items():
        setattr(provider, name, value)
    began = time.monotonic()
    sent_back(browser.sign_in(app, provider, account.subject), "temporarily_unavailable", hub)
    assert time.monotonic() - began < 8


def test_a_huge_answer_is_left(hub, browser, provider, app, account):
    location = browser.authorize(app.request()).headers["location"]
    brought = provider.authorize(location, account.subject)
    provider.huge = True
    sent_back(browser.callback(brought), "temporarily_unavailable", hub)
    assert "too large" in descriptions(hub)[-1]


def test_a_provider_that_redirects_is_not_followed(hub, browser, provider, app, account):
    provider.redirect = f"{provider.issuer}/elsewhere"
    before = len(provider.forms)
    sent_back(browser.sign_in(app, provider, account.subject), "temporarily_unavailable", hub)
    assert len(provider.forms) == before + 1
    assert "/elsewhere" not in provider.requests
