"""What a system does by its assertion, as acts of the hub: get a token, look into one, end one; each with its event.

Spec:    docs/clients.md; docs/decisions/0005-one-act-one-event.md.
Leaves:  the proof to assertion; each act's rules to bearer_token and introspection; HTTP to rest/token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from exchange.authentication.assertion import RefusedAssertion, look_for_keys, verify_assertion
from exchange.authentication.bearer_token import InvalidScope, Issued, issue
from exchange.authentication.introspection import client_requester, introspect, revoke_token
from exchange.authentication.limits import Limits
from exchange.fleet.state import note_contact
from exchange.problems import Throttled
from exchange.request import Request
from exchange.store.session import Store, Transaction

Done = TypeVar("Done")


class Systems:
    """How systems come in.

    append  writes an act's event and commits it with the act; record enters a refusal. Both are the spine's.
    """

    def __init__(
        self, store: Store, limits: Limits, append: Callable[..., None], record: Callable[..., None]
    ) -> None:
        self._store = store
        self._limits = limits
        self._append = append
        self._record = record

    def grant_token(
        self, assertion: str, scope: str, token_url: str, request: Request, address: str = ""
    ) -> Issued:
        """An access token for a client assertion; granted or refused, the log has it.

        Raises: RefusedAssertion, InvalidScope, Throttled.
        """

        def act(transaction: Transaction) -> Issued:
            try:
                issued = issue(transaction, assertion, scope, token_url)
            except InvalidScope as refused:
                # The assertion was good, and it is used up: this commits it together with its event.
                self._append(transaction, request, None, (), "token refused: scope", refused)
                raise
            self._limits.token(issued.requester)
            note_contact(transaction, issued.requester.client_id)
            self._append(transaction, request, issued.requester, (), "token issued")
            return issued

        return self._proven(assertion, request, address, act)

    def introspect(
        self, assertion: str, token: str, token_url: str, request: Request, address: str = ""
    ) -> dict[str, Any]:
        """What a token is good for, told to a client that proves itself. Raises: RefusedAssertion, Throttled."""

        def act(transaction: Transaction) -> dict[str, Any]:
            client, _ = verify_assertion(transaction, assertion, token_url)
            asker = client_requester(client)
            self._limits.token(asker)
            told = introspect(transaction, client, token)
            reason = "token introspected" if told["active"] else "token introspected: not active"
            self._append(transaction, _about(request, told.get("jti", "")), asker, (), reason)
            return told

        return self._proven(assertion, request, address, act)

    def revoke(self, assertion: str, token: str, token_url: str, request: Request, address: str = "") -> None:
        """End a token for a client that proves itself. Raises: RefusedAssertion, Throttled."""

        def act(transaction: Transaction) -> None:
            client, _ = verify_assertion(transaction, assertion, token_url)
            asker = client_requester(client)
            self._limits.token(asker)
            token_id = revoke_token(transaction, client, token)
            reason = "token revoked" if token_id else "nothing to revoke"
            self._append(transaction, _about(request, token_id), asker, (), reason)

        self._proven(assertion, request, address, act)

    def admit(self, request: Request, address: str) -> None:
        """Count a request for a token, by whoever. Raises: Throttled."""
        try:
            self._limits.token_request(address)
        except Throttled as refused:
            self._record(request, None, "token refused: too many", refused)
            raise

    def refuse_unformed(self, request: Request, address: str) -> None:
        """Note a request that is not formed as its endpoint needs it. Raises: Throttled."""
        self.admit(request, address)
        self._record(request, None, "token refused: malformed request", RefusedAssertion("malformed request"))

    def _proven(
        self, assertion: str, request: Request, address: str, act: Callable[[Transaction], Done]
    ) -> Done:
        """What a client does by its assertion: counted before anything is looked at; what is refused is in the log."""
        self.admit(request, address)
        try:
            look_for_keys(self._store, assertion)
            with self._store.transaction() as transaction:
                return act(transaction)
        except RefusedAssertion as refused:
            self._record(request, None, f"token refused: {refused.reason}", refused)
            raise
        except Throttled as refused:
            self._record(request, None, "token refused: too many", refused)
            raise


def _about(request: Request, token_id: str) -> Request:
    """The request as its event keeps it: with the token's id, which nobody can use."""
    return replace(request, described=f"{request.described} {token_id}".strip())
