"""Packages of implementation guides: read within bounds, stored all or none, the same again changes nothing."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from base64 import b64decode

import pytest

from exchange.fhir import package as room
from exchange.fhir.package import read_package
from exchange.operations.package import load_package
from exchange.problems import Invalid, Malformed, Problem, TooCostly
from tests.exchange.operations.call import call
from tests.exchange.operations.test_validate import PROFILE, SD, a_profile, an, errors
from tests.exchange.terminology.conftest import a_code_system, a_value_set

MANIFEST = {"name": "test.guide", "version": "1.0.0", "fhirVersions": ["4.0.1"]}


def own(resource: dict) -> dict:
    return resource | {"id": "x"}


@pytest.fixture
def packed(tmp_path):
    """A function that packs members into package.tgz: JSON by name, or ready-made TarInfo with bytes."""

    def made(files: dict, manifest: dict | None = MANIFEST, extra: list[tuple[tarfile.TarInfo, bytes]] = ()):
        path = tmp_path / f"package-{time.monotonic_ns()}.tgz"
        with tarfile.open(path, "w:gz") as archive:
            named = dict(files) if manifest is None else {"package/package.json": manifest} | files
            for name, told in named.items():
                data = told if isinstance(told, bytes) else json.dumps(told).encode()
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            for info, data in extra:
                archive.addfile(info, io.BytesIO(data))
        return path

    return made


def load(world, path):
    done = []
    world.spine.operate("package load", lambda tx: done.append(load_package(tx, read_package(path))))
    return done[0].stored, done[0].unchanged


def resources(world) -> int:
    with world.sql() as cursor:
        cursor.execute("SELECT count(*) FROM resource r JOIN canonical_resource c USING (id, type)")
        return cursor.fetchone()[0]


@pytest.fixture
def world(empty):
    with empty.sql() as cursor:
        cursor.execute("DELETE FROM canonical_resource")
    return empty


FILES = {
    "package/StructureDefinition-p.json": own(a_profile([{"id": "Observation.issued", "min": 1}])),
    "package/ValueSet-v.json": own(a_value_set("v", [{"system": "urn:test:colours"}])),
    "package/CodeSystem-c.json": own(a_code_system()),
    "package/Patient-example.json": {"resourceType": "Patient", "id": "x"},
    "package/.index.json": {"files": []},
    "package/example/StructureDefinition-bad.json": b"not even JSON",
    "package/other/readme.txt": b"text",
}


def test_what_a_package_says_counts(world, packed):
    assert load(world, packed(FILES)) == (3, 0)
    assert errors(world, an(), profile=PROFILE) == ["Observation.issued"]
    assert call(world.hospital, "ValueSet/$expand?url=urn:test:v").body["expansion"]["total"] == 7


def test_the_same_again_changes_nothing_and_another_version_stands_beside_it(world, packed):
    load(world, packed(FILES))
    assert load(world, packed(FILES)) == (0, 3)
    changed = FILES["package/StructureDefinition-p.json"] | {"version": "2"}
    changed["differential"] = {
        "element": [
            {"id": "Observation", "path": "Observation"},
            {"id": "Observation.method", "path": "Observation.method", "min": 1},
        ]
    }
    assert load(world, packed(FILES | {"package/StructureDefinition-p.json": changed})) == (1, 2)
    assert errors(world, an(), profile=PROFILE) == ["Observation.method"]


def test_it_is_the_operators_act_and_audited(world, packed):
    load(world, packed(FILES))
    told = [
        b64decode(entity["query"])
        for event in world.events()
        for entity in event["entity"]
        if "query" in entity
    ]
    assert b"exchange package load" in told


def test_a_load_that_fails_stores_nothing(world, packed):
    package = read_package(packed(FILES))

    def act(transaction) -> None:
        load_package(transaction, package)
        raise Invalid("stop")

    with pytest.raises(Problem):
        world.spine.operate("package load", act)
    assert resources(world) == 0


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    "name", ["../evil.json", "package/../../evil.json", "/etc/evil.json", "package/..\\evil.json"]
)
def test_a_path_that_leads_elsewhere_is_refused(packed, name, tmp_path):
    before = sorted(tmp_path.parent.rglob("evil.json"))
    with pytest.raises(Malformed, match="plain"):
        read_package(packed({name: {"resourceType": "ValueSet"}}))
    assert sorted(tmp_path.parent.rglob("evil.json")) == before


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_what_is_no_plain_file_is_refused(packed, kind):
    with pytest.raises(Malformed, match="plain"):
        read_package(packed({}, extra=[(link("package/ValueSet-a.json", kind), b"")]))


def test_a_member_that_stands_twice_is_refused(packed):
    info = tarfile.TarInfo("package/package.json")
    info.size = 2
    with pytest.raises(Malformed, match="twice"):
        read_package(packed({}, extra=[(info, b"{}")]))


def test_bombs_are_given_up_early(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MAX_UNPACKED_BYTES", 2_000_000)
    with pytest.raises(TooCostly, match="unpacks"):
        read_package(packed({f"package/other{n}.txt": b"0" * 900_000 for n in range(5)}))
    # A header that announces a name of gigabytes.
    info = tarfile.TarInfo("package/x")
    header = bytearray(info.tobuf())
    header[156:157] = b"L"
    header[124:136] = b"%011o\0" % (4 * 1024**3)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    bomb = tmp_path / "bomb.tgz"
    bomb.write_bytes(gzip.compress(bytes(header[:512]) + b"0" * 100_000))
    before = time.monotonic()
    with pytest.raises((TooCostly, Malformed)):
        read_package(bomb)
    assert time.monotonic() - before < 3


def test_bounds_on_sizes_and_numbers(packed, monkeypatch):
    path = packed(FILES)
    for name, value in (("MAX_FILE_BYTES", 10), ("MOST_MEMBERS", 2), ("MAX_MEMBER_BYTES", 20)):
        with monkeypatch.context() as patched:
            patched.setattr(room, name, value)
            with pytest.raises(TooCostly):
                read_package(path)


DEEP = b'{"resourceType":"ValueSet","status":"active","extension":' + b"[" * 3000 + b"]" * 3000 + b"}"


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"\xff\xfe", DEEP, b'{"resourceType":"ValueSet"}', b'{"resourceType":"ValueSet","status":"active","nonsense":1}',
             b'{"resourceType":"ValueSet","status":"active","status":"draft"}'],
)  # fmt: skip
def test_a_member_that_is_no_valid_resource_refuses_the_whole(packed, text):
    with pytest.raises((Malformed, Invalid), match=r"ValueSet-a\.json"):
        read_package(packed(FILES | {"package/ValueSet-a.json": text}))


@pytest.mark.parametrize(
    "url",
    [
        SD + "Patient",
        SD + "Patient|9",
        SD + "Observation",
        SD + "Extension",
        SD + "string",
        SD + "SimpleQuantity",
    ],
)
def test_core_is_not_redefined(packed, url):
    with pytest.raises(Invalid, match="redefine"):
        read_package(packed({"package/StructureDefinition-p.json": own(a_profile([], url=url))}))


def test_nor_are_fhirs_own_value_sets_and_code_systems(packed):
    gender = own(
        a_value_set("v", [{"system": "urn:a"}], url="http://hl7.org/fhir/ValueSet/administrative-gender")
    )
    with pytest.raises(Invalid, match="redefine"):
        read_package(packed({"package/ValueSet-v.json": gender}))
    system = own(a_code_system("http://hl7.org/fhir/administrative-gender"))
    with pytest.raises(Invalid, match="redefine"):
        read_package(packed({"package/CodeSystem-v.json": system}))


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        {},
        {"fhirVersions": ["5.0.0"]},
        {"fhirVersions": ["3.0.2"]},
        {"fhirVersions": "4.0.1"},
        {"fhirVersions": {}},
    ],
)
def test_a_package_of_another_fhir_is_refused(packed, manifest):
    with pytest.raises((Malformed, Invalid)):
        read_package(packed(FILES, manifest))


def test_a_definition_of_another_fhir_is_refused(packed):
    definition = FILES["package/StructureDefinition-p.json"] | {"fhirVersion": "3.0.1"}
    with pytest.raises(Invalid, match="not for FHIR R4"):
        read_package(packed(FILES | {"package/StructureDefinition-p.json": definition}))


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"\x1f\x8b", gzip.compress(b"no tar"), gzip.compress(b"\0" * 1024)[:-6]],
    ids=range(5),
)
def test_what_is_no_archive_is_refused(tmp_path, data):
    path = tmp_path / "package.tgz"
    path.write_bytes(data)
    with pytest.raises(Malformed):
        read_package(path)
