"""Hostile input over HTTP: each a clear refusal, with the server process alive and no larger afterwards."""

from __future__ import annotations

import gzip
import json
import socket
import time
from pathlib import Path

import pytest

from exchange.fhir.validate import check
from tests.exchange.fhir.test_xml import ATTACKS, F, H
from tests.passage.live_hub import MAX_BODY_BYTES
from tests.passage.world import entry, patient_of
from tests.sample.requester import POST

MOST_GROWTH_BYTES = 300 * 1024 * 1024
MOST_SECONDS = 10
JSON_PATCH = "application/json-patch+json"


def _peak(pid: int) -> int:
    """The most memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(each.split()[1]) * 1024 for each in lines if each.startswith("VmHWM"))


@pytest.fixture(scope="module")
def post(live):
    """A facility's system; after all of it the hub is there, and has not grown beyond what bodies of 2 MB explain."""
    client = live.clients["posta"]
    client.request("PUT", "Patient/posta-p1", body=patient_of(POST, 1)).raise_for_status()
    client.request(
        "PUT", "Basic/posta-b1", body={"resourceType": "Basic", "id": "posta-b1", "code": {"text": "x"}}
    ).raise_for_status()
    client.request("GET", "Patient/posta-p1", headers={"Accept": "application/fhir+xml"}).raise_for_status()
    before = _peak(live.pid)
    yield client
    assert client.request("GET", "Basic/posta-b1").json()["code"] == {"text": "x"}
    assert _peak(live.pid) - before < MOST_GROWTH_BYTES


def refused(answer, *statuses: int) -> None:
    assert answer.status_code in (statuses or range(400, 500)), answer.text[:500]
    assert answer.headers["content-type"].startswith(("application/fhir+json", "application/fhir+xml"))
    if "json" in answer.headers["content-type"]:
        assert check(answer.json()) == []
    assert "root:" not in answer.text
    assert len(answer.content) < 10_000


@pytest.fixture(autouse=True)
def in_bounded_time(live, post):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < MOST_SECONDS
    assert live.http("GET", "/health/ready").status_code == 200


# --- XML


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("path", ["Basic", ""])
def test_xml(post, name, path):
    body = ATTACKS[name].encode()
    answer = post.request("POST", path, body=body, headers={"Content-Type": "application/fhir+xml"})
    refused(answer, *((413,) if len(body) > MAX_BODY_BYTES else (400, 413)))


@pytest.mark.parametrize("name", ["a billion laughs", "a file", "quadratic blow-up"])
def test_xml_in_a_patch_and_under_gzip(post, name):
    body = ATTACKS[name].encode()
    refused(
        post.request("PATCH", "Basic/posta-b1", body=body, headers={"Content-Type": "application/fhir+xml"}),
        400,
    )
    packed = {"Content-Type": "application/fhir+xml", "Content-Encoding": "gzip"}
    refused(post.request("POST", "Basic", body=gzip.compress(body), headers=packed), 400)


# --- JSON

