"""The answer to a message: its code, the sender's own control id, and the place of the fault.

Spec:    HL7 v2.5.1, 2.9.2 and 2.15 (MSA, ERR); tables 0008 and 0357.
Leaves:  which answers a message gets to `reply`; whether it is good to the cycle.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Final

from adapters.hl7v2.message import Delimiters, Message, Segment, header_of

_CODECS: Final = {"8859/1": "cp1252", "8859/15": "iso8859-15"}
_SEGMENT_MISSING: Final = "100^Segment sequence error^HL70357"
_FIELD_MISSING: Final = "101^Required field missing^HL70357"
_BAD_TYPE: Final = "102^Data type error^HL70357"
_NO_TYPE: Final = "200^Unsupported message type^HL70357"
_INTERNAL: Final = "207^Application internal error^HL70357"
# What a fault of ours is called in table 0357.
_FAULTS: Final = {
    "A-201": _SEGMENT_MISSING, "A-202": _BAD_TYPE, "A-203": _SEGMENT_MISSING, "A-206": _BAD_TYPE,
    "A-221": _NO_TYPE, "A-231": _SEGMENT_MISSING, "A-232": _FIELD_MISSING, "A-233": _FIELD_MISSING,
    "A-234": _FIELD_MISSING, "A-235": _SEGMENT_MISSING, "A-241": _SEGMENT_MISSING,
    "A-246": _SEGMENT_MISSING, "A-247": _FIELD_MISSING,
    "A-242": _FIELD_MISSING, "A-243": _FIELD_MISSING, "A-244": _BAD_TYPE, "A-248": _FIELD_MISSING,
}  # fmt: skip
_FIRST_WITH_ERR_FIELDS: Final = (2, 5)
_MAX_CONTROL_ID: Final = 199


def acknowledge(
    message: Message | None, code: str, *, raw: bytes = b"", text: str = "", location: str = ""
) -> bytes:
    """An acknowledgement of a message, or of bytes of which only the header can be read, or not even that.

    Units:  code is AA, AE, AR, CA, CE or CR; text is `A-nnn` and words; location is `PID^1^3`.
    """
    head = message.header if message is not None else header_of(raw)
    if head is None:
        head = Segment("MSH", ("MSH", "|", "^~\\&"), Delimiters())
    delimiters = head.delimiters
    words = _escaped(text, delimiters)
    control_id = (head.raw(10) if head.name == "MSH" else head.raw(11))[:_MAX_CONTROL_ID]
    segments = [
        _header(head),
        _joined(head, ["MSA", code, control_id, words]),
    ]
    if code[1] != "A":
        segments.append(_fault(head, text, location, words))
    charset = message.charset if message is not None else "latin-1"
    return ("\r".join(segments) + "\r").encode(_codec(head, charset), "replace")


def _header(head: Segment) -> str:
    """MSH of the answer: addresses turned round; version, processing id and charset as the question's."""
    separator = head.delimiters.component
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    trigger = head.text(9, 2) if head.name == "MSH" else ""
    kind = separator.join(("ACK", trigger, "ACK")) if re.match(r"^[A-Z0-9]{3}$", trigger) else "ACK"
    fields = ["MSH" + head.raw(1) + head.raw(2), *(head.raw(number) for number in (5, 6, 3, 4)), stamp, ""]
    fields += [kind, uuid.uuid4().hex[:20]]
    fields += [head.raw(11) or "P", head.raw(12) or "2.5.1"] if head.name == "MSH" else ["P", "2.5.1"]
    # An answer asks for none: MSH-15 and MSH-16 say so where the question was in enhanced mode.
    wants = ["NE", "NE"] if head.name == "MSH" and (head.raw(15) or head.raw(16)) else ["", ""]
    charset = head.field(18).text if head.name == "MSH" else ""
    return _joined(head, [*fields, "", "", *wants, "", charset])


def _fault(head: Segment, text: str, location: str, words: str) -> str:
    """ERR: the place, table 0357's name of the fault, our own code, and words for a person."""
    component, subcomponent = head.delimiters.component, head.delimiters.subcomponent
    own = text[:5] if re.match(r"^A-\d{3}", text) else ""
    place = location.replace("^", component)
    fault = _FAULTS.get(own, _INTERNAL).replace("^", component)
    if head.name == "MSH" and _version(head) < _FIRST_WITH_ERR_FIELDS:
        parts = [*location.split("^"), "", "", ""][:3]
        return _joined(head, ["ERR", component.join([*parts, fault.replace(component, subcomponent)])])
    return _joined(head, ["ERR", "", place, fault, "E", own, "", "", words])


def _version(head: Segment) -> tuple[int, ...]:
    found = re.match(r"^(\d)\.(\d)", head.raw(12))
    return (int(found.group(1)), int(found.group(2))) if found else _FIRST_WITH_ERR_FIELDS


def _joined(head: Segment, fields: list[str]) -> str:
    text = head.delimiters.field.join(fields).rstrip(head.delimiters.field)
    return re.sub(r"[\x00-\x1f]", "", text)  # what a header echoes must not end a frame or a segment


def _codec(head: Segment, charset: str) -> str:
    return _CODECS.get(head.field(18).text.upper(), charset) if head.name == "MSH" else charset


def _escaped(text: str, delimiters: Delimiters) -> str:
    """Words that cannot be taken for delimiters, nor for the end of a segment."""
    signs = (delimiters.field, delimiters.component, delimiters.repetition, delimiters.escape)
    return re.sub("[" + re.escape("".join((*signs, delimiters.subcomponent))) + r"\x00-\x1f]", " ", text)
