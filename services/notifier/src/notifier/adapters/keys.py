"""Keys derived from the notifier's one secret: for links that nobody can make up, and for addresses as hashes."""

import base64
import binascii
import hashlib
import hmac
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_TAG_BYTES: Final = 16


def derived(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose; who knows one of them knows nothing of the others."""
    return HKDF(SHA256(), 32, salt=None, info=f"faregate notifier {purpose}".encode()).derive(secret.encode())


class AddressHashes:
    """Addresses as keyed hashes: they can be recognised with the key, and not be read."""

    def __init__(self, secret: str) -> None:
        self._key = derived(secret, "addresses")

    def of(self, address: str) -> bytes:
        return hmac.digest(self._key, address.strip().casefold().encode(), hashlib.sha256)


class UnsubscribeLinks:
    """One link per person, account and kind; it does that one thing and does not expire."""

    def __init__(self, secret: str, *, public_url: str) -> None:
        self._key = derived(secret, "unsubscribing")
        self._public_url = public_url

    def url(self, *, user_id: UUID, account_id: UUID, kind: str) -> str:
        said = user_id.bytes + account_id.bytes + kind.encode()
        token = base64.urlsafe_b64encode(self._tag(said) + said).decode().rstrip("=")
        return f"{self._public_url}/notifications/unsubscribe?token={token}"

    def read(self, token: str) -> tuple[UUID, UUID, str] | None:
        """Person, account and kind of a link that we made, None for others."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            return None
        tag, said = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if len(said) <= 32 or not hmac.compare_digest(tag, self._tag(said)):
            return None
        return UUID(bytes=said[:16]), UUID(bytes=said[16:32]), said[32:].decode()

    def _tag(self, said: bytes) -> bytes:
        return hmac.digest(self._key, said, hashlib.sha256)[:_TAG_BYTES]
