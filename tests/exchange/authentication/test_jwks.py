"""Keys that lie at a client's own address: fetched without being led to what only this machine reaches, and rarely."""

from __future__ import annotations

import json
import socket
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.authentication import jwks_fetch
from exchange.authentication.jwks import FETCH_SECONDS, FetchedKeys, checked_keys
from exchange.authentication.jwks_fetch import MOST_SECONDS, RefusedFetch, fetch_jwks, is_jwks_url, is_public
from exchange.problems import Invalid
from exchange.settings import Settings
from tests.simulators.jwks_server import jwks_server


def public_key(kid: str = "a", private: bool = False) -> dict:
    key = ec.generate_private_key(ec.SECP384R1())
    told = key if private else key.public_key()
    return json.loads(jwt.algorithms.ECAlgorithm.to_jwk(told)) | {"kid": kid}


@pytest.fixture
def demonstration(monkeypatch):
    """The hub as a demonstration that fetches keys from its own machine."""
    chosen = Settings(mode="demo", dangerously_fetch_client_keys_from_this_machine=True)
    monkeypatch.setattr(jwks_fetch, "settings", lambda: chosen)


@pytest.fixture
def names(monkeypatch):
    """What names lead to: the test says."""
    led: dict[str, list[str]] = {}

    def look_up(host, port, **_):
        if host not in led:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in led[host]]

    monkeypatch.setattr(jwks_fetch.socket, "getaddrinfo", look_up)
    return led


@pytest.fixture
def connections(monkeypatch):
    """The addresses that were connected to: none of them answers."""
    made: list[tuple[str, int]] = []

    def connect(address, **_):
        made.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(jwks_fetch.socket, "create_connection", connect)
    return made


# --- addresses


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
     "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
     "fec0::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::",
     "2001:0:7f00:1::", "2001:db8::1", "100::1", "nonsense", ""],
)  # fmt: skip
def test_an_address_that_only_this_machine_reaches_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "200.48.225.130", "2606:4700:4700::1111", "2800:200::1"])
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["http://keys.example/k", "ftp://keys.example/k", "file:///etc/passwd", "https://", "https:///k", "https://u@keys.example/k",
     "https://u:p@keys.example/k", "https://keys.example/k#x", "https://keys.example:0/k", "https://keys.example:99999/k", "https://keys.example/ k",
     "https://k\u00e9ys.example/k", "https://keys.example/\r\nHost: x", "https://[::1/k", "https://keys.example%2f@x/k", "//keys.example/k", "",
     "https://keys.example/" + "k" * 500, "gopher://keys.example/k", "https://127.0.0.1\\@keys.example/"],
)  # fmt: skip
def test_what_is_no_https_address_is_not_registered(url):
    assert not is_jwks_url(url)


@pytest.mark.parametrize(
    "url", ["https://keys.example/k", "https://keys.example:8443/a/b?c=d", "https://sub.keys.example"]
)
def test_an_https_address_is(url):
    assert is_jwks_url(url)


@pytest.mark.parametrize(
    "led_to",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["8.8.8.8", "10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1"],
        [],
    ],
)
def test_a_name_that_leads_inside_is_not_connected_to(names, connections, led_to):
    names["keys.example"] = led_to
    with pytest.raises(RefusedFetch, match="not public"):
        fetch_jwks("https://keys.example/k")
    assert connections == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "0x7f.1", "2130706433", "127.1", "[::ffff:7f00:1]", "0"]
)
def test_this_machine_by_any_name_is_not_connected_to(connections, host):
    with pytest.raises(RefusedFetch):
        fetch_jwks(f"https://{host}/k")
    assert connections == []


def test_a_name_is_looked_up_once_and_connected_to_where_it_led_then(names, connections, monkeypatch):
    names["keys.example"] = ["8.8.8.8"]
    look_up, looked = jwks_fetch.socket.getaddrinfo, []

    def rebinding(host, port, **more):
        looked.append(host)
        found = look_up(host, port, **more)
        names["keys.example"] = ["127.0.0.1"]
        return found

    monkeypatch.setattr(jwks_fetch.socket, "getaddrinfo", rebinding)
    with pytest.raises(RefusedFetch, match="connection"):
        fetch_jwks("https://keys.example/k")
    assert connections == [("8.8.8.8", 443)]
    assert looked == ["keys.example"]


