"""A resource as text: read it without loss, write it back, refuse what is no plain FHIR JSON.

Spec:    https://hl7.org/fhir/R4/json.html
Leaves:  element names, types and cardinality to validate.py.

Decimals keep their digits (1.10 stays 1.10). No diagnostic repeats anything that was sent.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import msgspec

from exchange.fhir.definitions import is_resource_type
from exchange.problems import Malformed, TooCostly

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_NODES: Final = 1_000_000
MAX_NUMBER_LENGTH: Final = 400
MAX_EXPONENT: Final = 400

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_POSITION: Final = re.compile(r"\(byte (\d+)\)$")
_LONG_NUMBER: Final = re.compile(rb"[0-9]{%d}" % MAX_NUMBER_LENGTH)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"{}[]"))


class _AbsurdNumberError(ValueError):
    pass


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_LENGTH:
        raise _AbsurdNumberError
    if "e" in text or "E" in text:
        exponent = text.lower().rpartition("e")[2]
        if len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT:  # noqa: PLR2004 - room for sign and zeros
            raise _AbsurdNumberError
    return Decimal(text)


_decoder: Final = msgspec.json.Decoder(float_hook=_decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def parse(text: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Read one resource from JSON text.

    Steps:  1 size; 2 nodes and depth, on the text, before anything is built; 3 decode; 4 duplicate keys;
            5 NUL characters; 6 a known resourceType.
    Units:  max_bytes of text, max_depth nested objects and arrays.
    Raises: Malformed - no JSON, or not FHIR's kind of JSON; TooCostly - beyond a bound.
    Spec:   https://hl7.org/fhir/R4/json.html#resources
    """
    # 1
    if len(text) > max_bytes:
        raise TooCostly(f"The text is longer than {max_bytes} bytes")
    if text.startswith(_BYTE_ORDER_MARK):
        text = text[3:]
    # 2
    skeleton = _skeleton(text)
    _require_bounded(skeleton, max_depth)
    # 3
    resource = _decoded(text)
    # 4
    if _skeleton(_encoder.encode(resource)).count(b":") != skeleton.count(b":"):
        raise Malformed("An object names the same property twice")
    # 5
    if b"\\u0000" in text and b"\\u0000" in text.replace(b"\\\\", b""):
        raise Malformed("The text contains a NUL character")
    # 6
    if type(resource) is not dict:
        raise Malformed("The text is not a JSON object")
    resource_type = resource.get("resourceType")
    if type(resource_type) is not str:
        raise Malformed("resourceType is missing", "resourceType")
    if not is_resource_type(resource_type):
        raise Malformed("resourceType is not a resource type of FHIR R4", "resourceType")
    return resource


def load(text: bytes) -> Any:
    """Read JSON text that this hub stored or wrote itself: no bound is held against it. Raises: Malformed."""
    return _decoded(text)


def dump(resource: dict[str, Any]) -> bytes:
    """Write a resource as JSON text, properties in their order, decimals with their digits."""
    return _encoder.encode(resource)


def pretty(text: bytes) -> bytes:
    """Indent JSON text for people; every value stays as it was written."""
    return msgspec.json.format(text, indent=2)


def _require_bounded(skeleton: bytes, max_depth: int) -> None:
    if skeleton.count(b",") + skeleton.count(b"[") > MAX_NODES:
        raise TooCostly(f"The text has more than {MAX_NODES} values")
    if _is_deeper(skeleton, max_depth):
        raise TooCostly(f"The text nests deeper than {max_depth} levels")
    if _LONG_NUMBER.search(skeleton):
        raise Malformed("A number is longer or larger than any that FHIR allows")


def _decoded(text: bytes) -> Any:
    try:
        return _decoder.decode(text)
    except _AbsurdNumberError:
        raise Malformed("A number is longer or larger than any that FHIR allows") from None
    except UnicodeDecodeError:
        raise Malformed("The text is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        position = _POSITION.search(str(error))
        where = f" at byte {position[1]}" if position else ""
        raise Malformed(f"The text is not valid JSON{where}") from None


def _skeleton(text: bytes) -> bytes:
    """The text without its strings: every brace, colon and comma that is left is structure."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b'"'.join(text.split(b'"')[::2])


def _is_deeper(skeleton: bytes, levels: int) -> bool:
    if skeleton.count(b"{") + skeleton.count(b"[") <= levels:
        return False
    brackets = skeleton.translate(None, _NOT_BRACKETS)
    for _ in range(levels):  # each round takes at least the innermost level away
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return False
    return True
