"""Catalogues that a site loads: read whole or refused whole, atomic, versioned, repeatable. The codes are invented."""

from __future__ import annotations

from base64 import b64decode

import pytest

from exchange.fhir.peru import CIE10_SYSTEM, CPMS_SYSTEM, LOINC_SYSTEM, UCUM_SYSTEM
from exchange.problems import Malformed, NotSupported, Problem
from exchange.terminology import catalogue
from exchange.terminology.catalogue_files import read_catalogue
from exchange.terminology.code_system import above, below, find_system
from exchange.terminology.value_set import codes_of_value_set
from tests.exchange.operations.call import answered, call
from tests.exchange.terminology.conftest import a_value_set

CIE = """Codigo_Item;Descripcion_Item;Fg_Tipo
X70;AFECCIÓN INVENTADA;CX
X701;AFECCIÓN INVENTADA, LEVE;CX
X7012;AFECCIÓN INVENTADA, LEVE, REPETIDA;CX
X71;OTRA 100%_CIERTA;CX
99999.01;PROCEDIMIENTO INVENTADO;CP
"""
LOINC = (
    '"LOINC_NUM","COMPONENT","PROPERTY","STATUS","CLASS","LONG_COMMON_NAME","VersionLastChanged"\n'
    '"00001-0","Algo","MCnc","ACTIVE","CHEM","Algo en suero, ""raro""","2.70"\n'
    '"00002-8","Algo","MCnc","DEPRECATED","CHEM","Algo viejo","2.9"\n'
)
UCUM = """<?xml version="1.0"?><root xmlns="http://unitsofmeasure.org/ucum-essence" version="2.1">
<base-unit Code="m"><name>metro</name></base-unit><unit Code="10*"><name>diez a la</name></unit></root>"""


@pytest.fixture
def file(tmp_path):
    def written(text: str | bytes, name: str = "file"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def load(world, kind: str, path, version: str = "") -> bool:
    changed = []
    found = read_catalogue(kind, path, version)
    world.spine.operate("terminology load", lambda tx: changed.append(catalogue.load(tx, found)))
    return changed[0]


def codes(world, url: str, version: str = "") -> set[str]:
    with world.database_store.transaction() as transaction:
        system = find_system(transaction, url, version)
        return {each.code for each in system.page("", 0, 100, active_only=False)[1]}


def test_cie_10_gets_its_dot_and_its_hierarchy(world, file):
    assert load(world, "cie-10", file(CIE.encode("windows-1252")))
    assert codes(world, CIE10_SYSTEM) == {"X70", "X70.1", "X70.12", "X71"}
    with world.database_store.transaction() as transaction:
        assert below(transaction, CIE10_SYSTEM, "X70") == {"X70", "X70.1", "X70.12"}
        assert below(transaction, CIE10_SYSTEM, "X70.12") == {"X70.12"}
        assert above(transaction, CIE10_SYSTEM, "X70.12") == {"X70", "X70.1", "X70.12"}
        assert below(transaction, CIE10_SYSTEM, "nothing") == {"nothing"}
        assert (
            find_system(transaction, CIE10_SYSTEM).get(["X70.1"])["X70.1"].display
            == "AFECCIÓN INVENTADA, LEVE"
        )


def test_one_file_may_hold_both_catalogues(world, file):
    load(world, "cpms", file(CIE))
    assert codes(world, CPMS_SYSTEM) == {"99999.01"}


def test_loinc_with_its_properties_and_version(world, file):
    load(world, "loinc", file(LOINC))
    found = answered(call(world.post, f"CodeSystem/$lookup?system={LOINC_SYSTEM}&code=00002-8"))
    assert found["version"] == ["2.70"]
    assert ("inactive", True) in [(dict(each)["code"], dict(each)["value"]) for each in found["property"]]
    world.post.store(
        a_value_set(
            "v", [{"system": LOINC_SYSTEM, "filter": [{"property": "CLASS", "op": "=", "value": "CHEM"}]}]
        )
    )
    with world.database_store.transaction() as transaction:
        assert len(codes_of_value_set(transaction, "urn:test:v")) == 2


def test_ucum_gives_names_to_units(world, file):
    load(world, "ucum", file(UCUM))
    assert answered(call(world.post, f"CodeSystem/$lookup?system={UCUM_SYSTEM}&code=m"))["display"] == [
        "metro"
    ]


def test_expand_pages_through_a_catalogue(world, file, monkeypatch):
    from exchange.terminology import value_set

    monkeypatch.setattr(value_set, "MOST_CODES", 2)
    load(world, "cie-10", file(CIE))
    world.post.store(a_value_set("v", [{"system": CIE10_SYSTEM}]))
    said = call(world.post, "ValueSet/$expand?url=urn:test:v&count=2&offset=1")
    assert [each["code"] for each in said.body["expansion"]["contains"]] == ["X70.1", "X70.12"]
    assert said.body["expansion"]["total"] == 4
    for words, expected in (
        ("afeccion%20leve", {"X70.1", "X70.12"}),
        ("100%25_", {"X71"}),
        ("x701", set()),
        ("x70.1", {"X70.1", "X70.12"}),
    ):
        said = call(world.post, f"ValueSet/$expand?url=urn:test:v&filter={words}")
        assert {each["code"] for each in said.body["expansion"].get("contains", ())} == expected


def test_the_same_file_again_changes_nothing_and_a_new_version_replaces_the_current_one(world, file):
    assert load(world, "cie-10", file(CIE), "2023")
    assert not load(world, "cie-10", file(CIE), "2023")
    assert load(world, "cie-10", file(CIE + "X72;NUEVA;CX\n"), "2024")
    assert "X72" in codes(world, CIE10_SYSTEM)
    assert "X72" not in codes(world, CIE10_SYSTEM, "2023")
    assert load(world, "cie-10", file(CIE + "X73;CORREGIDA;CX\n"), "2024")
    assert codes(world, CIE10_SYSTEM) == {"X70", "X70.1", "X70.12", "X71", "X73"}
    with world.database_store.transaction() as transaction:
        assert [(row[1], row[4]) for row in catalogue.loaded(transaction)] == [
            ("2023", False),
            ("2024", True),
        ]


def test_what_was_derived_from_the_old_one_is_forgotten(world, file):
    world.post.store(
        a_value_set(
            "v", [{"system": CIE10_SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "X70"}]}]
        )
    )
    load(world, "cie-10", file(CIE), "2023")

    def known() -> int:
        with world.database_store.transaction() as transaction:
            return len(codes_of_value_set(transaction, "urn:test:v"))

    assert known() == 3
    load(world, "cie-10", file(CIE + "X702;NUEVA;CX\n"), "2024")
    assert known() == 4