_HEAD = b'{"resourceType":"Basic","code":{"text":"x"},'
BODIES = {
    "a name twice": b'{"resourceType":"Basic","code":{"text":"x"},"code":{"text":"y"}}',
    "a name twice, escaped": b'{"resourceType":"Basic","code":{"text":"x","te\\u0078t":"y"}}',
    "NaN": _HEAD + b'"extension":[{"url":"u","valueDecimal":NaN}]}',
    "infinity": _HEAD + b'"extension":[{"url":"u","valueDecimal":-Infinity}]}',
    "1e400000": _HEAD + b'"extension":[{"url":"u","valueDecimal":1e400000}]}',
    "1e-400000": _HEAD + b'"extension":[{"url":"u","valueDecimal":1e-400000}]}',
    "a number of a million digits": _HEAD
    + b'"extension":[{"url":"u","valueDecimal":'
    + b"9" * 1_000_000
    + b"}]}",
    "depth of objects": _HEAD + b'"extension":[{"extension":[' * 100_000,
    "depth of arrays": _HEAD + b'"extension":' + b"[" * 1_000_000,
    "depth, closed": _HEAD + b'"extension":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "ten million elements": _HEAD + b'"extension":[' + b"1," * 10_000_000 + b"1]}",
    "elements up to the bound": _HEAD + b'"extension":[' + b"1," * 900_000 + b"1]}",
    "objects up to the bound": _HEAD + b'"extension":[' + b"{}," * 600_000 + b"{}]}",
    "a NUL": b'{"resourceType":"Basic","code":{"text":"a\\u0000b"}}',
    "a raw NUL": b'{"resourceType":"Basic","code":{"text":"a\x00b"}}',
    "half a pair": b'{"resourceType":"Basic","code":{"text":"\\ud800"}}',
    "bytes that are no text": b'{"resourceType":"Basic","code":{"text":"\xc3\x28"}}',
    "a long name": b'{"resourceType":"Basic","' + b"a" * 1_900_000 + b'":1}',
    "no end": b'{"resourceType":"Basic","code":{"text":"' + b"a" * 1_900_000,
    "script": b'{"resourceType":"Basic","code":{"text":"x"},"text":{"status":"generated","div":"<div><script>alert(1)</script></div>"}}',
    "an id with a path": b'{"resourceType":"Basic","id":"../../etc/passwd","code":{"text":"x"},"meta":{"versionId":"../x"}}',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["Basic", "", "Basic/$validate"])
def test_json(post, name, path):
    answer = post.request("POST", path, body=BODIES[name])
    if (
        path == "Basic/$validate" and answer.status_code == 200
    ):  # it tells what is wrong, and that is its answer
        assert any(each["severity"] in ("error", "fatal") for each in answer.json()["issue"])
        assert len(answer.content) < 10_000
    else:
        refused(answer)


@pytest.mark.parametrize("name", BODIES)
def test_json_as_an_entry_of_a_bundle(post, name):
    for kind in (b"transaction", b"batch"):
        body = (
            b'{"resourceType":"Bundle","type":"%s","entry":[{"request":{"method":"POST","url":"Basic"},"resource":%s}]}'
            % (kind, BODIES[name])
        )
        answer = post.request("POST", "", body=body)
        if answer.status_code == 200:
            assert [each["response"]["status"][0] for each in answer.json()["entry"]] == ["4"]
        else:
            refused(answer)


# --- compression

_ZEROS = gzip.compress(b" " * 400_000_000, 9)


@pytest.mark.parametrize(
    ("body", "path"),
    [(_ZEROS, "Basic"), (_ZEROS, ""), (_ZEROS, "Basic/_search"), (gzip.compress(b"[" * 2_000_000), "Basic"), (gzip.compress(b"<a>" * 600_000), "Basic"),
     (gzip.compress(_ZEROS), "Basic"), (_ZEROS[:-100], "Binary")],
    ids=range(7),
)  # fmt: skip
@pytest.mark.parametrize(
    "kind", ["application/fhir+json", "application/fhir+xml", "application/x-www-form-urlencoded"]
)
def test_gzip_bombs(post, body, path, kind):
    assert len(body) < MAX_BODY_BYTES
    refused(post.request("POST", path, body=body, headers={"Content-Type": kind, "Content-Encoding": "gzip"}))


# --- patches

_FEED = [{"op": "add", "path": "/extension", "value": [{"url": "u", "valueString": "x" * 1_000}]}]
PATCHES = {
    "doubling": [*_FEED, *[{"op": "copy", "from": "/extension", "path": f"/extension/0/{'extension' if n % 2 else 'x'}"} for n in range(40)]],
    "doubling in a list": [*_FEED, *[{"op": "copy", "from": "/extension", "path": "/extension/-"} for _ in range(40)]],
    "doubling beside": [*_FEED, *[{"op": "copy", "from": "", "path": "/contained/-" if n else "/contained"} for n in range(40)]],
    "too many": [{"op": "test", "path": "/id", "value": "x"}] * 20_000,
    "a deep path": [{"op": "add", "path": "/extension" * 5_000, "value": 1}],
    "a large index": [{"op": "add", "path": f"/extension/{'9' * 400_000}", "value": {}}],
    "a deep value": [{"op": "add", "path": "/extension", "value": json.loads("[" * 500 + "]" * 500)}],
    "itself into itself": [{"op": "move", "from": "/code", "path": "/code/coding"}],
    "the type": [{"op": "replace", "path": "/resourceType", "value": "Patient"}],
    "another's id": [{"op": "replace", "path": "/id", "value": "hospital-1"}],
    "a prototype": [{"op": "add", "path": "/__proto__/x", "value": 1}],
    "no list": {"op": "remove", "path": ""},
}  # fmt: skip


@pytest.mark.parametrize("name", PATCHES)
def test_json_patches(post, name):
    body = json.dumps(PATCHES[name]).encode()
    refused(post.request("PATCH", "Basic/posta-b1", body=body, headers={"Content-Type": JSON_PATCH}))
    assert post.request("GET", "Basic/posta-b1").headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(
    "path",
    ["Basic.code.text.matches('(a+)+$')", "Basic" + ".code" * 20_000, "Basic" + "[0]" * 20_000, "Basic." + "(" * 20_000, "Basic.repeat($this | $this)", "Basic.descendants().descendants().descendants()",
     "Basic.code.where(" * 200 + "true" + ")" * 200, "Basic.code[99999999999999999999]", "Patient.name", "%resource", "resolve()", "Basic.code.text | " * 5_000 + "Basic.id", "'" + "\\" * 9_999],
    ids=range(13),
)  # fmt: skip
def test_fhirpath_patches(post, path):
    body = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": path}, {"name": "value", "valueString": "y"}]}]}  # fmt: skip
    refused(post.request("PATCH", "Basic/posta-b1", body=body))
    assert post.request("GET", "Basic/posta-b1").headers["etag"] == 'W/"1"'


# --- narratives

NARRATIVES = [
    f"<div {H}><script>alert(1)</script></div>", f"<div {H} onclick='x'>a</div>", f"<div {H}><a href='javascript:x'>a</a></div>", f"<div {H}><iframe src='x'/></div>",
    f"<div {H}><a href='data:text/html,x'>a</a></div>", f"<div {H}><p style='width: expression(x)'>a</p></div>", f"<div {H}><svg xmlns='http://www.w3.org/2000/svg' onload='x'/></div>",
    f"<div {H}><form action='x'/></div>", f"<div {H}><object data='x'/></div>", f"<div {H}><img src='x' onerror='x'/></div>", "<script/>", f"<div {H}/><script/>",
    f"<!DOCTYPE d [<!ENTITY a 'b'>]><div {H}>&a;</div>", f"<div {H}><xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='file:///etc/passwd'/></div>",
]  # fmt: skip


@pytest.mark.parametrize("div", NARRATIVES, ids=range(len(NARRATIVES)))
def test_narratives_that_would_run(post, div):
    body = {"resourceType": "Basic", "code": {"text": "x"}, "text": {"status": "generated", "div": div}}
    refused(post.request("POST", "Basic", body=body), 400)
    contained = {
        "resourceType": "List",
        "status": "current",
        "mode": "working",
        "contained": [body | {"id": "a"}],
    }
    refused(post.request("POST", "List", body=contained), 400)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry("POST", "Basic", body)]}
    refused(post.request("POST", "", body=bundle), 400)
    if "DOCTYPE" not in div and div.count("<script/>") == 0:
        text = (
            f'<Basic {F}><text><status value="generated"/>{div}</text><code><text value="x"/></code></Basic>'
        )
        refused(
            post.request(
                "POST", "Basic", body=text.encode(), headers={"Content-Type": "application/fhir+xml"}
            ),
            400,
        )


