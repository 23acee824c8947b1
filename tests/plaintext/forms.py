"""The ways in which a text can lie in a file: spelled otherwise, in other encodings, escaped."""

from __future__ import annotations

import base64
import json
import unicodedata
from urllib.parse import quote, quote_plus

SHORTEST_FORM_BYTES = 6


def plain_forms(text: str) -> set[bytes]:
    """As it is spelled, in small letters, in capitals, without accents; in UTF-8 and in Latin-1."""
    return {form for each in _spellings(text) for form in _bytes(each)}


def forms(text: str) -> set[bytes]:
    """Every way: plain, in UTF-16, in hexadecimal, in base64 at any place, escaped for JSON and for addresses."""
    spelled = _spellings(text)
    found = plain_forms(text)
    found |= {each.encode(order) for each in spelled for order in ("utf-16-le", "utf-16-be")}
    for each in spelled:
        escaped = json.dumps(each)[1:-1]
        # COPY, and whoever quotes SQL, writes a backslash twice.
        found |= {escaped.encode(), escaped.replace("\\", "\\\\").encode()}
        for raw in _bytes(each):
            found |= {raw.hex().encode(), raw.hex().upper().encode()}
            found |= {quote(raw).encode(), quote(raw, safe="").encode(), quote_plus(raw).encode()}
            found |= _in_base64(raw)
    return {each for each in found if len(each) >= SHORTEST_FORM_BYTES}


def _spellings(text: str) -> set[str]:
    bare = "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))
    decomposed = unicodedata.normalize("NFD", text)
    return {form for each in (text, bare, decomposed) for form in (each, each.lower(), each.upper())}


def _bytes(text: str) -> set[bytes]:
    return {text.encode(), text.encode("latin-1", "replace")}


def _in_base64(raw: bytes) -> set[bytes]:
    """Where base64 begins is one of three places; its ends depend on what stands beside."""
    cut = ((0, 0), (1, 2), (2, 3))
    return {
        written(b"\0" * place + raw)[begin:-4]
        for place, begin in cut
        for written in (base64.b64encode, base64.urlsafe_b64encode)
    }
