"""Customers' URLs and signing secrets at rest: AES-256-GCM, bound to their row."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from notifier.adapters.keys import derived
from notifier.errors import PermanentError

_NONCE_BYTES: Final = 12


class Sealer:
    """`name` binds what is sealed to its place: it cannot be opened under another."""

    def __init__(self, secret: str) -> None:
        self._aead = AESGCM(derived(secret, "sealing"))

    def seal(self, plain: str, *, name: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain.encode(), name.encode())

    def open(self, sealed: bytes, *, name: str) -> str:
        """Raises `PermanentError` when the key is another one than it was."""
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode()).decode()
        except InvalidTag:
            raise PermanentError("FAREGATE_NOTIFIER_SECRET_KEY does not open what was sealed") from None
