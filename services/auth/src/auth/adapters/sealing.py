"""Sealing private keys at rest (AES-256-GCM), and secrets that are derived from the same key."""

import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES: Final = 12


class WrongKeyError(RuntimeError):
    """The key encryption key does not open what is in the database."""


class Sealer:
    """Seals under one 32-byte key; `name` binds what is sealed to its row."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._key = key

    def seal(self, plain: bytes, *, name: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, name.encode())

    def open(self, sealed: bytes, *, name: str) -> bytes:
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            raise WrongKeyError("FAREGATE_AUTH_KEY_ENCRYPTION_KEY does not open the stored signing key") from None

    def derived(self, purpose: str) -> "Keyed":
        return Keyed(HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(self._key))


class Keyed:
    """A keyed hash for one purpose."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def digest(self, *parts: str) -> bytes:
        return hmac.digest(self._key, "\x1f".join(parts).encode(), hashlib.sha256)
