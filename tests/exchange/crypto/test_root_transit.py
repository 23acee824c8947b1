"""The root in a Transit engine: what it is asked, and every way in which it may fail or lie."""

from __future__ import annotations

import pytest

from exchange.crypto.hub_crypto import make_hub_keys, open_hub_crypto
from exchange.crypto.keyring import make_hub_key, open_hub_key, rewrap_hub_key
from exchange.crypto.roots import transit as room
from exchange.crypto.roots.choice import open_root
from exchange.crypto.roots.transit import TransitRoot
from exchange.problems import SealBroken, Unavailable
from exchange.settings import Settings
from tests.simulators.transit import transit_server

NAME = "chasqui-root"


@pytest.fixture
def server(tmp_path):
    with transit_server(tmp_path) as made:
        yield made


def root_at(server, **more):
    told = {"mount": "transit", "ca_file": server.ca_file} | more
    return TransitRoot(server.url, server.token_file, NAME, **told)


@pytest.fixture
def root(server):
    made = root_at(server)
    assert made.newest() == 0
    assert made.rotate() == 1
    return made


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(room, "MOST_SECONDS", 1.5)
    monkeypatch.setattr(room, "PAUSE_SECONDS", 0.01)


def test_what_is_wrapped_opens_under_its_version_and_for_its_place(root):
    version, wrapped = root.wrap(b"k" * 32, b"place")
    assert (version, wrapped[:9]) == (1, b"vault:v1:")
    assert root.rotate() == 2
    assert root.newest() == 2
    assert root.wrap(b"k" * 32, b"place")[0] == 2
    assert root.unwrap(1, wrapped, b"place") == b"k" * 32
    relabelled = wrapped.replace(b"v1", b"v2")
    for number, text, place in (
        (2, wrapped, b"place"),
        (2, relabelled, b"place"),
        (1, wrapped, b"other"),
        (1, wrapped[:-6] + b"AAAA" + wrapped[-2:], b"place"),
        (1, b"", b"place"),
        (1, b"vault:v1:../../x", b"place"),
        (1, b"\xff\xfe", b"place"),
    ):
        with pytest.raises(SealBroken):
            root.unwrap(number, text, place)


def test_a_destroyed_version_is_trimmed_from_the_engine(root, server):
    _, wrapped = root.wrap(b"k" * 32, b"place")
    with pytest.raises(SealBroken, match="newest"):
        root.destroy(1)
    root.rotate()
    root.rotate()
    _, third = root.wrap(b"k" * 32, b"place")
    root.destroy(2)
    assert sorted(server.keys[NAME].versions) == [3]
    assert root.newest() == 3
    with pytest.raises(SealBroken):
        root.unwrap(1, wrapped, b"place")
    assert root.unwrap(3, third, b"place") == b"k" * 32
    assert root.wrap(b"k" * 32, b"place")[0] == 3


def test_the_token_is_read_at_each_use_and_the_namespace_is_told(root, server):
    server.write_token("hub")
    root.wrap(b"k" * 32, b"place")
    assert server.headers[-1]["X-Vault-Token"] == "hub"
    assert "X-Vault-Namespace" not in server.headers[-1]
    root_at(server, namespace="salud/la-libertad").newest()
    assert server.headers[-1]["X-Vault-Namespace"] == "salud/la-libertad"


def test_a_serving_hub_s_policy_wraps_and_opens_and_nothing_else(root, server):
    server.write_token("hub")
    version, wrapped = root.wrap(b"k" * 32, b"place")
    assert root.unwrap(version, wrapped, b"place") == b"k" * 32
    for act in (root.rotate, lambda: root.destroy(0)):
        with pytest.raises(Unavailable, match="policy"):
            act()


def test_a_token_that_is_not_good_is_refused_and_not_repeated(root, server):
    for token, words in (("stolen-token", "policy"), ("two words", "holds no token"), ("", "holds no token")):
        server.write_token(token)
        with pytest.raises((Unavailable, SealBroken), match=words) as refused:
            root.wrap(b"k" * 32, b"place")
        assert not token or token not in str(refused.value)
    server.token_file.chmod(0o640)
    with pytest.raises(SealBroken, match="chmod 600"):
        root.newest()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("sealed", "sealed"), ("limited", "too often"), ("broken", "status 500"), ("slow", "does not answer"),
        ("drip", "does not answer"), ("drip-head", "does not answer"), ("oversized", "more than a key needs"),
        ("truncated", "does not answer"), ("text", "none of Transit's"), ("list", "none of Transit's"),
        ("deep", "none of Transit's"), ("redirect", "status 307"),
    ],
)  # fmt: skip
def test_a_server_that_fails_is_unavailable_within_bounds(root, server, hasty, behaviour, words):
    version, wrapped = root.wrap(b"k" * 32, b"place")
    server.misbehave(behaviour)
    for act in (
        root.newest,
        root.rotate,
        lambda: root.wrap(b"k" * 32, b"place"),
        lambda: root.unwrap(version, wrapped, b"place"),
    ):
        with pytest.raises(Unavailable, match=words):
            act()
    server.misbehave("good")
    assert root.unwrap(version, wrapped, b"place") == b"k" * 32
    assert "again" not in " ".join(server.asked), "no redirect is followed"


