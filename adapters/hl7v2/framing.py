"""Frames of MLLP: VT, content, FS, CR, across whatever chunks the network makes.

Spec:    HL7 v2 Transport Specification: MLLP, release 1.
Leaves:  what the content means to `message`; how long to wait for an end to the reader.

The same bytes give the same frames however they are cut. FS ends a frame where CR, LF or a new VT follows, or
where nothing follows for a while (`settle`): taken for an end wherever it stands, it would turn a message that
holds one by mistake into a shorter message, acknowledged, its rest thrown away as noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c"
RETURN: Final = b"\r"
_AFTER_END: Final = frozenset(b"\r\n\x0b")
_KEPT_OF_TOO_LARGE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Frame:
    """The content of one frame.

    `is_broken` says that a new frame began before it ended; `is_too_large` that only its beginning was kept.
    """

    content: bytes
    is_broken: bool = False
    is_too_large: bool = False


class Deframer:
    """Takes bytes as they come and gives frames as they end.

    What exceeds the bound is thrown away up to its end, so that one message too large holds up no other.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._thrown_away = 0
        self._is_inside = False

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._is_inside

    @property
    def is_unsettled(self) -> bool:
        """Whether the last byte is an FS: an end, unless something else follows."""
        return self._is_inside and self._buffer.endswith(END)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Add a chunk; noise between frames is dropped."""
        self._buffer += chunk
        frames: list[Frame] = []
        while found := self._next():
            frames.append(found)
        self._bound()
        return frames

    def settle(self) -> list[Frame]:
        """Nothing came after FS: the sender writes no CR, and the frame has ended."""
        return [self._take(len(self._buffer) - 1, skip=1)] if self.is_unsettled else []

    def _next(self) -> Frame | None:
        if not self._is_inside:
            start = self._buffer.find(START)
            if start < 0:
                self._buffer.clear()
                return None
            del self._buffer[: start + 1]
            self._is_inside, self._searched, self._thrown_away = True, 0, 0
        end = self._find_end()
        restart = self._buffer.find(START, self._searched, end if end >= 0 else len(self._buffer))
        if restart >= 0:
            return self._take(restart, skip=0, is_broken=True)
        if end >= 0:
            return self._take(end, skip=1)
        self._searched = max(0, len(self._buffer) - self.is_unsettled)
        return None

    def _find_end(self) -> int:
        """Where the FS stands that ends this frame."""
        end = self._buffer.find(END, self._searched)
        while 0 <= end < len(self._buffer) - 1 and self._buffer[end + 1] not in _AFTER_END:
            end = self._buffer.find(END, end + 1)
        return end if end < len(self._buffer) - 1 else -1

    def _take(self, end: int, *, skip: int, is_broken: bool = False) -> Frame:
        """Cut the frame that ends here; of a broken one the start of the next stays."""
        is_too_large = end + self._thrown_away > self._max_bytes
        content = bytes(self._buffer[: min(end, _KEPT_OF_TOO_LARGE) if is_too_large else end])
        del self._buffer[: end + skip]
        self._is_inside, self._searched = False, 0
        return Frame(content, is_broken, is_too_large)

    def _bound(self) -> None:
        """Of a frame that is too large keep the beginning, and the last byte, which may be its end."""
        surplus = len(self._buffer) - 1 - _KEPT_OF_TOO_LARGE
        if len(self._buffer) + self._thrown_away > self._max_bytes and surplus > 0:
            del self._buffer[_KEPT_OF_TOO_LARGE : _KEPT_OF_TOO_LARGE + surplus]
            self._thrown_away += surplus
            self._searched = max(0, len(self._buffer) - 1)


def frame(content: bytes) -> bytes:
    """Put content into a frame."""
    return START + content + END + RETURN
