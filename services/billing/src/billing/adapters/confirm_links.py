"""Links that let their holder confirm one payment, and nothing else; nobody can make one up."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

_TAG_BYTES: Final = 16


class ConfirmLinks:
    """Made from billing's own secret: when that changes, links that were mailed before end."""

    def __init__(self, secret: str, *, public_url: str) -> None:
        self._key = hmac.digest(secret.encode(), b"faregate billing confirm links", hashlib.sha256)
        self._public_url = public_url

    def url(self, payment_id: str) -> str:
        said = payment_id.encode()
        token = base64.urlsafe_b64encode(self._tag(said) + said).decode().rstrip("=")
        return f"{self._public_url}/billing/confirm?token={token}"

    def read(self, token: str) -> str | None:
        """The payment of a link that we made, None for others."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            return None
        tag, said = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        return said.decode() if hmac.compare_digest(tag, self._tag(said)) else None

    def _tag(self, said: bytes) -> bytes:
        return hmac.digest(self._key, said, hashlib.sha256)[:_TAG_BYTES]
