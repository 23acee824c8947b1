"""The answer to a message: AA, AE or AR, with the sender's own control id and the place of the fault.

Spec:    HL7 v2.5.1, 2.9.2 and 2.15 (MSA, ERR); table 0357.
Leaves:  deciding which answer to give to the cycle.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from adapters.hl7v2.message import Message

_CODES: Final = {"AE": "207^Application internal error^HL70357", "AR": "200^Unsupported message type^HL70357"}


def acknowledge(
    message: Message | None, code: str, *, raw: bytes = b"", text: str = "", location: str = ""
) -> bytes:
    """An ACK for a message, or for bytes of which only the header can be guessed.

    Units:  code is AA, AE or AR; location is `PID^1^3`.
    """
    if message is not None:
        header = message.header
        sender = [header.raw(number) for number in (3, 4)]
        receiver = [header.raw(number) for number in (5, 6)]
        trigger = header.text(9, 2)
        control_id, version = header.raw(10), header.raw(12) or "2.5.1"
        processing, charset, named = header.raw(11) or "P", message.charset, header.raw(18)
        separator, encoding = header.raw(1), header.raw(2)
    else:
        sender = receiver = ["", ""]
        trigger, version, processing, charset, named = "", "2.5.1", "P", "utf-8", "UNICODE UTF-8"
        control_id, separator, encoding = _guessed_control_id(raw), "|", "^~\\&"
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    kind = encoding[0].join(part for part in ("ACK", trigger, "ACK") if part) if trigger else "ACK"
    head = ["MSH" + separator + encoding, *receiver, *sender, stamp, "", kind, f"ACK{stamp[:14]}"]
    head += [processing, version, "", "", "", "", "", named]
    plain = _plain(text)
    segments = [
        separator.join(head).rstrip(separator),
        separator.join(["MSA", code, control_id, plain]).rstrip(separator),
    ]
    if code != "AA":
        place = location.replace("^", encoding[0])
        fault = _CODES[code].replace("^", encoding[0])
        segments.append(separator.join(["ERR", "", place, fault, "E", "", "", "", plain]))
    return ("\r".join(segments) + "\r").encode(charset, "replace")


def _plain(text: str) -> str:
    """Words that cannot be taken for delimiters."""
    return re.sub(r"[|^~\\&\r\n]", " ", text)


def _guessed_control_id(raw: bytes) -> str:
    """MSH-10 of bytes that could not be read, if they have one."""
    line = raw.lstrip().splitlines()[0] if raw.strip() else b""
    fields = line.split(line[3:4]) if line.startswith(b"MSH") and len(line) > 4 else []  # noqa: PLR2004 - MSH and its separator
    found = fields[9] if len(fields) > 9 else b""  # noqa: PLR2004 - MSH-10
    return re.sub(r"[^ -~]|[|^~\\&]", "", found.decode("ascii", "replace"))[:50]
