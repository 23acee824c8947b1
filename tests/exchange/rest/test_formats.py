"""XML, compression and bodies of other kinds over HTTP: in any format the hub says and stores the same."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import time
import zlib
from decimal import Decimal

import httpx
import pytest

from exchange.fhir.resource import dump, parse
from exchange.fhir.validate import check
from exchange.fhir.xml_read import read_xml
from exchange.fhir.xml_write import write_xml
from tests.passage.live_hub import BODY_TIMEOUT_SECONDS, MAX_BODY_BYTES
from tests.passage.world import entry, patient_of
from tests.sample.observation import an_observation
from tests.sample.requester import POST

XML = {"Accept": "application/fhir+xml", "Content-Type": "application/fhir+xml"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def post(live):
    client = live.clients["posta"]
    client.request("PUT", "Patient/posta-p1", body=patient_of(POST, 1)).raise_for_status()
    return client


def read(answer: httpx.Response, status: int = 200) -> dict:
    """An answer in XML."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+xml")
    resource = read_xml(answer.content)
    assert check(parse(dump(resource))) == []
    return resource


def a_basic(resource_id: str, **more) -> dict:
    return {"resourceType": "Basic", "id": resource_id, "code": {"text": "ñ"}} | more


# --- XML


def test_what_comes_in_xml_goes_out_in_both(post):
    sent = an_observation("posta-x1", "posta-p1") | {
        "valueQuantity": {"value": Decimal("1.10"), "unit": "kg"},
        "text": {
            "status": "generated",
            "div": '<div xmlns="http://www.w3.org/1999/xhtml">\n <b>1.10</b>&amp;</div>',
        },
        "extension": [{"url": "urn:e", "valueDecimal": Decimal("3.00")}],
        "_status": {"id": "s"},
    }
    stored = read(post.request("PUT", "Observation/posta-x1", body=write_xml(sent), headers=XML), 201)
    as_json = post.request("GET", "Observation/posta-x1")
    as_xml = post.request("GET", "Observation/posta-x1", headers=XML)
    assert {name: value for name, value in stored.items() if name != "meta"} == sent
    assert read(as_xml) == parse(as_json.content) == stored
    assert '"value":1.10' in as_json.text
    assert as_json.headers["etag"] == as_xml.headers["etag"]
    assert (
        post.request("PUT", "Observation/posta-x1", body=as_xml.content, headers=XML).headers["etag"]
        == as_xml.headers["etag"]
    )


def test_a_create_a_bundle_a_search_and_a_refusal_in_xml(post):
    made = read(post.request("POST", "Basic", body=write_xml(a_basic("x")), headers=XML), 201)
    assert made["code"] == {"text": "ñ"}
    assert read(post.request("GET", f"Basic?_id={made['id']}", headers=XML))["entry"][0]["resource"] == made
    assert read(post.request("GET", f"Basic/{made['id']}/_history", headers=XML))["resourceType"] == "Bundle"
    assert (
        read(post.request("GET", "Patient/posta-none", headers=XML), 404)["issue"][0]["code"] == "not-found"
    )
    assert (
        read(post.request("GET", "Basic?color=red", headers=XML), 400)["resourceType"] == "OperationOutcome"
    )
    assert read(post.request("GET", "nothing/here/at/all/x", headers=XML), 404)
    assert read(post.request("DELETE", "", headers=XML), 405)
    entries = [
        entry("GET", f"Basic/{made['id']}"),
        entry("POST", "Basic", a_basic("y")),
        entry("GET", "Basic/posta-none"),
    ]
    for kind, count in (("batch", 3), ("transaction", 2)):
        body = {
            "resourceType": "Bundle",
            "type": kind,
            "entry": entries[3 - count : 3][:count] if kind == "batch" else entries[1:2],
        }
        said = read(post.request("POST", "", body=write_xml(body), headers=XML))
        assert said["type"] == f"{kind}-response"
        assert len(said["entry"]) == len(body["entry"])


def test_a_refusal_of_the_caller_is_in_his_format(live):
    answer = live.http("GET", "/fhir/Patient/posta-p1", headers={"Accept": "application/fhir+xml"})
    assert read(answer, 401)["issue"][0]["code"] == "login"


@pytest.mark.parametrize(
    "query",
    [
        "_format=xml",
        "_format=application/fhir%2Bxml",
        "_format=application/fhir+xml",
        "_format=application/fhir%2Bxml;%20charset=utf-8",
    ],
)
def test_the_parameter_asks_for_xml(post, query):
    read(post.request("GET", f"Patient/posta-p1?{query}", headers={"Accept": "application/fhir+json"}))
    read(post.request("GET", f"Patient?_id=posta-p1&{query}"))


