"""Who asks, in tests."""

from __future__ import annotations

from exchange.requester import CURATED_TYPES, Requester, parse_scopes

POST = "ipress-00090011"
HOSPITAL = "ipress-00090012"
INSTITUTE = "ipress-00090013"


EVERY_SCOPE = " ".join(["system/*.cruds", *(f"system/{each}.cud" for each in sorted(CURATED_TYPES))])


def a_requester(
    organization: str = POST,
    scopes: str = EVERY_SCOPE,
    *,
    role: str = "system",
    purpose: str = "TREAT",
    id_prefix: str = "",
    client: str = "",
) -> Requester:
    """A registered system of one facility; it may choose ids that start with `id_prefix`."""
    parsed = parse_scopes(scopes)
    assert parsed is not None, scopes
    return Requester(
        client_id=client or f"client-of-{organization}",
        client_name=f"System of {organization}",
        organization_id=organization,
        role=role,  # type: ignore[arg-type]
        scopes=parsed,
        purpose_of_use=purpose,
        id_prefix=id_prefix,
        token_id="token-1",
    )


def an_administrator(scopes: str = "system/*.rs") -> Requester:
    """A regional administrator, who audits."""
    return a_requester("geresa", scopes, role="administrator", purpose="HOPERAT")
