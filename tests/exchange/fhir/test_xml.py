"""FHIR XML both ways: nothing is lost, and nothing but FHIR's kind of XML is read."""

from __future__ import annotations

import json
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from exchange.fhir.definitions import RESOURCE_TYPES
from exchange.fhir.resource import dump, parse
from exchange.fhir.validate import check
from exchange.fhir.xml_read import read_xml
from exchange.fhir.xml_table import fields
from exchange.fhir.xml_write import write_xml
from exchange.problems import Malformed, NotSupported, Problem, TooCostly

F = 'xmlns="http://hl7.org/fhir"'
H = 'xmlns="http://www.w3.org/1999/xhtml"'

TRICKY = {
    "a value": (f'<Basic {F}><id value="b1"/><code><text value="x"/></code></Basic>',
                {"resourceType": "Basic", "id": "b1", "code": {"text": "x"}}),
    "nothing but a type": (f"<Basic {F}/>", {"resourceType": "Basic"}),
    "booleans and numbers": (
        f'<Questionnaire {F}><experimental value="false"/><item><required value="true"/><maxLength value="7"/></item></Questionnaire>',
        {"resourceType": "Questionnaire", "experimental": False, "item": [{"required": True, "maxLength": 7}]}),
    "the digits of a decimal": (
        f'<Observation {F}><valueQuantity><value value="1.10"/></valueQuantity></Observation>',
        {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.10")}}),
    "a choice": (f'<Patient {F}><deceasedDateTime value="2026-01-01"/></Patient>', {"resourceType": "Patient", "deceasedDateTime": "2026-01-01"}),
    "an id of an element and of a value": (
        f'<Patient {F}><name id="n"><family id="f" value="x"/></name></Patient>',
        {"resourceType": "Patient", "name": [{"id": "n", "family": "x", "_family": {"id": "f"}}]}),
    "an extended value": (
        f'<Patient {F}><birthDate value="1970-01-01"><extension url="http://e.x/t"><valueDateTime value="1970-01-01T01:00:00Z"/></extension></birthDate></Patient>',
        {"resourceType": "Patient", "birthDate": "1970-01-01",
         "_birthDate": {"extension": [{"url": "http://e.x/t", "valueDateTime": "1970-01-01T01:00:00Z"}]}}),
    "an extension without a value": (
        f'<Patient {F}><gender><extension url="http://e.x/n"><valueCode value="asked"/></extension></gender></Patient>',
        {"resourceType": "Patient", "_gender": {"extension": [{"url": "http://e.x/n", "valueCode": "asked"}]}}),
    "a list of values, some extended": (
        f'<Patient {F}><name><given value="a"/><given><extension url="u"><valueBoolean value="true"/></extension></given><given value="c"/></name></Patient>',
        {"resourceType": "Patient", "name": [{"given": ["a", None, "c"], "_given": [None, {"extension": [{"url": "u", "valueBoolean": True}]}, None]}]}),
    "a list of extensions alone": (
        f'<Patient {F}><name><given><extension url="u"><valueBoolean value="true"/></extension></given></name></Patient>',
        {"resourceType": "Patient", "name": [{"_given": [{"extension": [{"url": "u", "valueBoolean": True}]}]}]}),
    "an extension in an extension, with an id": (
        f'<Patient {F}><extension id="e" url="u"><extension url="v"><valueBase64Binary value="QUE="/></extension></extension></Patient>',
        {"resourceType": "Patient", "extension": [{"id": "e", "url": "u", "extension": [{"url": "v", "valueBase64Binary": "QUE="}]}]}),
    "contained resources": (
        f'<List {F}><contained><Patient><id value="p"/></Patient></contained><contained><Basic/></contained></List>',
        {"resourceType": "List", "contained": [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Basic"}]}),
    "resources in a bundle": (
        f'<Bundle {F}><type value="batch"/><entry><fullUrl value="urn:uuid:1"/><resource><Bundle><type value="searchset"/></Bundle></resource></entry></Bundle>',
        {"resourceType": "Bundle", "type": "batch", "entry": [{"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Bundle", "type": "searchset"}}]}),
    "parameters in parts": (
        f'<Parameters {F}><parameter><name value="a"/><part><name value="b"/><valueInteger value="-1"/></part><part><name value="c"/><resource><Basic/></resource></part></parameter></Parameters>',
        {"resourceType": "Parameters", "parameter": [{"name": "a", "part": [{"name": "b", "valueInteger": -1}, {"name": "c", "resource": {"resourceType": "Basic"}}]}]}),
    "white space and signs in a value": (
        f'<Basic {F}><code><text value="a&#10;b&#9;c&#13;&amp;&lt;&gt;&quot;\' ñ 😀"/></code></Basic>',
        {"resourceType": "Basic", "code": {"text": "a\nb\tc\r&<>\"' ñ 😀"}}),
    "a narrative, every byte of it": (
        f'<Basic {F}><text><status value="generated"/><div {H}>\r\n <p  class=\'x\'>a&amp;b &lt;script&gt;<br /></p><!-- kept --><![CDATA[<i>]]>\n</div></text></Basic>',
        {"resourceType": "Basic", "text": {"status": "generated", "div": f"<div {H}>\r\n <p  class='x'>a&amp;b &lt;script&gt;<br /></p><!-- kept --><![CDATA[<i>]]>\n</div>"}}),
    "an empty narrative": (
        f'<Basic {F}><text><status value="empty"/><div {H} /></text></Basic>', {"resourceType": "Basic", "text": {"status": "empty", "div": f"<div {H} />"}}),
    "a narrative under a prefix": (
        f'<Basic {F}><text><status value="empty"/><h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p/></h:div></text></Basic>',
        {"resourceType": "Basic", "text": {"status": "empty", "div": '<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p/></h:div>'}}),
    "R4's own Evidence": (
        f'<Evidence {F}><status value="draft"/><exposureBackground><reference value="EvidenceVariable/1"/></exposureBackground></Evidence>',
        {"resourceType": "Evidence", "status": "draft", "exposureBackground": {"reference": "EvidenceVariable/1"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", TRICKY)
def test_xml_and_json_say_the_same(name):
    text, resource = TRICKY[name]
    assert read_xml(text.encode()) == resource
    assert read_xml(write_xml(resource)) == resource
    assert read_xml(write_xml(resource, is_pretty=True)) == resource
    assert canonical(write_xml(resource)) == canonical(text.encode())
    assert parse(dump(resource)) == resource


def canonical(text: bytes) -> bytes:
    return etree.tostring(
        etree.fromstring(text, etree.XMLParser(resolve_entities=False)), method="c14n", with_comments=True
    )


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        (f'\ufeff<?xml version="1.0" encoding="utf-8"?>\n<!-- a --><?xml-stylesheet href="x"?><Basic {F}> <!-- b -->\n <code > <text value = "x" ></text>\t</code></Basic>\n<!-- c -->',
         {"resourceType": "Basic", "code": {"text": "x"}}),
        ('<f:Basic xmlns:f="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir x.xsd"><f:id value="1"/></f:Basic>',
         {"resourceType": "Basic", "id": "1"}),
        ('<Basic xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><status value="empty"/><h:div><h:b/></h:div></text></Basic>',
         {"resourceType": "Basic", "text": {"status": "empty", "div": '<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:b/></h:div>'}}),
        (f'<f:Basic xmlns:f="http://hl7.org/fhir" {H}><f:text><f:status value="empty"/><div/></f:text></f:Basic>',
         {"resourceType": "Basic", "text": {"status": "empty", "div": f"<div {H}/>"}}),
        (f'<Claim {F}><item><sequence value="+1"/></item></Claim>', {"resourceType": "Claim", "item": [{"sequence": 1}]}),
        (f'<Basic {F}><code><text value="&#x41;&lt;"/></code></Basic>', {"resourceType": "Basic", "code": {"text": "A<"}}),
    ],
    ids=range(6),
)  # fmt: skip
def test_what_others_write_is_read(text, resource):
    assert read_xml(text.encode()) == resource
    assert read_xml(write_xml(resource)) == resource


def test_a_narrative_without_a_namespace_gets_one():
    resource = {"resourceType": "Basic", "text": {"status": "generated", "div": "<!-- <div --><div>x</div>"}}
    told = read_xml(write_xml(resource))["text"]["div"]
    assert told == f"<div {H}>x</div>"


@pytest.mark.parametrize(
    "digits", ["1", "1.0", "1.10", "-0.000", "0.1E-7", "1234567890.12345678901234567890", "100", "1E+5"]
)
def test_decimals_keep_their_digits(digits):
    text = f'<Observation {F}><valueQuantity><value value="{digits}"/></valueQuantity></Observation>'
    assert str(read_xml(text.encode())["valueQuantity"]["value"]) == str(
        parse(b'{"resourceType":"Observation","valueQuantity":{"value":%s}}' % digits.encode())[
            "valueQuantity"
        ]["value"]
    )


# --- what is refused, and how

REFUSED = [
    ("", None), ("x", None), ("{}", None), (f"<Basic {F}>", "Basic"), ("<Basic/>", None), ("<Basic xmlns='http://hl7.org/fhir/'/>", None),
    (f"<Pacient {F}/>", None), (f"<Basic {F}/><Basic {F}/>", None), (f"<Resource {F}/>", None), (f"<Basic {F}>x</Basic>", "Basic"),
    (f'<Basic {F} id="1"/>', None), (f'<Basic {F}><code value="x"/></Basic>', "Basic.code.value"), (f"<Basic {F}><code/></Basic>", "Basic.code"),
    (f'<Basic {F}><colour value="x"/></Basic>', "Basic.colour"), (f"<Basic {F}><id/></Basic>", "Basic.id"), (f'<Basic {F}><id id="a"/></Basic>', "Basic.id"),
    (f'<Basic {F}><id value="1" xml:lang="es"/></Basic>', "Basic.id"), (f'<Basic {F}><id value="1" url="es"/></Basic>', "Basic.id.url"),
    (f'<Basic {F}><id value="1">x</id></Basic>', "Basic.id"), (f'<Basic {F}><id value="1"/><id value="1"/></Basic>', "Basic.id"),
    (f'<Basic {F}><code><text value="x"/></code><id value="1"/></Basic>', "Basic.id"), (f'<Basic {F}><id xmlns="urn:x" value="1"/></Basic>', "Basic.id"),
    (f'<Patient {F}><name><family value="a"/></name><gender value="male"/><name><family value="b"/></name></Patient>', "Patient.name"),
    (f'<Patient {F}><active value="yes"/></Patient>', "Patient.active"), (f'<Patient {F}><active value="TRUE"/></Patient>', "Patient.active"),
    (f'<Patient {F}><multipleBirthInteger value="1.0"/></Patient>', "Patient.multipleBirthInteger"), (f'<Patient {F}><multipleBirthInteger value=" 1"/></Patient>', "Patient.multipleBirthInteger"),
    (f'<Patient {F}><multipleBirthInteger value="{"9" * 5_000}"/></Patient>', "Patient.multipleBirthInteger"),
    *((f'<Observation {F}><valueQuantity><value value="{each}"/></valueQuantity></Observation>', "Observation.valueQuantity.value")
      for each in ("NaN", "INF", "1e400000", "1e", ".5", "5.", "0x1", "1_0", "", "٣", "9" * 401, "01.5")),
    (f'<Patient {F}><name><given value="a"/></name><name><given value="b"/><nick value="c"/></name></Patient>', "Patient.name[1].nick"),
    (f"<List {F}><contained/></List>", "List.contained[0]"), (f"<List {F}><contained><Basic/><Basic/></contained></List>", "List.contained[0]"),
    (f"<List {F}><contained><HumanName/></contained></List>", "List.contained[0]"), (f'<List {F}><contained><Basic id="x"/></contained></List>', "List.contained[0]"),
    (f"<Bundle {F}><entry><resource><Patient><gender><text/></gender></Patient></resource></entry></Bundle>", "Bundle.entry[0].resource.gender.text"),
    (f'<Basic {F}><text><status value="empty"/><div>x</div></text></Basic>', "Basic.text.div"), (f'<Basic {F}><text><div {H}><svg xmlns="http://www.w3.org/2000/svg"/></div></text></Basic>', "Basic.text.div"),
    (f"<Basic {F}><text><div {H}>&nbsp;</div></text></Basic>", "Basic.text"), (f'<Basic {F}><code><text value="&#0;"/></code></Basic>', "Basic.code"),
    (f'<Basic {F}><code><text value="\ufffe"/></code></Basic>', "Basic.code"), (f'<?xml version="1.0" encoding="ISO-8859-1"?><Basic {F}/>', None),
    (f'<?xml version="1.0" encoding="UTF-16"?><Basic {F}/>', None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expression"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_not_fhir_is_refused_where_it_stands(text, expression):
    with pytest.raises(Malformed) as refused:
        read_xml(text.encode())
    assert refused.value.issues[0].expression == expression


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_another_encoding_is_refused(encoding):
    with pytest.raises(Malformed):
        read_xml(f'<Basic {F}><code><text value="ñ"/></code></Basic>'.encode(encoding))


def test_no_refusal_repeats_a_value():
    for text in (f'<Patient {F}><active value="zqx"/></Patient>', f"<Patient {F}>zqx</Patient>", f'<Patient {F}><a-zqx-"/></Patient>', f"<zqx {F}/>",
                 f'<Patient {F}><name zqx.y="1"/></Patient>', "<!DOCTYPE zqx><a/>", f"<Patient {F}>&zqx;</Patient>"):  # fmt: skip
        with pytest.raises(Malformed) as refused:
            read_xml(text.encode())
        assert "zqx" not in str(refused.value.issues)


# --- attacks: refused at the first sight of them, in memory that does not grow with what they promise

_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
ATTACKS = {
    "a DTD": f"<!DOCTYPE Basic><Basic {F}/>",
    "a billion laughs": f'<!DOCTYPE Basic [<!ENTITY l0 "lol">{_LAUGHS}]><Basic {F}><code><text value="&l11;"/></code></Basic>',
    "quadratic blow-up": f'<!DOCTYPE Basic [<!ENTITY a "{"a" * 100_000}">]><Basic {F}><code><text value="{"&a;" * 10_000}"/></code></Basic>',
    "a file": f'<!DOCTYPE Basic [<!ENTITY x SYSTEM "file:///etc/passwd">]><Basic {F}><code><text value="&x;"/></code></Basic>',
    "a file by parameter": f'<!DOCTYPE Basic [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;]><Basic {F}/>',
    "an external DTD": f'<!DOCTYPE Basic SYSTEM "http://127.0.0.1:1/x.dtd"><Basic {F}/>',
    "a public DTD": f'<!DOCTYPE Basic PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://127.0.0.1:1/x.dtd"><Basic {F}/>',
    "an attribute by default": f'<!DOCTYPE Basic [<!ATTLIST Basic id CDATA "x">]><Basic {F}/>',
    "an inclusion": f'<Basic {F}><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/></Basic>',
    "an inclusion in a narrative": f'<Basic {F}><text><status value="generated"/><div {H}><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/></div></text></Basic>',
    "an entity that nobody defined": f'<Basic {F}><code><text value="&x;"/></code></Basic>',
    "depth": f"<Patient {F}>" + "<extension url='u'>" * 100_000,
    "depth of resources": f"<Bundle {F}>" + "<entry><resource><Bundle>" * 100_000,
    "depth in a narrative": f"<Basic {F}><text><div {H}>" + "<b>" * 100_000,
    "attributes": f"<Basic {F} " + " ".join(f'a{n}=""' for n in range(2_000_001)) + "/>",
    "elements": f"<Basic {F}>" + "<a/>" * 2_000_001 + "</Basic>",
    "namespaces": f"<Basic {F}><code " + " ".join(f'xmlns:a{n}="u"' for n in range(100_000)) + "/></Basic>",
    "namespaces, nested": "".join(f'<a{n}:Bundle xmlns:a{n}="http://hl7.org/fhir"><a{n}:entry xmlns:b{n}="u" xmlns:c{n}="u" xmlns:d{n}="u"><a{n}:resource>' for n in range(60)),
    "a tag without an end": f"<Basic {F} " + "a" * 10_000_000,
    "a comment without an end": f"<Basic {F}><!-- " + "-" * 10_000_000,
    "too much": f"<Basic {F}/>" + " " * (16 * 1024 * 1024),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_in_bounded_memory(name):
    text = ATTACKS[name].encode()
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as refused:
            read_xml(text, max_bytes=16 * 1024 * 1024)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert isinstance(refused.value, TooCostly if name in COSTLY else Malformed)
    assert "root:" not in str(refused.value.issues)


COSTLY = {
    "namespaces",
    "namespaces, nested",
    "depth",
    "depth of resources",
    "depth in a narrative",
    "attributes",
    "elements",
    "too much",
}


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Basic", "text": {"status": "generated", "div": f"<div {H}></div></text><id value='2'/><text><div>"}},
        {"resourceType": "Basic", "text": {"status": "generated", "div": f"<div {H}><script>alert(1)</script></div>"}},
        {"resourceType": "Basic", "text": {"status": "generated", "div": '<?xml version="1.0"?><div/>'}},
        {"resourceType": "Basic", "text": {"status": "generated", "div": "<h:div/>"}},
        {"resourceType": "Basic", "text": {"status": "generated", "div": 7}},
        {"resourceType": "Basic", "colour": "x"},
        {"resourceType": "Basic", "code": "x"},
        {"resourceType": "Basic", "id": {"a": 1}},
        {"resourceType": "Pacient"},
        {"resourceType": "List", "contained": [{"id": "x"}]},
        {},
    ],
    ids=range(11),
)  # fmt: skip
def test_nothing_is_written_that_would_read_as_something_else(resource):
    with pytest.raises(Malformed):
        write_xml(resource)


def test_a_character_that_xml_cannot_say_is_refused_on_both_ways_in():
    for text in ("\x01", "\ufffe", "\uffff"):
        with pytest.raises(NotSupported):
            write_xml({"resourceType": "Basic", "code": {"text": text}})
        for told in ({"code": {"text": text}}, {"code": {"text": "x"}, "implicitRules": f"urn:{text}"}):
            assert check({"resourceType": "Basic"} | told)


# --- every type, every element


@pytest.mark.parametrize("kind", RESOURCE_TYPES)
def test_every_element_of_every_type_goes_there_and_back(kind):
    resource = _full(kind, 3)
    text = write_xml(resource)
    assert read_xml(text) == resource
    assert canonical(write_xml(read_xml(text))) == canonical(text)
    assert json.loads(dump(read_xml(text))) == json.loads(dump(resource))
    told = [etree.QName(each).localname for each in etree.fromstring(text)]
    assert told == sorted(told, key=list(fields(kind)).index)


def _full(shape: str, depth: int) -> dict:
    """An object that has every element of its shape, each type of a choice in turn."""
    made: dict = {"resourceType": shape} if shape in RESOURCE_TYPES else {"id": "i"}
    made |= {"url": "urn:u"} if shape == "Extension" else {}
    for key, field in fields(shape).items():
        if field.kind == "primitive":
            value = {"boolean": True, "decimal": Decimal("1.50")}.get(
                field.type, 7 if field.type in ("integer", "positiveInt", "unsignedInt") else 'a "b"'
            )
            made[key] = [value, None] if field.is_list else value
            made["_" + key] = [None, {"id": "x"} | EXTENDED] if field.is_list else {"id": "x"}
        elif field.kind == "narrative":
            made[key] = f"<div {H}>x</div>"
        elif depth:
            inner = (
                {"resourceType": "Basic", "id": "c"}
                if field.kind == "resource"
                else _full(field.type, 0 if field.type in ("Extension", "Meta") else depth - 1)
            )
            made[key] = [inner, inner] if field.is_list else inner
    return made


EXTENDED = {"extension": [{"url": "urn:e", "valueBoolean": False}]}

_VALUES = st.text(
    st.characters(codec="utf-8", exclude_characters="\ufffe\uffff", min_codepoint=32)
    | st.sampled_from("\t\n\r"),
    min_size=1,
)


@given(
    text=_VALUES,
    given_names=st.lists(_VALUES, min_size=1, max_size=3),
    active=st.booleans(),
    weight=st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=0, max_value=10**6),
)
def test_any_text_and_number_goes_there_and_back(text, given_names, active, weight):
    resource = {
        "resourceType": "Patient",
        "active": active,
        "name": [{"text": text, "given": given_names}],
        "extension": [{"url": text, "valueDecimal": weight}],
    }
    for is_pretty in (False, True):
        back = read_xml(write_xml(resource, is_pretty=is_pretty))
        assert back == resource
        assert str(back["extension"][0]["valueDecimal"]) == str(weight)


def _damaged(name: str, at: int, more: str) -> bytes:
    text = TRICKY[name][0]
    return (text[:at] + more + text[at + 1 :]).encode("utf-8", "replace")


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.builds(_damaged, st.sampled_from(list(TRICKY)), st.integers(0, 400), st.text(max_size=6))
)
def test_any_text_is_read_or_refused(text):
    try:
        resource = read_xml(text)
    except (Malformed, TooCostly):
        return
    if not check(resource):
        assert read_xml(write_xml(resource)) == resource