def test_generic_types_are_answered_as_they_were_asked(post):
    for told in ("application/xml", "text/xml", "application/json"):
        answer = post.request("GET", "Patient/posta-p1", headers={"Accept": told})
        assert answer.headers["content-type"] == f"{told}; charset=utf-8"
        assert (read_xml if "xml" in told else parse)(answer.content)["id"] == "posta-p1"
        body = {"application/xml": write_xml, "text/xml": write_xml}.get(told, dump)(a_basic("posta-g1"))
        assert post.request(
            "PUT", "Basic/posta-g1", body=body, headers={"Content-Type": told}
        ).status_code in (200, 201)


def test_xml_is_pretty_for_people(post):
    plain, pretty = (
        post.request("GET", f"Patient/posta-p1?_pretty={each}", headers=XML) for each in ("false", "true")
    )
    assert read(plain) == read(pretty)
    assert "\n" not in plain.text
    assert pretty.text.count("\n") > 5


@pytest.mark.parametrize("body", [b"", b"{}", b"<Basic/>", b'<Basic xmlns="http://hl7.org/fhir"><colour value="x"/></Basic>', b"<!DOCTYPE Basic><Basic xmlns='http://hl7.org/fhir'/>",
                                  b'<Basic xmlns="http://hl7.org/fhir"><code><text value="\xff"/></code></Basic>', b'<Basic xmlns="http://hl7.org/fhir"/>'])  # fmt: skip
def test_bad_xml_is_refused_in_xml(post, body):
    assert read(post.request("POST", "Basic", body=body, headers=XML), 400)["issue"][0]["severity"] == "error"


@pytest.mark.parametrize(
    "kind",
    [
        "application/fhir+json; charset=utf-16",
        "application/fhir+xml; charset=ISO-8859-1",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+turtle",
    ],
)
def test_a_body_in_another_encoding_or_version_is_refused(post, kind):
    assert (
        post.request("POST", "Basic", body=dump(a_basic("x")), headers={"Content-Type": kind}).status_code
        == 415
    )


def test_the_capability_statement_is_in_both(live):
    as_json = live.http("GET", "/fhir/metadata", headers={"Accept": "application/fhir+json"})
    as_xml = live.http("GET", "/fhir/metadata", headers={"Accept": "application/fhir+xml"})
    assert read(as_xml) == as_json.json()
    assert as_json.json()["format"] == ["application/fhir+json", "application/fhir+xml", "json", "xml"]
    assert live.http("GET", "/fhir/metadata", headers={"Accept": "text/html"}).status_code == 406
    assert live.http("GET", "/fhir/metadata?_format=ttl").status_code == 406
    assert live.http("GET", "/fhir/metadata?_format=xml&_pretty=true").text.count("\n") > 100


# --- patches


@pytest.mark.parametrize(
    "kind", ["application/xml-patch+xml", "application/merge-patch+json", "text/plain", "", FORM]
)
def test_another_kind_of_patch_is_refused_by_name(post, kind):
    answer = post.request("PATCH", "Patient/posta-p1", body=b"[]", headers={"Content-Type": kind})
    assert answer.status_code == 415
    for taken in ("application/json-patch+json", "application/fhir+json", "application/fhir+xml"):
        assert taken in answer.text


