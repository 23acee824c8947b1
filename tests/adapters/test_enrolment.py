"""A code is typed, a key is made on the spot, and the hub knows the adapter: against a hub as it runs."""

from __future__ import annotations

import json
import logging
import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters import cli
from adapters.commands import screen
from adapters.sender import enrolment
from adapters.sender.client_key import KEY_FILE
from adapters.sender.enrolment import EnrolmentRefused, bare_code, differences, enrol
from adapters.settings import read_settings
from tests.adapters.conftest import RENIPRESS, write_site
from tests.exchange.authentication.test_enrolment import invited
from tests.passage.live_hub import live_hub

CODES = json.loads((Path(__file__).parents[1] / "vectors" / "enrolment_codes.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def live(server):
    with live_hub(server, EXCHANGE_ENROLMENTS_PER_MINUTE="100000") as made:
        yield made


@pytest.fixture
def site(live, tmp_path, request):
    """A site file whose client and prefix are this test's own."""
    client = f"t{abs(hash(request.node.name)) % 10**9}"
    path = write_site(tmp_path, live.fhir)
    text = path.read_text().replace(
        'client_id = "prueba"', f'client_id = "{client}"\nid_prefix = "z{client}"'
    )
    path.write_text(text)
    return path, client


def shown(code: str) -> str:
    return "-".join(code[place : place + 5] for place in range(0, 25, 5))


@pytest.mark.parametrize("row", CODES, ids=lambda row: row["typed"][:30])
def test_codes_are_read_as_the_hub_reads_them(row):
    if row["code"] is None:
        with pytest.raises(EnrolmentRefused) as refused:
            bare_code(row["typed"])
        assert refused.value.code == "A-322"
    else:
        assert bare_code(row["typed"]) == row["code"]


def test_a_facility_types_its_code(live, site):
    path, client = site
    code = invited(live, client)
    done = CliRunner().invoke(cli.app, ["enrol", str(path)], input=shown(code).lower() + "\n")
    assert done.exit_code == 0, done.output
    assert f"A-320 Inscrito: client_id {client}, id_prefix z{client}, para ipress-00090011." in done.output
    key = read_settings(path, {}).data_folder / KEY_FILE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert enrol(read_settings(path, {}), code).client_id == client, "an answer that was lost is given again"
    # It signs in from now on.
    run = CliRunner().invoke(cli.app, ["run", str(path), "--once"])
    assert run.exit_code == 0, run.output
    with live.world.sql() as cursor:
        cursor.execute("SELECT report->>'phase' FROM adapter_state WHERE client_id = %s", (client,))
        assert cursor.fetchone()[0] == "stopped"


def test_the_private_half_stays_and_the_code_is_in_no_log(live, site, caplog, monkeypatch):
    path, client = site
    code, sent = invited(live, client), []
    real = enrolment.httpx.Client.post

    def post(self, url, **more):
        sent.append(json.dumps(more["json"]))
        return real(self, url, **more)

    monkeypatch.setattr(enrolment.httpx.Client, "post", post)
    with caplog.at_level(logging.DEBUG):
        enrol(read_settings(path, {}), code)
    [body] = sent
    assert set(json.loads(body)["jwks"]["keys"][0]) == {
        "kty",
        "crv",
        "x",
        "y",
        "kid",
        "alg",
        "use",
        "key_ops",
    }
    assert "PRIVATE" not in body
    assert code not in caplog.text
    assert shown(code) not in caplog.text


def test_an_enrolled_adapter_keeps_its_key(live, site):
    path, client = site
    settings = read_settings(path, {})
    enrol(settings, invited(live, client))
    before = (settings.data_folder / KEY_FILE).read_bytes()
    enrol(settings, invited(live, client, replaces_keys=True))
    assert (settings.data_folder / KEY_FILE).read_bytes() == before


def test_a_stolen_code_is_refused_to_the_second(live, site, tmp_path):
    path, client = site
    code = invited(live, client)
    assert enrol(read_settings(path, {}), code)
    (tmp_path / "other").mkdir()
    elsewhere = write_site(tmp_path / "other", live.fhir)
    done = CliRunner().invoke(cli.app, ["enrol", str(elsewhere), code])
    assert done.exit_code == screen.BARRED
    assert "A-323" in done.output


def test_a_mistyped_code_costs_no_try_and_makes_no_key(live, site):
    path, _ = site
    done = CliRunner().invoke(cli.app, ["enrol", str(path), "AAAAA-AAAAA-AAAAA-AAAAA-AAAAA"])
    assert done.exit_code == screen.BAD_SITE
    assert "A-322" in done.output
    assert not (read_settings(path, {}).data_folder / KEY_FILE).exists()


def test_a_site_file_that_differs_is_told(live, site):
    path, client = site
    path.write_text(path.read_text().replace(client, "another"))
    done = CliRunner().invoke(cli.app, ["enrol", str(path), invited(live, client)])
    assert done.exit_code == screen.BAD_SITE
    said = " ".join(done.output.split())
    assert f"A-327 El archivo dice client_id another; la región registró {client}." in said
    assert f"A-327 El archivo dice id_prefix zanother-; la región registró z{client}-." in said


def test_the_prefix_of_a_facility_needs_no_line_of_its_own(live, tmp_path):
    path = write_site(tmp_path, live.fhir)
    found = enrol(read_settings(path, {}), invited(live, "prueba", id_prefix=f"i{RENIPRESS}-"))
    assert differences(read_settings(path, {}), found) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "A-326"), (400, "A-323"), (401, "A-323"), (403, "A-323"), (500, "A-325"), (503, "A-325")],
)
def test_each_refusal_has_its_remedy(live, tmp_path, monkeypatch, status, code):
    request = enrolment.httpx.Request("POST", live.url)
    answer = enrolment.httpx.Response(status, json={"error": "invalid_grant"}, request=request)
    monkeypatch.setattr(enrolment.httpx.Client, "post", lambda *_, **__: answer)
    with pytest.raises(EnrolmentRefused) as refused:
        enrol(read_settings(write_site(tmp_path, live.fhir), {}), CODES[0]["code"])
    assert refused.value.code == code


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"\xff", b'{"client_id": 7, "id_prefix": "x"}', b'{"client_id": "x"}']
)
def test_an_answer_that_is_none_enrols_nobody(live, tmp_path, monkeypatch, text):
    request = enrolment.httpx.Request("POST", live.url)
    answer = enrolment.httpx.Response(200, content=text, request=request)
    monkeypatch.setattr(enrolment.httpx.Client, "post", lambda *_, **__: answer)
    with pytest.raises(EnrolmentRefused) as refused:
        enrol(read_settings(write_site(tmp_path, live.fhir), {}), CODES[0]["code"])
    assert refused.value.code == "A-325"