def test_keys_of_this_machine_are_for_demonstrations(monkeypatch):
    with pytest.raises(ValueError, match="demonstration"):
        Settings(dangerously_fetch_client_keys_from_this_machine=True)
    assert not Settings(mode="demo").dangerously_fetch_client_keys_from_this_machine


def test_even_a_demonstration_fetches_by_http_from_loopback_alone(demonstration, names, connections):
    names["keys.example"] = ["10.0.0.1"]
    with pytest.raises(RefusedFetch, match="not public"):
        fetch_jwks("http://keys.example/k")
    assert connections == []


# --- what a server may answer


def test_keys_are_fetched(demonstration):
    jwks = {"keys": [public_key()]}
    with jwks_server(jwks) as server:
        assert fetch_jwks(server.url) == jwks


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [("redirect", "status 302"), ("error", "status 500"), ("bomb", "too large"), ("endless", "too large"), ("text", "no JSON"),
     ("deep", "no JSON")],
)  # fmt: skip
def test_another_answer_is_refused(demonstration, behaviour, reason):
    with jwks_server({"keys": [public_key()]}) as server:
        server.behaviour = behaviour
        with pytest.raises(RefusedFetch, match=reason):
            fetch_jwks(server.url)
        assert server.asked == 1


@pytest.mark.parametrize("behaviour", ["drip", "drip-head", "silent"])
def test_a_slow_server_is_left_when_the_time_is_over(demonstration, monkeypatch, behaviour):
    assert MOST_SECONDS <= 5
    monkeypatch.setattr(jwks_fetch, "MOST_SECONDS", 1.0)
    with jwks_server({"keys": [public_key()]}) as server:
        server.behaviour = behaviour
        began = time.monotonic()
        with pytest.raises(RefusedFetch):
            fetch_jwks(server.url)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "jwks",
    [None, [], {}, {"keys": []}, {"keys": {}}, {"keys": ["x"]}, {"keys": [{"kty": "EC"}]}, {"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]},
     {"keys": [public_key() | {"kid": ""}]}, {"keys": [public_key() | {"kid": 7}]}, {"keys": [public_key("a\n")]},
     {"keys": [public_key(), public_key()]}, {"keys": [public_key(str(n)) for n in range(11)]}, {"keys": [public_key(private=True)]},
     {"keys": [public_key(), public_key("b", private=True)]}, {"keys": [public_key() | {"k": "AAAA"}]}, {"keys": [public_key() | {"dp": "AAAA"}]},
     {"keys": [public_key() | {"x5c": ["A" * 9_000]}]}],
    ids=range(18),
)  # fmt: skip
def test_what_is_no_set_of_public_keys_is_refused(jwks):
    with pytest.raises(Invalid):
        checked_keys(jwks)


# --- how often


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    from exchange.authentication import jwks

    made = Clock()
    monkeypatch.setattr(jwks, "time", made)
    return made


def test_an_unknown_key_id_is_looked_for_once_a_minute(clock):
    answers = [{"keys": [public_key("old")]}]
    asked: list[str] = []

    def fetch(url):
        asked.append(url)
        return answers[0]

    fetched = FetchedKeys(fetch)
    fetched.look("u", "old")
    for kid in ("new", "x", None, 7):
        fetched.look("u", kid)
    assert len(asked) == 1
    answers[0] = {"keys": [public_key("new")]}
    clock.now += FETCH_SECONDS
    fetched.look("u", "new")
    assert [each["kid"] for each in fetched.keys("u")] == ["new"]
    fetched.look("u", "new")
    assert len(asked) == 2


def test_a_fetch_that_fails_keeps_what_is_there_until_it_is_old_and_lets_nobody_in_then(clock):
    good = {"keys": [public_key("a")]}
    answers: list[object] = [good]

    def fetch(_url):
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    fetched = FetchedKeys(fetch)
    fetched.look("u", "a")
    for failing in (RefusedFetch("status 500"), {"keys": [public_key("b", private=True)]}):
        answers[0] = failing
        clock.now += FETCH_SECONDS
        fetched.look("u", "b")
        assert [each["kid"] for each in fetched.keys("u")] == ["a"]
        assert fetched.failure("u")
    clock.now += 300
    assert fetched.keys("u") == ()
    answers[0] = good
    fetched.look("u", "a")
    assert fetched.keys("u")
    assert fetched.failure("u") == ""
