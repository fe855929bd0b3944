"""A software authenticator: makes passkeys and answers challenges as a browser would hand them on."""

import base64
import hashlib
import json
import os
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import encode_cbor

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Authenticator:
    """One passkey of one site; `counts` is off for authenticators that keep no count."""

    def __init__(self, *, origin: str = "http://localhost:8080", counts: bool = True) -> None:
        self.origin = origin
        self.counts = counts
        self.count = 0
        self.id = os.urandom(16)
        self.user_handle = b""
        self._private = generate_private_key(SECP256R1())

    def make(self, options: dict[str, Any], *, flags: int = USER_PRESENT | USER_VERIFIED) -> dict[str, Any]:
        """What `navigator.credentials.create` answers."""
        self.user_handle = _decoded(options["user"]["id"])
        numbers = self._private.public_key().public_numbers()
        key = encode_cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
        attested = bytes(16) + struct.pack(">H", len(self.id)) + self.id + key
        data = self._data(options["rp"]["id"], flags | ATTESTED) + attested
        response = {
            "clientDataJSON": self._client_data("webauthn.create", options["challenge"]),
            "attestationObject": _encoded(encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal", "made up"],
        }
        return self._credential(response)

    def use(self, options: dict[str, Any], *, flags: int = USER_PRESENT | USER_VERIFIED) -> dict[str, Any]:
        """What `navigator.credentials.get` answers."""
        self.count += self.counts
        data = self._data(options["rpId"], flags)
        client_data = self._client_data("webauthn.get", options["challenge"])
        signed = data + hashlib.sha256(_decoded(client_data)).digest()
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": _encoded(data),
            "signature": _encoded(self._private.sign(signed, ECDSA(SHA256()))),
            "userHandle": _encoded(self.user_handle),
        }
        return self._credential(response)

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        name = _encoded(self.id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}

    def _data(self, site: str, flags: int) -> bytes:
        return hashlib.sha256(site.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _client_data(self, kind: str, challenge: str) -> str:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return _encoded(json.dumps(said).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