def test_a_hub_that_takes_no_codes_or_is_away(hub, tmp_path):
    settings = read_settings(write_site(tmp_path, hub.url), {})
    with pytest.raises(EnrolmentRefused) as refused:
        enrol(settings, CODES[0]["code"])
    assert refused.value.code == "A-324"
    away = read_settings(write_site(tmp_path, "http://127.0.0.1:9/fhir"), {})
    with pytest.raises(EnrolmentRefused) as refused:
        enrol(away, CODES[0]["code"])
    assert refused.value.code == "A-325"


@pytest.mark.parametrize(
    "endpoint", ["https://elsewhere.example/auth/enrol", "http://127.0.0.1:9/auth/enrol", "x", 7, None]
)
def test_a_code_goes_to_the_hub_alone(hub, tmp_path, monkeypatch, endpoint):
    hub.configuration = {"chasqui_enrolment_endpoint": endpoint}
    with pytest.raises(EnrolmentRefused) as refused:
        enrol(read_settings(write_site(tmp_path, hub.url), {}), CODES[0]["code"])
    assert refused.value.code == "A-324"


def test_every_code_has_a_remedy():
    source = Path(sys.modules["adapters.sender.enrolment"].__file__).read_text("utf-8")
    for code in enrolment.REMEDIES:
        assert source.count(f'"{code}"') >= 2