# --- names that are statements


@pytest.mark.parametrize(
    "name",
    [
        "_id'; DROP TABLE resource; --",
        "_id) OR 1=1 --",
        'code"',
        "date/**/UNION SELECT 1",
        "_sort;",
        "_has:Observation:patient:code'--",
        "family:exact' OR '1'='1",
        "%(id)s",
        "{0}",
        "$1",
    ],
)
def test_statements_in_the_names_of_parameters(live, post, name):
    with live.world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM resource")
        before = cursor.fetchone()
    refused(post.request("GET", "Patient", parameters=[(name, "x")]), 400)
    refused(
        post.request(
            "POST",
            "Patient/_search",
            body=f"{name}=x".encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ),
        400,
    )
    refused(post.request("GET", "Patient", parameters=[("_sort", name)]), 400)
    with live.world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM resource")
        assert cursor.fetchone() == before


# --- the connection


@pytest.mark.parametrize(
    ("first", "again"),
    [(b"GET /fhir/Patient HTTP/1.1\r\nHost: x\r\nA: ", b"a" * 65_536), (b"GET /", b"a" * 65_536), (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n" * 10_000),
     (b"GET /fhir/Patient?", b"a=b&" * 16_384), (b"", b"\r\n" * 32_768), (b"A" * 65_536, b"A" * 65_536),
     (b"POST /auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"a: b\r\n" * 10_000)],
    ids=range(7),
)  # fmt: skip
def test_a_line_without_an_end_is_cut_off(live, first, again):
    """1 GB is offered; the hub hangs up long before."""
    before = _peak(live.pid)
    with pytest.raises(ConnectionError):
        _offer(live, first, again)
    assert _peak(live.pid) - before < 32 * 1024 * 1024


def _offer(live, first: bytes, again: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(live.url.rpartition(":")[2])), timeout=30) as raw:
        raw.sendall(first)
        for _ in range(16_384):
            raw.sendall(again)


def test_a_head_of_many_lines_is_refused(live):
    headers = {f"a{number}": "b" for number in range(200)}
    assert live.http("GET", "/health/live", headers=headers).status_code == 400
