"""Which answers a message gets: one in original mode; in enhanced mode those that its sender asked for.

Spec:    HL7 v2.5.1, 2.9.2 and 2.9.3 (processing rules), MSH-15, MSH-16, tables 0008 and 0155.
Leaves:  the words of an answer to `acknowledgement`; what was wrong to the cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.hl7v2.acknowledgement import acknowledge
from adapters.hl7v2.message import Message, Segment, header_of

_NO_ANSWER: Final = frozenset({"ACK", "MCF"})
_ERRORS_ONLY: Final = "ER"
_SUCCESS_ONLY: Final = "SU"
_NEVER: Final = frozenset({"NE", ""})


@dataclass(frozen=True, slots=True)
class Fault:
    """What was wrong with a message: the code and words that a person reads, and where it stands.

    `is_rejected` says that the message as such is not taken: unreadable, or of a type that is not kept.
    """

    text: str
    location: str = ""
    is_rejected: bool = False


def is_acknowledgement(head: Segment | None) -> bool:
    """Whether a header is that of an answer: answered, two systems would go on thanking one another."""
    return head is not None and head.name == "MSH" and head.text(9).upper() in _NO_ANSWER


def replies(message: Message | None, raw: bytes, fault: Fault | None) -> list[bytes]:
    """Every answer to a message that is durable, in the order in which they are sent.

    In enhanced mode the first says that it is kept (CA), or that nobody will look at it again (CR); the
    second says, with a header of its own, what came of it. A rejected message gets no second one.
    """
    head = message.header if message is not None else header_of(raw)
    text, location = (fault.text, fault.location) if fault else ("", "")
    if head is None or head.name != "MSH" or not _is_enhanced(head):
        return [original_reply(message, raw, fault)]
    if fault is not None and fault.is_rejected:
        told = _is_wanted(head.text(15), is_good=False)
        return [acknowledge(message, "CR", raw=raw, text=text, location=location)] if told else []
    answers = [acknowledge(message, "CA", raw=raw)] if _is_wanted(head.text(15), is_good=True) else []
    if _is_wanted(head.text(16), is_good=fault is None):
        code = "AE" if fault else "AA"
        answers.append(acknowledge(message, code, raw=raw, text=text, location=location))
    return answers


def original_reply(message: Message | None, raw: bytes, fault: Fault | None) -> bytes:
    """The one answer of original mode: AA, AE or AR."""
    code = "AA" if fault is None else ("AR" if fault.is_rejected else "AE")
    text, location = (fault.text, fault.location) if fault else ("", "")
    return acknowledge(message, code, raw=raw, text=text, location=location)


def refused_commit(raw: bytes, fault: Fault) -> list[bytes]:
    """The answer to a message that was not taken whole: CE in enhanced mode, AR in original mode."""
    head = header_of(raw)
    if head is None or head.name != "MSH" or not _is_enhanced(head):
        return [acknowledge(None, "AR", raw=raw, text=fault.text, location=fault.location)]
    told = _is_wanted(head.text(15), is_good=False)
    return [acknowledge(None, "CE", raw=raw, text=fault.text, location=fault.location)] if told else []


def _is_enhanced(head: Segment) -> bool:
    return bool(head.text(15) or head.text(16))


def _is_wanted(condition: str, *, is_good: bool) -> bool:
    """Table 0155: AL always, NE never, ER what failed, SU what succeeded; what is no such code is answered."""
    if condition in _NEVER:
        return False
    return {_ERRORS_ONLY: not is_good, _SUCCESS_ONLY: is_good}.get(condition, True)
