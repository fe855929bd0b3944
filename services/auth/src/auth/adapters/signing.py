"""Ed25519 keys and the JWTs that they sign (RFC 9068)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm

from auth.domain.access import SERVICE_TOKEN_S, Access
from kit.tokens import ALGORITHM, AUDIENCE, TOKEN_TYPE


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed token and how long it is valid."""

    token: str
    expires_in_s: int
    expires_at: datetime


class TokenSigner:
    """Signs with one key; needs nothing but memory."""

    def __init__(self, key_id: str, private: Ed25519PrivateKey, *, issuer: str) -> None:
        self._key_id = key_id
        self._private = private
        self._issuer = issuer

    def access_token(self, access: Access, *, now: datetime, lifetime_s: int) -> Issued:
        return self._sign(access.claims(), audience=AUDIENCE, now=now, lifetime_s=lifetime_s)

    def service_token(self, service: str, *, audience: str, now: datetime) -> Issued:
        subject = {"sub": f"service:{service}"}
        return self._sign(subject, audience=f"service:{audience}", now=now, lifetime_s=SERVICE_TOKEN_S)

    def _sign(self, claims: dict[str, Any], *, audience: str, now: datetime, lifetime_s: int) -> Issued:
        issued_at = int(now.timestamp())
        payload = {
            "iss": self._issuer,
            "aud": audience,
            "jti": str(uuid4()),
            "iat": issued_at,
            "exp": issued_at + lifetime_s,
            **claims,
        }
        headers = {"typ": TOKEN_TYPE, "kid": self._key_id}
        token = jwt.encode(payload, self._private, algorithm=ALGORITHM, headers=headers)
        return Issued(token, lifetime_s, now + timedelta(seconds=lifetime_s))


def new_key() -> tuple[bytes, bytes]:
    """Public and private half, raw."""
    private = Ed25519PrivateKey.generate()
    return private.public_key().public_bytes_raw(), private.private_bytes_raw()


def private_key(raw: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(raw)


def jwk(key_id: str, public: bytes) -> dict[str, Any]:
    """The public half as JWKS publishes it."""
    plain = OKPAlgorithm.to_jwk(Ed25519PublicKey.from_public_bytes(public), as_dict=True)
    return {**plain, "kid": key_id, "alg": ALGORITHM, "use": "sig"}
