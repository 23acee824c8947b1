"""The policy that this process goes by: read at its start, looked at again every two seconds, swapped as a whole.

Spec:    docs/policy.md, "Rolling out a change".
Leaves:  entering a new version into the audit log to perform.

A file that became invalid changes nothing: the policy that was reviewed last stays, and the log has a line.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import cache
from pathlib import Path
from typing import Final

from exchange.policy.regional_policy import MOST_BYTES, PolicyRefused, RegionalPolicy, parse_policy
from exchange.problems import Unavailable
from exchange.settings import settings

LOG: Final = logging.getLogger("exchange.policy")
LOOK_SECONDS: Final = 2.0
SHIPPED: Final = Path("policy/la-libertad.toml")

Stamp = tuple[int, int, int]


class PolicyFile:
    """One policy file as a process sees it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._looked_at = time.monotonic()
        self._stamp, content = self._read()
        try:
            self._policy = parse_policy(content)
        except PolicyRefused as refused:
            raise Unavailable(f"the policy file {path} is refused: {refused}") from None

    def policy(self) -> RegionalPolicy:
        """The policy as the file says it, at most two seconds ago."""
        if time.monotonic() - self._looked_at >= LOOK_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._policy

    def _look(self) -> None:
        try:
            if self._stamp_now() != self._stamp:
                # The stamp is remembered for a refused file too: one line for each version of it.
                self._stamp, content = self._read()
                self._policy = parse_policy(content)
                LOG.info("E-501 the policy changed: version %s", self._policy.digest[:16])
        except PolicyRefused as refused:
            first = refused.faults[0]
            LOG.error("E-502 the policy file is refused at line %d; the former policy stays", first.line)  # noqa: TRY400
        except Unavailable:
            LOG.error("E-503 the policy file cannot be read; the former policy stays")  # noqa: TRY400
        finally:
            self._looked_at = time.monotonic()

    def _read(self) -> tuple[Stamp, bytes]:
        """The file's stamp and bytes. A file that is written meanwhile has another stamp at the next look."""
        stamp = self._stamp_now()
        try:
            with self._path.open("rb") as opened:
                return stamp, opened.read(MOST_BYTES + 1)
        except OSError:
            raise Unavailable(f"the policy file {self._path} cannot be read") from None

    def _stamp_now(self) -> Stamp:
        try:
            found = self._path.stat()
        except OSError:
            raise Unavailable(f"the policy file {self._path} cannot be read") from None
        return found.st_mtime_ns, found.st_size, found.st_ino


_files: Final[dict[Path, PolicyFile]] = {}
_opening: Final = threading.Lock()


def policy() -> RegionalPolicy:
    """The region's policy. Raises: Unavailable - at the start alone: the file is absent or refused."""
    path = settings().policy_file or shipped()
    found = _files.get(path)
    if found is None:
        with _opening:
            found = _files.get(path) or _files.setdefault(path, PolicyFile(path))
    return found.policy()


@cache
def shipped() -> Path:
    """The policy that comes with the program: of the checkout, or packed into the installation."""
    here = Path(__file__).resolve()
    checkout = here.parents[2] / "deploy" / SHIPPED
    return checkout if checkout.exists() else here.with_name(SHIPPED.name)