def test_a_patch_comes_as_json_patch_or_as_parameters_in_both_formats(post):
    post.request("PUT", "Basic/posta-patch", body=a_basic("posta-patch")).raise_for_status()
    steps = [{"op": "replace", "path": "/code/text", "value": "a"}]
    said = post.request(
        "PATCH",
        "Basic/posta-patch",
        body=json.dumps(steps).encode(),
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert (said.status_code, said.json()["code"]["text"]) == (200, "a")
    for text, told in (("b", "application/fhir+json"), ("c", "application/fhir+xml")):
        parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
            {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Basic.code.text"}, {"name": "value", "valueString": text}]}]}  # fmt: skip
        body = write_xml(parameters) if "xml" in told else dump(parameters)
        said = post.request(
            "PATCH",
            "Basic/posta-patch",
            body=body,
            headers={"Content-Type": told, "Prefer": "return=minimal"},
        )
        assert (said.status_code, said.content) == (200, b"")
        assert post.request("GET", "Basic/posta-patch").json()["code"]["text"] == text


# --- compression


def test_a_compressed_body_is_read(post):
    for told, body in (
        ("gzip", gzip.compress(dump(a_basic("posta-z1")))),
        ("identity", dump(a_basic("posta-z1"))),
    ):
        answer = post.request("PUT", "Basic/posta-z1", body=body, headers={"Content-Encoding": told})
        assert answer.status_code in (200, 201)
    form = {"Content-Type": FORM, "Content-Encoding": "gzip"}
    found = post.request("POST", "Basic/_search", body=gzip.compress(b"_id=posta-z1"), headers=form)
    assert [
        each["resource"]["id"] for each in found.json()["entry"] if each["search"]["mode"] == "match"
    ] == ["posta-z1"]
    bundle = gzip.compress(dump({"resourceType": "Bundle", "type": "batch"}))
    assert (
        post.request("POST", "", body=bundle, headers={"Content-Encoding": "gzip"}).json()["type"]
        == "batch-response"
    )


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b" " * (MAX_BODY_BYTES + 1)), "gzip", 413), (gzip.compress(b" " * 500_000_000, 1)[: MAX_BODY_BYTES], "gzip", 413),
        (b"{}", "gzip", 400), (gzip.compress(b"{}")[:-4], "gzip", 400), (gzip.compress(b"{}") + b"{}", "gzip", 400), (zlib.compress(b"{}"), "gzip", 400), (b"", "gzip", 400),
        (b"{}", "br", 415), (b"{}", "deflate", 415), (gzip.compress(gzip.compress(b"{}")), "gzip, gzip", 415), (b"{}", "x" * 5_000, 415),
    ],
    ids=range(11),
)  # fmt: skip
def test_another_compressed_body_is_refused(post, body, encoding, status):
    began = time.monotonic()
    answer = post.request("POST", "Basic", body=body, headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    assert time.monotonic() - began < 5


def test_long_answers_are_compressed_for_whoever_takes_it(live, post):
    token = {"Authorization": f"Bearer {post.token()}"}
    for place in ("/fhir/metadata", "/fhir/Patient", "/openapi.json", "/docs"):
        plain = live.http("GET", place, headers=token | {"Accept-Encoding": "identity"})
        packed = live.http("GET", place, headers=token | {"Accept-Encoding": "br;q=1, gzip;q=0.5"})
        if len(plain.content) < 1_024:
            continue
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(plain.content)
        assert "Accept-Encoding" in packed.headers["vary"]
        if place != "/fhir/Patient":
            assert packed.content == plain.content
    small = live.http("GET", "/fhir/Basic/posta-none", headers=token | {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers
    for told in ("gzip;q=0", "", "br", "*;q=0", "gzip;q=x"):
        assert (
            "content-encoding"
            not in live.http("GET", "/fhir/metadata", headers={"Accept-Encoding": told}).headers
        )


def test_a_stream_is_the_same_in_any_format(live, post):
    for number in range(5):
        body = an_observation(f"posta-s{number}", "posta-p1") | {"note": [{"text": "x" * 500}]}
        post.request("PUT", f"Observation/posta-s{number}", body=body).raise_for_status()
    token = {"Authorization": f"Bearer {post.token()}"}
    place = "/fhir/Patient/posta-p1/$everything"
    plain = live.http("GET", place, headers=token | {"Accept-Encoding": "identity"})
    packed = live.http("GET", place, headers=token | {"Accept-Encoding": "gzip"})
    as_xml = live.http(
        "GET", place, headers=token | {"Accept": "application/fhir+xml", "Accept-Encoding": "gzip"}
    )
    pretty = live.http("GET", f"{place}?_pretty=true", headers=token)
    assert packed.headers["content-encoding"] == as_xml.headers["content-encoding"] == "gzip"
    assert len(plain.json()["entry"]) > 5
    told = [
        json.loads(dump(each))["entry"]
        for each in (
            parse(plain.content),
            parse(packed.content),
            read_xml(as_xml.content),
            parse(pretty.content),
        )
    ]
    assert told[0] == told[1] == told[2] == told[3]


# --- slow bodies


def test_a_body_that_does_not_come_is_not_waited_for(live, post):
    head = f"Authorization: Bearer {post.token()}\r\nContent-Type: application/fhir+json\r\nContent-Length: 1000\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(live.url.rpartition(":")[2])), timeout=60) as raw:
        raw.sendall(f"POST /fhir/Basic HTTP/1.1\r\n{head}{{".encode())
        began = time.monotonic()
        said = raw.recv(65_536)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in said.lower()
        assert BODY_TIMEOUT_SECONDS - 1 < time.monotonic() - began < 4 * BODY_TIMEOUT_SECONDS
        while said:  # the rest of the answer, and then the end of the connection
            said = raw.recv(65_536)


# --- Binary


CONTENT = bytes(range(256)) * 8


def test_content_comes_and_goes_as_it_is(post):
    sent = {
        "Content-Type": "application/pdf",
        "X-Security-Context": "Patient/posta-p1",
        "Accept": "application/fhir+json",
    }
    made = post.request("POST", "Binary", body=CONTENT, headers=sent)
    assert made.status_code == 201
    resource = made.json()
    assert (resource["contentType"], resource["securityContext"]) == (
        "application/pdf",
        {"reference": "Patient/posta-p1"},
    )
    assert base64.b64decode(resource["data"]) == CONTENT
    place = f"Binary/{resource['id']}"
    for accept in ("application/pdf", "*/*", "application/*", "image/png, */*;q=0.1"):
        raw = post.request("GET", place, headers={"Accept": accept})
        assert (raw.status_code, raw.content, raw.headers["content-type"]) == (
            200,
            CONTENT,
            "application/pdf",
        )
        assert raw.headers["etag"] == made.headers["etag"]
        assert raw.headers["x-security-context"] == "Patient/posta-p1"
        assert raw.headers["content-disposition"] == "attachment"
        assert raw.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in raw.headers["content-security-policy"]
    head = post.request("HEAD", place, headers={"Accept": "*/*"})
    assert (head.content, head.headers["content-length"]) == (b"", str(len(CONTENT)))
    for more in ({"Accept": "application/fhir+json"}, {"Accept": "application/fhir+xml"}):
        told = post.request("GET", place, headers=more)
        assert (parse if "json" in more["Accept"] else read_xml)(told.content) == resource
    assert post.request("GET", f"{place}?_format=json", headers={"Accept": "*/*"}).json() == resource
    assert post.request("GET", place, headers={"Accept": "application/json"}).json() == resource
    assert post.request("GET", place, headers={"Accept": "image/png"}).status_code == 406
    assert post.request("GET", place, headers={"If-None-Match": made.headers["etag"]}).status_code == 304
    assert post.request("GET", "Binary/posta-none", headers={"Accept": "image/png"}).status_code == 404


def test_content_under_an_id_and_its_type(post):
    for number, (told, kept) in enumerate(
        [
            ("text/html; charset=UTF-8", "text/html; charset=utf-8"),
            ("text/plain; boundary=x", "text/plain"),
            ("Image/PNG", "image/png"),
        ]
    ):
        body = b"<script>alert(1)</script>" + str(number).encode()
        made = post.request(
            "PUT",
            "Binary/posta-bin1",
            body=body,
            headers={"Content-Type": told, "Accept": "application/fhir+json"},
        )
        assert made.json()["contentType"] == kept
        raw = post.request("GET", "Binary/posta-bin1", headers={"Accept": "*/*"})
        assert (raw.content, raw.headers["content-type"], raw.headers["content-disposition"]) == (
            body,
            kept,
            "attachment",
        )
        assert raw.headers["etag"] == f'W/"{number + 1}"'


def test_a_resource_is_still_a_resource(post):
    sent = {"resourceType": "Binary", "id": "posta-bin2", "contentType": "text/plain", "data": "QUE="}
    assert post.request("PUT", "Binary/posta-bin2", body=sent).status_code == 201
    assert (
        post.request(
            "PUT", "Binary/posta-bin2", body=write_xml(sent), headers={"Content-Type": "application/fhir+xml"}
        ).status_code
        == 200
    )
    assert post.request("GET", "Binary/posta-bin2", headers={"Accept": "text/plain"}).content == b"AA"


@pytest.mark.parametrize(("kind", "context", "status"), [("", None, 415), ("x", None, 415), (FORM, None, 415), ("a/b c", None, 415), ("text/plain", "nobody", 400), ("text/plain", "Patient/hospital-p1", 422),
                                                         ("application/fhir+json", None, 400), ("text/plain", "", 400)])  # fmt: skip
def test_content_that_is_refused(post, kind, context, status):
    headers = {"Content-Type": kind} | ({"X-Security-Context": context} if context is not None else {})
    assert post.request("POST", "Binary", body=b"zqx", headers=headers).status_code == status


def test_nobody_elses_content_is_seen(live, post):
    body = {
        "Content-Type": "text/plain",
        "X-Security-Context": "Patient/posta-p1",
        "Accept": "application/fhir+json",
    }
    made = post.request("POST", "Binary", body=b"secret", headers=body).json()["id"]
    for accept in ("text/plain", "*/*", "application/fhir+json"):
        hidden, absent = (
            live.clients["hospital"].request("GET", f"Binary/{each}", headers={"Accept": accept})
            for each in (made, "no-such-id")
        )
        assert (hidden.status_code, hidden.content) == (absent.status_code, absent.content)
        assert hidden.status_code == 404
