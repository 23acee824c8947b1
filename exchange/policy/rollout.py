"""The policy as one process goes by it: entered into the log by whoever is first, and applied to what the hub holds.

Spec:    docs/policy.md, "Reviewing and rolling out a change".
Leaves:  reading the file to adopted; the steps of labelling to relabelling.
"""

from __future__ import annotations

from collections.abc import Callable

from exchange.policy.adopted import policy
from exchange.policy.relabelling import adopt, relabel_step
from exchange.request import Request
from exchange.store.session import Store


class Rollout:
    """What a process does about the policy. `append` writes an act's event and commits it with the act: the spine's."""

    def __init__(self, store: Store, append: Callable[..., None]) -> None:
        self._store = store
        self._append = append
        self._known = ""
        policy()  # a hub without one does not start

    def know(self) -> None:
        """Enter a policy that this process has not gone by before; the first process of all writes the event."""
        found = policy()
        if found.digest == self._known:
            return
        with self._store.transaction() as transaction:
            if adopt(transaction, found):
                described = f"policy {found.region.version} {found.digest}"
                request = Request(interaction="operation", operation="adopt-policy", described=described)
                self._append(transaction, request, None, (), "policy adopted")
            transaction.commit()
        self._known = found.digest

    def relabel(self) -> bool:
        """One step of labelling by the policy that counts; whether there is more to do at once."""
        self.know()
        with self._store.transaction() as transaction:
            is_unfinished = relabel_step(transaction, policy())
            transaction.commit()
            return is_unfinished
