"""The three steps of a person's sign-in as acts of the hub: begun, finished, redeemed; each with its audit event.

Spec:    docs/sign-in.md; docs/decisions/0005-one-act-one-event.md.
Leaves:  each step's rules to authorization_code, sign_in and person_token; HTTP to rest/sign_in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exchange.authentication.assertion import (
    ASSERTION_TYPE,
    RefusedAssertion,
    look_for_keys,
    verify_assertion,
)
from exchange.authentication.authorization_code import (
    RefusedAuthorization,
    RefusedGrant,
    UnknownApp,
    make_code,
    read_authorization,
    resource_scopes,
)
from exchange.authentication.id_token import RefusedSignIn
from exchange.authentication.openid_provider_metadata import OpenIdProvider
from exchange.authentication.person_token import KEY_PURPOSE, PersonIssued, issue_for_code, person_requester
from exchange.authentication.registration import Client, find_client
from exchange.authentication.sign_in import begin, open_account, pending_of, subject_of, with_query
from exchange.authentication.signing_key import signing_key
from exchange.problems import Problem, Unavailable
from exchange.request import Request
from exchange.settings import settings
from exchange.store.session import Store, Transaction

Query = Sequence[tuple[str, str]]
_PROOFS: Final = ("client_assertion", "client_assertion_type")


class People:
    """How people come in.

    append  writes an act's event and commits it with the act; record enters a refusal. Both are the spine's.
    """

    UNPROVEN: Final = RefusedAssertion

    def __init__(self, store: Store, append: Callable[..., None], record: Callable[..., None]) -> None:
        self._store = store
        self._append = append
        self._record = record
        self._provider = OpenIdProvider()

    def begin(self, query: Query, request: Request) -> tuple[str, str]:
        """Where an app's request leads, and the cookie that goes along: to the provider, or back to the app.

        Raises: UnknownApp - there is nobody to send the browser back to.
        """
        try:
            with self._store.transaction() as transaction:
                asked = read_authorization(transaction, query)
        except RefusedAuthorization as refused:
            self._record(request, None, refused.reason, refused)
            return _refusal(refused.redirect_uri, refused.error, refused.state), ""
        except UnknownApp as refused:
            self._record(request, None, refused.reason, refused)
            raise
        try:
            return begin(self._store.crypto, self._provider.metadata(), asked)
        except Unavailable as failed:
            self._record(request, None, f"sign-in refused: {failed.reason}", failed)
            return _refusal(asked.redirect_uri, "temporarily_unavailable", asked.state), ""

    def finish(self, cookie: str, query: Query, request: Request) -> str:
        """Where a browser that comes back from the provider goes: to its app, with a code or with a refusal.

        Raises: RefusedSignIn - the browser did not begin a sign-in here that this could be the end of.
        """
        try:
            pending = pending_of(self._store.crypto, cookie, query)
        except RefusedSignIn as refused:
            self._record(request, None, f"sign-in refused: {refused.reason}", refused)
            raise
        asked = pending.asked
        try:
            subject = subject_of(self._provider, pending, query)
            with self._store.transaction() as transaction:
                account = open_account(transaction, pending, subject)
                client = find_client(transaction, asked.client_id)
                if client is None or not client.is_active or asked.redirect_uri not in client.redirect_uris:
                    raise RefusedSignIn("the app was suspended meanwhile")
                code, grant = make_code(transaction, asked, client, account)
                scopes = resource_scopes(grant.scope)
                requester = person_requester(client, account, grant, scopes, grant.grant_id)
                self._append(transaction, request, requester, (), "signed in")
        except Problem as refused:
            is_down = isinstance(refused, Unavailable)
            error = getattr(refused, "error", "temporarily_unavailable" if is_down else "access_denied")
            self._record(request, None, f"sign-in refused: {refused.reason}", refused)
            return _refusal(asked.redirect_uri, error, asked.state)
        told = {"code": code, "state": asked.state, "iss": settings().base_url}
        return with_query(asked.redirect_uri, told)

    def redeem(self, form: Mapping[str, str], token_url: str, request: Request) -> PersonIssued:
        """Tokens for a code; granted or refused, the log has it.

        Raises: RefusedAssertion - the app did not prove itself; RefusedGrant - the code is not good.
        """
        if "client_assertion" in form:
            look_for_keys(self._store, form["client_assertion"])
        try:
            with self._store.transaction() as transaction:
                client = _client(transaction, form, token_url)
                try:
                    issued = issue_for_code(
                        transaction, client, form.get("code", ""), form.get("redirect_uri", ""),
                        form.get("code_verifier", ""),
                    )  # fmt: skip
                except RefusedGrant as refused:
                    # The assertion is used up, and the code with it: this commits both together with the event.
                    self._append(transaction, request, None, (), refused.reason, refused)
                    raise
                self._append(transaction, request, issued.requester, (), "token issued to a person's app")
                return issued
        except RefusedAssertion as refused:
            self._record(request, None, f"token refused: {refused.reason}", refused)
            raise

    def note_refusal(self, request: Request, reason: str) -> None:
        """Enter into the log that the demonstration's provider let somebody not in."""
        self._record(request, None, f"sign-in refused: {reason}", RefusedSignIn(reason))

    def public_keys(self) -> dict[str, Any]:
        """The keys that the hub's ID tokens are signed with."""
        with self._store.transaction() as transaction:
            key = signing_key(transaction, KEY_PURPOSE)
            transaction.commit()
        return {"keys": [key.public]}


def _client(transaction: Transaction, form: Mapping[str, str], token_url: str) -> Client:
    """The app that redeems: proven by its key, or a public one, which PKCE alone ties to the code."""
    told = form.get("client_id", "")
    if any(each in form for each in _PROOFS):
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise RefusedAssertion("assertion type")
        client, _ = verify_assertion(transaction, form.get("client_assertion", ""), token_url)
        if told not in ("", client.client_id):
            raise RefusedAssertion("client_id of another", client.client_id)
        return client
    found = find_client(transaction, told) if told.isprintable() else None
    if found is None or not found.is_active or not found.is_public:
        raise RefusedAssertion("no proof of the client")
    return found


def _refusal(redirect_uri: str, error: str, state: str) -> str:
    told = {"error": error, "iss": settings().base_url} | ({"state": state} if state else {})
    return with_query(redirect_uri, told)
