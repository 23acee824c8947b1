"""An implementation guide's package, as npm carries it: read within bounds, and refused whole when anything is wrong.

Spec:    https://confluence.hl7.org/display/FHIR/NPM+Package+Specification; https://hl7.org/fhir/R4/packages.html
Leaves:  storing what it holds to operations/package.

Nothing is written to disk: members are read from the stream, so no path in the archive leads anywhere.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import msgspec

from exchange.fhir.definitions import official_code_systems, official_value_set_rules
from exchange.fhir.profile import is_core
from exchange.fhir.resource import parse
from exchange.fhir.validate import check
from exchange.problems import Invalid, Malformed, Problem, TooCostly

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 256 * 1024 * 1024
MAX_MEMBER_BYTES: Final = 16 * 1024 * 1024
MOST_MEMBERS: Final = 20_000
MAX_DEPTH: Final = 64
KEPT: Final = frozenset(
    {"CodeSystem", "ConceptMap", "ImplementationGuide", "NamingSystem", "StructureDefinition", "ValueSet"}
)
_R4: Final = "4.0"
_FOLDER: Final = "package"
_OWN: Final = "http://hl7.org/fhir/"


@dataclass(frozen=True, slots=True)
class Package:
    """A package that may be stored: its conformance resources, and how many others it holds."""

    name: str
    version: str
    resources: list[dict[str, Any]]
    left_out: int


class _Bounded:
    """A stream that ends the reading where it would give more than is allowed."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MAX_UNPACKED_BYTES

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > MAX_MEMBER_BYTES:
            raise TooCostly("the package holds more than is read at once")
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise TooCostly(f"the package unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        return data


def read_package(file: Path) -> Package:
    """A package's conformance resources.

    1. Sizes. 2. Members: plain files with plain names. 3. A manifest of FHIR R4. 4. Each resource is valid R4 and
    redefines nothing of R4 itself.
    Raises: TooCostly, Malformed, Invalid - naming the member, never what it says.
    """
    # 1.
    if file.stat().st_size > MAX_FILE_BYTES:
        raise TooCostly(f"the package is larger than {MAX_FILE_BYTES} bytes")
    resources: list[dict[str, Any]] = []
    manifest: dict[str, Any] | None = None
    left_out = 0
    # 2.
    for name, text in _members(file):
        if name == "package.json":
            manifest = _manifest(text)
        elif not name.startswith(".") and name.endswith(".json"):
            resource = _resource(name, text)
            if resource is None:
                left_out += 1
            else:
                resources.append(resource)
    # 3.
    if manifest is None:
        raise Malformed("the package has no package.json")
    return Package(str(manifest.get("name", "")), str(manifest.get("version", "")), resources, left_out)


def _members(file: Path) -> Iterator[tuple[str, bytes]]:
    """The files directly in the package's folder: name and text."""
    count = 0
    seen: set[str] = set()
    try:
        with gzip.open(file) as stream, tarfile.open(fileobj=_Bounded(stream), mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                count += 1
                if count > MOST_MEMBERS:
                    raise TooCostly(f"the package has more than {MOST_MEMBERS} members")
                parts = PurePosixPath(member.name).parts
                if member.isdir():
                    continue
                if not member.isreg() or ".." in parts or member.name.startswith("/") or "\\" in member.name:
                    raise Malformed("the package has a member that is no plain file with a plain path")
                if len(parts) != 2 or parts[0] != _FOLDER:  # noqa: PLR2004 - folder and file
                    continue
                if parts[1] in seen:
                    raise Malformed("the package has a member twice")
                seen.add(parts[1])
                if member.size > MAX_MEMBER_BYTES:
                    raise TooCostly(f"a member is larger than {MAX_MEMBER_BYTES} bytes")
                opened = archive.extractfile(member)
                yield parts[1], opened.read() if opened is not None else b""
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError, ValueError):
        raise Malformed("the file is no package: no gzipped tar archive, or a broken one") from None


def _manifest(text: bytes) -> dict[str, Any]:
    try:
        manifest = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Malformed("package.json is no JSON object") from None
    versions = manifest.get("fhirVersions") or manifest.get("fhir-version-list") or []
    if not isinstance(versions, list) or not any(str(each).startswith(_R4) for each in versions):
        raise Invalid("the package is not for FHIR R4 (4.0.1)")
    return manifest


def _resource(name: str, text: bytes) -> dict[str, Any] | None:
    # 4.
    try:
        kind = msgspec.json.decode(text, type=_Kind).resourceType
        if kind not in KEPT:
            return None
        resource = parse(text, max_bytes=MAX_MEMBER_BYTES, max_depth=MAX_DEPTH)
        issues = check(resource)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Malformed(f"{_shown(name)} is no JSON object") from None
    except Problem as problem:
        raise Malformed(f"{_shown(name)}: {problem}") from None
    if issues:
        raise Invalid(f"{_shown(name)}: {issues[0].diagnostics}", issues[0].expression)
    url = str(resource.get("url", ""))
    if kind == "StructureDefinition" and not str(resource.get("fhirVersion", _R4)).startswith(_R4):
        raise Invalid(f"{_shown(name)} is not for FHIR R4 (4.0.1)")
    if is_core(url) or (
        url.startswith(_OWN) and (url in official_code_systems() or url in official_value_set_rules())
    ):
        raise Invalid(f"{_shown(name)} would redefine a part of FHIR R4 itself")
    return resource


class _Kind(msgspec.Struct):
    """The one element of a member that says whether it is kept."""

    resourceType: str = ""  # noqa: N815 - as FHIR spells it


def _shown(name: str) -> str:
    return "".join(each for each in name[:120] if each.isprintable())
