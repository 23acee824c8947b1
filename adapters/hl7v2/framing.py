"""Frames of MLLP: VT, content, FS, CR, across whatever chunks the network makes.

Spec:    HL7 v2 Transport Specification: MLLP, release 1.
Leaves:  what the content means to `message`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c"
RETURN: Final = b"\r"


class FrameTooLarge(Exception):  # noqa: N818 - tells the reader to close this connection
    """A frame is longer than the bound: the rest of this connection cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The content of one frame; `is_broken` says that a new frame began before it ended."""

    content: bytes
    is_broken: bool = False


class Deframer:
    """Takes bytes as they come and gives frames as they end."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._is_inside = False

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._is_inside

    def feed(self, chunk: bytes) -> list[Frame]:
        """Add a chunk; noise between frames is dropped.

        Raises: FrameTooLarge - the bound was exceeded.
        """
        self._buffer += chunk
        frames: list[Frame] = []
        while frame := self._next():
            frames.append(frame)
        if len(self._buffer) > self._max_bytes:
            raise FrameTooLarge
        return frames

    def _next(self) -> Frame | None:
        if not self._is_inside:
            start = self._buffer.find(START)
            if start < 0:
                self._buffer.clear()
                return None
            del self._buffer[: start + 1]
            self._is_inside, self._searched = True, 0
        end = self._buffer.find(END, self._searched)
        restart = self._buffer.find(START, self._searched, end if end >= 0 else len(self._buffer))
        if restart >= 0:
            return self._take(restart, is_broken=True)
        if end >= 0:
            return self._take(end, is_broken=False)
        self._searched = len(self._buffer)
        return None

    def _take(self, end: int, *, is_broken: bool) -> Frame:
        """Cut the frame that ends here; of a broken one the start of the next stays."""
        if end > self._max_bytes:
            raise FrameTooLarge
        content = bytes(self._buffer[:end])
        del self._buffer[: end + (0 if is_broken else 1)]
        self._is_inside, self._searched = False, 0
        return Frame(content, is_broken)


def frame(content: bytes) -> bytes:
    """Put content into a frame."""
    return START + content + END + RETURN
