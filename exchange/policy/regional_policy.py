"""The regional policy: one reviewed data file as a frozen, typed object.

Spec:    docs/policy.md (each key); Ley 30024, Directiva 373-MINSA/OGTI-2025 (Peru).
Leaves:  which file, and when it is read again, to policy/adopted; whether its parts agree to policy/agreement.

A key that is not known is refused, and so is a file whose parts contradict each other: a policy that is half understood
would be a policy that nobody reviewed.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from exchange.policy.agreement import disagreements, sensitivity_codes
from exchange.policy.code_tables import CodeTables
from exchange.policy.toml_lines import line_of, lines_of

MOST_BYTES: Final = 1024 * 1024
_LONGEST_EMERGENCY_MINUTES: Final = 240

_WORDS: Final = {"extra_forbidden": "is not known", "missing": "is missing"}

Act = Literal["charts", "events", "directory", "cases"]
Codes = tuple[Annotated[str, Field(min_length=1, max_length=64)], ...]
Word = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a policy file."""

    line: int
    key: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key}: {self.text}" if self.key else f"line {self.line}: {self.text}"


class PolicyRefused(ValueError):  # noqa: N818 - named as problems are: what happened to the file
    """A file that is no policy; `faults` says why, in the order of its lines."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda each: (each.line, each.key)))
        super().__init__("; ".join(map(str, self.faults)))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Region(_Section):
    """Whose policy it is, which version, who reviewed it and when."""

    name: Word
    version: Word
    reviewed_by: Word
    reviewed_at: date


class Defaults(_Section):
    """What holds where no consent speaks."""

    cross_facility: Literal["deny"]
    sending: Literal["required", "assumed"]
    treatment_relationship: Literal["none", "record"]
    permit_without_label_covers: Literal["U", "L", "M", "N"]


class Purposes(_Section):
    """Purposes of use, as v3 ActReason codes."""

    allowed: Codes
    refused_by_law: Codes
    covers: dict[str, Codes] = Field(default_factory=dict)

    def is_allowed(self, code: str) -> bool:
        """Whether anything at all may be done for this purpose."""
        return code in self.allowed and code not in self.refused_by_law

    def covered_by(self, code: str) -> tuple[str, ...]:
        """A purpose and those that it covers. Breaking the glass is covered by none."""
        return (code, *self.covers.get(code, ()))


class RoleRule(_Section):
    """What one kind of requester may do, and for which purposes."""

    acts: tuple[Act, ...]
    purposes: Codes


class UserRole(_Section):
    """The function of a person at a facility."""

    display_es: Word
    display_en: Word
    determines_sensitivity: bool = False


class CodeSystemForm(_Section):
    """How a code system is recognised, and whether its codes nest by their first letters."""

    urls: Codes
    oids: Codes = ()
    contains: Codes = ()
    nests: bool = False
    ignored: str = Field("", max_length=4)


class Sensitive(_Section):
    """A category of sensitive information: the codes that say it, and those that imply it."""

    code: Word
    display_es: Word
    display_en: Word
    confidentiality: Literal["R", "V"]
    codes: dict[str, Codes] = Field(default_factory=dict)
    implied_by: dict[str, Codes] = Field(default_factory=dict)


class Emergency(_Section):
    """When the glass may be broken, by whom, for how long, and who is told."""

    roles: Codes
    attested: Codes
    resource_types: Codes
    longest_minutes: int = Field(ge=1, le=_LONGEST_EMERGENCY_MINUTES)
    privacy_officer_notice_seconds: int = Field(ge=1, le=60)
    patient_notice_hours: int = Field(ge=1, le=24)
    openings_per_user_per_day: int = Field(ge=1, le=1_000)
    least_reason_letters: int = Field(ge=1, le=1_000)


class Retention(_Section):
    """How long records are kept."""

    active_years: int = Field(ge=1, le=100)
    passive_years: int = Field(ge=0, le=100)

    @property
    def years(self) -> int:
        """Active and passive together."""
        return self.active_years + self.passive_years


class Minors(_Section):
    """When a person decides alone. Units: years."""

    adult_age: int = Field(ge=14, le=25)


class Oversight(_Section):
    """What is usual: who looks outside of it is looked at. Units: hours of the day on the region's clocks."""

    from_hour: int = Field(default=6, ge=0, le=23)
    until_hour: int = Field(default=21, ge=1, le=24)
    weekends: bool = False


