"""Answering bundles, built from the texts of stored resources without parsing them.

Spec:    https://hl7.org/fhir/R4/bundle.html
Leaves:  which resources stand in them to the interactions.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Final

import msgspec

from exchange.fhir.definitions import type_name
from exchange.settings import settings
from exchange.store.versions import Version

NOTICE: Final = (
    b'{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"suppressed",'
    b'"diagnostics":"Information may be withheld under the choices of patients."}]},"search":{"mode":"outcome"}}'
)
"""The same words in every answer about patients, whether anything is withheld or not."""


@cache
def fhir_url() -> str:
    """The FHIR base, composed once a process: every entry states it."""
    return settings().fhir_url


def instant(microseconds: int) -> str:
    """A FHIR instant in UTC, with the microseconds that order versions."""
    whole, part = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(whole, UTC).isoformat()[:19]}.{part:06d}Z"


def entry(version: Version, mode: str) -> bytes:
    """One searchset entry."""
    place = f"{fhir_url()}/{type_name(version.type_code)}/{version.resource_id}"
    return b'{"fullUrl":"%s","resource":%s,"search":{"mode":"%s"}}' % (
        place.encode(), version.text, mode.encode(),
    )  # fmt: skip


def bundle(
    kind: str,
    links: Sequence[tuple[str, str]],
    entries: Iterable[bytes],
    total: int | None = None,
    last_updated: int | None = None,
) -> bytes:
    """A Bundle's text. `total` is exact or absent."""
    parts = [bundle_start(kind, links, total, last_updated)]
    body = b",".join(entries)
    if body:
        parts += [b',"entry":[', body, b"]"]
    parts.append(b"}")
    return b"".join(parts)


def bundle_start(
    kind: str, links: Sequence[tuple[str, str]], total: int | None = None, last_updated: int | None = None
) -> bytes:
    """A Bundle's text up to its entries."""
    parts = [f'{{"resourceType":"Bundle","id":"{uuid.uuid4()}"'.encode()]
    if last_updated is not None:
        parts.append(b',"meta":{"lastUpdated":"%s"}' % instant(last_updated).encode())
    parts.append(b',"type":"%s"' % kind.encode())
    if total is not None:
        parts.append(b',"total":%d' % total)
    if links:
        rows = [{"relation": relation, "url": url} for relation, url in links]
        parts += [b',"link":', msgspec.json.encode(rows)]
    return b"".join(parts)
