"""A root key in a token that speaks PKCS #11: made there, never taken out, used by asking.

Spec:    https://docs.oasis-open.org/pkcs11/pkcs11-spec/v3.1/pkcs11-spec-v3.1.html (5.8, 6.13); NIST SP 800-38D.
Leaves:  making the token, and its PIN, to its operator: docs/keys.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import (
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    NoSuchToken,
    PinIncorrect,
    PinLocked,
    PKCS11Error,
    UserAlreadyLoggedIn,
)
from pkcs11.mechanisms import GCMParams

from exchange.crypto.roots.private_file import read_private
from exchange.problems import Problem, SealBroken, Unavailable

KEY_BITS: Final = 256
NONCE_BYTES: Final = 12
TAG_BITS: Final = 128
VERSION_BYTES: Final = 2
PROBE_BITS: Final = 64
_TRIAL: Final = b"trial"
_Found = TypeVar("_Found")


class Pkcs11Root:
    """The AES keys of one label; the id of each is its version. One call at a time: a session is one operation's."""

    name = "pkcs11"

    def __init__(self, module: Path, token: str, pin_file: Path, key_name: str) -> None:
        self._module, self._token, self._pin_file, self._key_name = module, token, pin_file, key_name
        self._session: Any = None
        self._lock = threading.Lock()

    def newest(self) -> int:
        """The newest version; 0 where the token holds no key of this label."""
        return self._tried(lambda session: max(self._keys(session), default=0))

    def versions(self) -> list[int]:
        """Those that are still there, the oldest first."""
        return self._tried(lambda session: sorted(self._keys(session)))

    def wrap(self, key: bytes, bound_to: bytes) -> tuple[int, bytes]:
        """A key wrapped under the newest version. Units: nonce 12 random bytes, tag 16 bytes."""

        def act(session: Any) -> tuple[int, bytes]:
            keys = self._keys(session)
            if not keys:
                raise SealBroken("the token holds no root key of this name")
            version = max(keys)
            return version, _sealed(keys[version], key, bound_to)

        return self._tried(act)

    def unwrap(self, version: int, wrapped: bytes, bound_to: bytes) -> bytes:
        """The key again. Raises: SealBroken - no such version, or it does not open."""

        def act(session: Any) -> bytes:
            key = self._keys(session).get(version)
            if key is None:
                raise SealBroken(f"the token holds no version {version} of the root key")
            try:
                return _opened(key, wrapped, bound_to)
            except (EncryptedDataInvalid, EncryptedDataLenRange):
                raise SealBroken("the root key does not open a hub key") from None
            except PKCS11Error:
                # Tokens differ in how they say that a tag is wrong: one that still works has said so.
                _opened(key, _sealed(key, _TRIAL, bound_to), bound_to)
                raise SealBroken("the root key does not open a hub key") from None

        return self._tried(act)

    def rotate(self) -> int:
        """Make a new version in the token: it can be used there, and leaves it in no form."""

        def act(session: Any) -> int:
            version = max(self._keys(session), default=0) + 1
            session.generate_key(
                KeyType.AES,
                KEY_BITS,
                id=version.to_bytes(VERSION_BYTES, "big"),
                label=self._key_name,
                store=True,
                capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                template={
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.PRIVATE: True,
                    Attribute.MODIFIABLE: False,
                },
            )
            return version

        return self._tried(act, tries=1)

    def destroy(self, version: int) -> None:
        """Destroy a version in the token. Raises: SealBroken - it is the newest: nothing would open."""

        def act(session: Any) -> None:
            keys = self._keys(session)
            if version >= max(keys, default=0):
                raise SealBroken("the newest version of the root is not destroyed")
            if version in keys:
                keys[version].destroy()

        self._tried(act)

    def _keys(self, session: Any) -> dict[int, Any]:
        """The versions in the token. Raises: SealBroken - a key that could be taken out, or two of one version."""
        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: self._key_name}
        found: dict[int, Any] = {}
        # A search is read to its end at once: one that is left open keeps the session from every other operation.
        for key in list(session.get_objects(wanted)):
            number = key[Attribute.ID]
            version = int.from_bytes(number, "big")
            if len(number) != VERSION_BYTES or not version or version in found:
                raise SealBroken("the token holds keys of the root's name that the hub did not make")
            if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
                raise SealBroken("the token holds a root key that can be taken out of it")
            found[version] = key
        return found

    def _tried(self, act: Callable[[Any], _Found], tries: int = 2) -> _Found:
        """Run an act in the session; one that a token's error ended is run once more in a new one.

        A token that was taken out, or whose driver started anew, knows nothing of an old session.
        """
        with self._lock:
            for attempt in range(1, tries + 1):
                try:
                    return act(self._opened_session())
                except Problem:
                    raise
                except PKCS11Error as error:
                    self._close()
                    if attempt == tries:
                        raise Unavailable(
                            f"the token does not do its work ({type(error).__name__})"
                        ) from None
        raise AssertionError("the last try returns or raises")  # pragma: no cover

    def _opened_session(self) -> Any:
        # A search on a session that is gone would complain a second time when it is thrown away: asked before.
        if self._session is not None and not _is_alive(self._session):
            self._close()
        if self._session is None:
            pin = read_private(self._pin_file, "the token's PIN file").strip()
            token = self._found_token()
            try:
                self._session = token.open(rw=True, user_pin=pin)
            except UserAlreadyLoggedIn:  # by another session of this process
                self._session = token.open(rw=True)
            except (PinIncorrect, PinLocked) as error:
                # Tried once: a token locks itself after a few wrong ones.
                raise SealBroken(f"the token refuses the PIN ({type(error).__name__})") from None
        return self._session

    def _found_token(self) -> Any:
        """The token by its label. Raises: SealBroken - no such library; Unavailable - no such token now."""
        try:
            library = pkcs11.lib(str(self._module))
        except PKCS11Error:
            raise SealBroken("EXCHANGE_PKCS11_MODULE cannot be loaded") from None
        try:
            return library.get_token(token_label=self._token)
        except NoSuchToken:
            library.reinitialize()  # what was plugged in, or made, since the library looked
        try:
            return library.get_token(token_label=self._token)
        except NoSuchToken:
            raise Unavailable("there is no token of this label: look at EXCHANGE_PKCS11_TOKEN") from None

    def _close(self) -> None:
        session, self._session = self._session, None
        try:
            if session is not None:
                session.close()
        except PKCS11Error:
            return


def _is_alive(session: Any) -> bool:
    try:
        session.generate_random(PROBE_BITS)
    except PKCS11Error:
        return False
    return True


def _sealed(key: Any, text: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + bytes(
        key.encrypt(text, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, bound_to))
    )


def _opened(key: Any, wrapped: bytes, bound_to: bytes) -> bytes:
    nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
    return bytes(key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, bound_to)))


def _gcm(nonce: bytes, bound_to: bytes) -> GCMParams:
    return GCMParams(nonce, bound_to, TAG_BITS)