class RegionalPolicy(_Section):
    """The whole policy. `digest` is the SHA-256 of the file's bytes: the policy's version."""

    region: Region
    defaults: Defaults
    purposes: Purposes
    roles: dict[str, RoleRule]
    users: dict[str, UserRole]
    systems: dict[str, CodeSystemForm]
    sensitive: tuple[Sensitive, ...]
    emergency: Emergency
    retention: Retention
    minors: Minors
    oversight: Oversight = Oversight()
    _digest: str = PrivateAttr("")

    @property
    def digest(self) -> str:
        """The policy's version, as 64 hexadecimal letters."""
        return self._digest

    @cached_property
    def tables(self) -> CodeTables:
        """The codes of the sensitive categories, ready to be looked up."""
        told = {
            each: "R"
            for each in sorted(sensitivity_codes())
            if each not in {one.code for one in self.sensitive}
        }
        forms = {
            name: (each.urls, each.oids, each.contains, each.nests, each.ignored)
            for name, each in self.systems.items()
        }
        own = [(each.code, each.confidentiality, (each.codes, each.implied_by)) for each in self.sensitive]
        return CodeTables.of(forms, own, told)

    def may(self, role: str, act: Act, purpose: str) -> bool:
        """Whether a kind of requester may do a kind of act for a purpose."""
        rule = self.roles.get(role)
        return (
            rule is not None
            and act in rule.acts
            and purpose in rule.purposes
            and self.purposes.is_allowed(purpose)
        )

    @model_validator(mode="after")
    def _agrees(self) -> RegionalPolicy:
        """Refuse a policy whose parts contradict each other, or the code systems that they are written in."""
        faults = disagreements(self)
        if faults:
            raise PolicyRefused([Fault(0, ".".join(map(str, path)), text) for path, text in faults])
        return self


def parse_policy(content: bytes) -> RegionalPolicy:
    """Read a policy file's bytes. Raises: PolicyRefused - with every fault, its line and its key."""
    if len(content) > MOST_BYTES:
        raise PolicyRefused([Fault(1, "", "the file is larger than a policy may be")])
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
        raw = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise PolicyRefused([Fault(line, "", "the file is no UTF-8")]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyRefused([_syntax_fault(text, error)]) from None
    lines = lines_of(text)
    try:
        made = RegionalPolicy.model_validate(_frozen(raw))
    except ValidationError as error:
        raise PolicyRefused(_faults(error, lines)) from None
    made._digest = hashlib.sha256(content).hexdigest()  # noqa: SLF001 - our own, set once
    return made


def _frozen(node: Any) -> Any:
    """Arrays as tuples: what was read cannot be changed afterwards."""
    if isinstance(node, dict):
        return {key: _frozen(value) for key, value in node.items()}
    return tuple(_frozen(each) for each in node) if isinstance(node, list) else node


def _faults(error: ValidationError, lines: dict[tuple[str | int, ...], int]) -> list[Fault]:
    found: list[Fault] = []
    for each in error.errors(include_url=False, include_input=False):
        inner = each.get("ctx", {}).get("error")
        if isinstance(inner, PolicyRefused):
            for fault in inner.faults:
                path = tuple(int(part) if part.isdigit() else part for part in fault.key.split("."))
                found.append(Fault(line_of(lines, path), _shown(path), fault.text))
            continue
        path = tuple(each["loc"])
        text = _WORDS.get(each["type"], each["msg"])
        found.append(Fault(line_of(lines, path), _shown(path), text))
    return found


def _shown(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _syntax_fault(text: str, error: Exception) -> Fault:
    words = str(error)
    told = words.rpartition("at line ")[2].partition(",")[0]
    line = int(told) if told.isdigit() else text.count("\n") + 1
    return Fault(line, "", words.partition(" (at ")[0] or "the file nests too deeply")
