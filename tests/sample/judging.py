"""Judging consents in memory, in tests: what is looked up, who asks, what is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from exchange.consent.dimension import Lookup
from exchange.consent.judgement import Asked, Filed, Judgement, Subject, judge
from exchange.consent.lookup import lookup
from exchange.consent.provision import rules
from exchange.policy.adopted import policy
from exchange.policy.facets import features
from exchange.policy.sensitivity import label
from exchange.requester import Requester, custodian_key
from tests.sample.observation import an_observation
from tests.sample.requester import HOSPITAL, a_requester

LIMA = ZoneInfo("America/Lima")
SENDING = 2


def at(text: str) -> int:
    """A moment in Lima, as microseconds since 1970 UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=LIMA).astimezone(UTC).timestamp() * 1_000_000)


NOW = at("2026-05-31T12:00:00")


def a_lookup(**more: Any) -> Lookup:
    """What a Consent is read with where nothing else is known; `more` replaces single look-ups."""
    known = lookup(None, 0)
    return Lookup(
        **(
            {
                "members": known.members, "refers_to": known.refers_to, "descendants": known.descendants,
                "categories": known.categories, "subsumed": known.subsumed, "unlabelled_opens": known.unlabelled_opens,
            }
            | more
        )
    )  # fmt: skip


def a_subject(resource: dict[str, Any] | None = None, clinical: tuple[int, int] | None = None) -> Subject:
    """A resource as consents see it: an ordinary observation where none is given."""
    resource = resource or an_observation("o1", "p1")
    return Subject(frozenset(features(resource, label(resource, policy()))), clinical)


def judged(
    consents: Iterable[dict[str, Any]],
    *,
    asker: Requester | str = HOSPITAL,
    purpose: str = "TREAT",
    when: int = NOW,
    subject: Subject | None = None,
    filed_by: str = "nobody",
    known: Lookup | None = None,
    assumed: int = SENDING,
) -> Judgement:
    """What Consents of one patient say to somebody who asks for something."""
    requester = a_requester(asker, purpose=purpose) if isinstance(asker, str) else asker
    asked = Asked(frozenset(requester.actors), requester.custodian, requester.purpose_of_use, when)
    filed = [Filed(rules(each, known or a_lookup()), custodian_key(filed_by)) for each in consents]
    return judge(filed, asked, subject or a_subject(), assumed)


def permits(*consents: dict[str, Any], **more: Any) -> bool:
    """Whether Consents of one patient permit; a hospital asks to treat, unless `more` says otherwise."""
    return judged(consents, **more).permits
