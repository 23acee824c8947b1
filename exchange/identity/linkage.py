"""Judging whether two records are of one person.

Spec:    docs/decisions/0010-linking-records.md.
Leaves:  finding candidates and storing links to cross_reference.

A document is strong evidence and never proof: it links only where the demographics agree. What shares a document and
disagrees goes to a person. Numbers that a facility gives never match across facilities.
"""

from __future__ import annotations

from typing import Final, Literal

from exchange.identity.demographics import Demographics

Verdict = Literal["certain", "possible", "certainly-not"]

RULE: Final = "document-and-demographics"


def judge(one: Demographics, other: Demographics) -> tuple[Verdict, str]:
    """The verdict on a pair, and why.

    1. No trusted document in common: not decided here, so never linked.
    2. Two documents of one kind that differ: they contradict each other; a person decides.
    3. A known twin signal (another birth order) stands against linking.
    4. Birth date, a surname, a given name and gender must agree; a missing birth date or name is no agreement.
    """
    # 1.
    shared = one.documents & other.documents
    if not shared:
        return "certainly-not", "no document in common"
    # 2.
    kinds = {kind for kind, _ in one.documents} & {kind for kind, _ in other.documents}
    for kind in kinds:
        mine = {document for document in one.documents if document[0] == kind}
        theirs = {document for document in other.documents if document[0] == kind}
        if not mine & theirs:
            return "possible", "documents contradict each other"
    # 3.
    if one.birth_order and other.birth_order and one.birth_order != other.birth_order:
        return "possible", "same document, another birth order"
    # 4.
    if not one.birth_date or one.birth_date != other.birth_date:
        return "possible", "same document, birth dates do not agree"
    if not one.surnames & other.surnames:
        return "possible", "same document, surnames do not agree"
    if not (one.given and other.given) or not (one.given <= other.given or other.given <= one.given):
        # Twins share a first name more often than all of them.
        return "possible", "same document, given names do not agree"
    if one.gender and other.gender and one.gender != other.gender:
        return "possible", "same document, gender does not agree"
    return "certain", RULE