@pytest.mark.parametrize("behaviour", ["limited", "broken", "truncated"])
def test_what_a_later_try_cures_is_tried_again(root, server, hasty, behaviour):
    version, wrapped = root.wrap(b"k" * 32, b"place")
    server.misbehave(behaviour, brief=2)
    assert root.unwrap(version, wrapped, b"place") == b"k" * 32
    server.misbehave(behaviour, brief=2)
    assert root.wrap(b"k" * 32, b"place")[0] == 1


@pytest.mark.parametrize("behaviour", ["limited", "broken", "truncated", "sealed"])
def test_a_version_is_made_once_or_not_at_all(root, server, hasty, behaviour):
    made = root.newest()
    server.asked.clear()
    server.policies["operator"] -= {"read"}  # the look before it is not what fails
    server.policies["operator"] |= {"read"}
    server.misbehave("good")
    original = server.answer

    def failing_rotations(to, body):
        server.behaviour = behaviour if to.path.endswith("/rotate") else "good"
        original(to, body)

    server.answer = failing_rotations
    with pytest.raises(Unavailable):
        root.rotate()
    assert sum(each.endswith("/rotate") for each in server.asked) == 1
    server.answer = original
    server.misbehave("good")
    assert root.newest() - made in (0, 1)


@pytest.mark.parametrize("behaviour", ["other-plaintext", "short-plaintext", "no-plaintext"])
def test_a_server_that_gives_back_another_key_is_found_out(root, server, behaviour):
    row = make_hub_key(root, "record", 1)
    server.misbehave(behaviour)
    with pytest.raises((SealBroken, Unavailable)):
        open_hub_key(root, row)
    with pytest.raises((SealBroken, Unavailable)):
        make_hub_key(root, "record", 1)
    server.misbehave("good")
    assert open_hub_key(root, row)


@pytest.mark.parametrize("behaviour", ["other-version", "unopenable"])
def test_a_wrap_that_does_not_open_is_never_used(root, server, behaviour):
    row = make_hub_key(root, "record", 1)
    server.misbehave(behaviour)
    for act in (lambda: make_hub_key(root, "record", 2), lambda: rewrap_hub_key(root, row)):
        with pytest.raises(SealBroken):
            act()


def test_a_key_that_could_be_exported_is_refused(root, server):
    server.misbehave("exportable")
    with pytest.raises(SealBroken, match="not exportable"):
        root.newest()


def test_a_server_that_nobody_vouches_for_is_not_told_a_key(root, server, tmp_path):
    asked = len(server.asked)
    with pytest.raises(Unavailable, match="does not answer"):
        root_at(server, ca_file=None).wrap(b"k" * 32, b"place")
    assert len(server.asked) == asked
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(SealBroken, match="CA_FILE"):
        root_at(server, ca_file=tmp_path / "empty.pem")


@pytest.mark.parametrize(
    "url",
    ["http://vault.example:8200", "http://127.0.0.1:8200", "https://user:word@vault:8200", "https://vault:8200/v1",
     "https://vault:8200?x", "https://vault:8200#x", "vault:8200", "", "https://", "ftp://vault", "https://vault:x",
     "https://va ult"],
)  # fmt: skip
def test_an_address_is_https_and_nothing_else(url, tmp_path):
    with pytest.raises(SealBroken, match="EXCHANGE_TRANSIT_URL"):
        TransitRoot(url, tmp_path / "token", NAME, mount="transit")


def test_http_is_for_this_machine_in_a_demonstration(tmp_path):
    with transit_server(tmp_path, is_tls=False) as server:
        made = TransitRoot(server.url, server.token_file, NAME, mount="transit", is_demo=True)
        assert made.rotate() == 1
    with pytest.raises(SealBroken):
        TransitRoot("http://192.0.2.1:8200", tmp_path / "token", NAME, mount="transit", is_demo=True)


def test_a_hub_in_production_opens_what_its_settings_name(server):
    told = {name.removeprefix("EXCHANGE_").lower(): value for name, value in server.environment.items()}
    root = open_root(Settings(**told))
    root.rotate()
    rows = make_hub_keys(root)
    version, wrapped = open_hub_crypto(root, rows, []).new_wrapped_key(7)
    open_hub_crypto(open_root(Settings(**told)), rows, []).cipher(7, version, wrapped)
    assert all(len(row.wrapped) < 200 for row in rows)


def test_a_server_that_is_away_stops_the_start_with_a_sentence(tmp_path, hasty):
    with transit_server(tmp_path) as server:
        root = root_at(server)
        root.rotate()
        rows = make_hub_keys(root)
    with pytest.raises(Unavailable, match="the key server does not answer"):
        open_hub_crypto(root, rows, [])