def test_a_load_that_fails_leaves_nothing(world, file):
    found = read_catalogue("cie-10", file(CIE), "1")

    def act(transaction) -> None:
        catalogue.load(transaction, found)
        raise NotSupported("stop")

    with pytest.raises(Problem):
        world.spine.operate("terminology load", act)
    with world.database_store.transaction() as transaction:
        assert catalogue.loaded(transaction) == []
        assert find_system(transaction, CIE10_SYSTEM) is None


def test_it_is_the_operators_act_and_audited(world, file):
    load(world, "cie-10", file(CIE))
    told = [
        b64decode(entity["query"])
        for event in world.events()
        for entity in event["entity"]
        if "query" in entity
    ]
    assert b"exchange terminology load" in told


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("cie-10", ""),
        ("cie-10", "Codigo_Item;Descripcion_Item\n"),
        ("cie-10", "nombre;otro\na;b\n"),
        ("cie-10", "Codigo_Item;Descripcion_Item\n99207.04;A\n"),
        ("cie-10", "Codigo_Item;Descripcion_Item\nX70;A;B\n"),
        ("cie-10", 'Codigo_Item;Descripcion_Item\nX70;"A\n'),
        ("cie-10", "Codigo_Item;Descripcion_Item\nX70;A\0\n"),
        ("cpms", "Codigo_Item;Descripcion_Item\n" + "9" * 41 + ";A\n"),
        ("cpms", "Codigo_Item;Descripcion_Item\n;A\n"),
        ("loinc", "LOINC_NUM,STATUS\n1,ACTIVE\n"),
        ("ucum", "<root/>"),
        ("ucum", "<root"),
        ("ucum", '<!DOCTYPE root [<!ENTITY a "b">]>' + UCUM.partition("?>")[2]),
    ],
)
def test_a_file_that_is_no_such_catalogue_is_refused_whole(file, kind, text):
    with pytest.raises(Malformed):
        read_catalogue(kind, file(text))


def test_an_entity_bomb_is_not_expanded(file):
    bomb = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1 if n else str()};" * 10}">' for n in range(1, 9)
    )
    with pytest.raises(Malformed):
        read_catalogue("ucum", file(bomb + "]><r>&a8;</r>"))


def test_a_file_that_is_too_large_is_refused(file, monkeypatch):
    from exchange.terminology import catalogue_files

    monkeypatch.setattr(catalogue_files, "MAX_BYTES", 10)
    with pytest.raises(Problem, match="larger"):
        read_catalogue("cie-10", file(CIE))
    monkeypatch.setattr(catalogue_files, "MAX_BYTES", 10_000)
    monkeypatch.setattr(catalogue_files, "MOST_CONCEPTS", 2)
    with pytest.raises(Problem, match="more than"):
        read_catalogue("cie-10", file(CIE))
