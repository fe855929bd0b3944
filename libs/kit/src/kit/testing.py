"""A signer for tests: tokens as auth would issue them, with a key made on the spot."""

from datetime import timedelta
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kit.clock import Clock, SystemClock
from kit.tokens import ALGORITHM, AUDIENCE, TOKEN_TYPE


class Signer:
    """Signs tokens with a fresh Ed25519 key, and is the key source that verifies them."""

    def __init__(self, *, issuer: str, clock: Clock | None = None, key_id: str = "test-key") -> None:
        self._private = Ed25519PrivateKey.generate()
        self._issuer = issuer
        self._clock = clock or SystemClock()
        self._key_id = key_id

    @property
    def key_source(self) -> "Signer":
        return self

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        if key_id != self._key_id:
            return None
        return jwt.PyJWK(self._public())

    def jwks(self) -> dict[str, object]:
        """What auth would answer whoever asks for its keys."""
        return {"keys": [self._public()]}

    def _public(self) -> dict[str, object]:
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        return {**public, "kid": self._key_id, "alg": ALGORITHM, "use": "sig"}

    def user_token(
        self,
        *,
        account_id: UUID,
        user_id: UUID | None = None,
        role: str = "owner",
        operator: bool = False,
        session_id: UUID | None = None,
        api_key_id: UUID | None = None,
        lifetime_s: float = 600,
        **more: object,
    ) -> str:
        """`more` are claims as they stand in the token."""
        claims: dict[str, object] = {
            "sub": str(user_id or uuid4()),
            "account": str(account_id),
            "role": role,
            "operator": operator,
            "sid": str(session_id or uuid4()),
        }
        if api_key_id is not None:
            claims["api_key"] = str(api_key_id)
        return self.sign({**claims, **more}, audience=AUDIENCE, lifetime_s=lifetime_s)

    def service_token(self, service: str, audience: str) -> str:
        return self.sign({"sub": f"service:{service}"}, audience=f"service:{audience}", lifetime_s=300)

    def sign(self, claims: dict[str, object], *, audience: str, lifetime_s: float) -> str:
        now = self._clock.now()
        payload = {
            "iss": self._issuer,
            "aud": audience,
            "jti": str(uuid4()),
            "iat": now.timestamp(),
            "exp": (now + timedelta(seconds=lifetime_s)).timestamp(),
            **claims,
        }
        return jwt.encode(payload, self._private, algorithm=ALGORITHM, headers={"typ": TOKEN_TYPE, "kid": self._key_id})
