r"""The escapes of search values: `\,` `\|` `\$` `\\`.

Spec:    https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

import re
from typing import Final

_ESCAPED: Final = re.compile(r"\\([\\,|$])")


def split_escaped(text: str, separator: str) -> list[str]:
    """Split at a separator that no backslash escapes; the parts keep their escapes."""
    if separator not in text:
        return [text]
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return parts


def is_escaped(text: str) -> bool:
    """Whether every backslash escapes something, as it has to."""
    return "\\" not in text or "\\" not in _ESCAPED.sub("", text)


def unescape(text: str) -> str:
    """The value that an escaped text stands for."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
